//! List pages of a store with a long history: first pages and pages further back in turn, small ones and the largest.

use std::time::Instant;

use serde_json::Value;

use crate::Outcome;
use crate::histogram::Histogram;
use crate::posthaste::Posthaste;
use crate::report::Report;

const REQUESTS: usize = 200;
const PAGE_MS_MAX: f64 = 50.0;
/// Every so many requests ask for the largest page.
const LARGE_EVERY: usize = 5;
const LARGE: usize = 250;
const USUAL: usize = 50;

/// Measures every list that a console shows, and judges it.
pub(crate) async fn measure(
    posthaste: &Posthaste,
    application: &str,
    endpoint: &str,
    report: &mut Report,
) -> Outcome<()> {
    let app = format!("/app/{application}");
    let lists = [
        format!("{app}/msg"),
        format!("{app}/attempt/endpoint/{endpoint}"),
        format!("{app}/attempt/endpoint/{endpoint}?status=2"),
        format!("{app}/attempt/endpoint/{endpoint}?status=1"),
        format!("{app}/endpoint/{endpoint}/msg"),
    ];
    for list in &lists {
        let name = list.replace(application, "{app}").replace(endpoint, "{endpoint}");
        judge(report, &name, &walk(posthaste, list).await?);
    }
    let histogram = attempts_of_messages(posthaste, &app).await?;
    judge(report, "/app/{app}/attempt/msg/{msg}", &histogram);
    Ok(())
}

fn judge(report: &mut Report, name: &str, histogram: &Histogram) {
    let (p50, p99, worst) =
        (histogram.quantile_ms(0.5), histogram.quantile_ms(0.99), histogram.quantile_ms(1.0));
    let claim = format!("p99 of GET {name} at most {PAGE_MS_MAX:.0} ms");
    let found = format!("p50 {p50:.2}, p99 {p99:.2}, worst {worst:.2} ms");
    eprintln!("  {name}: {found}");
    report.verdict("history", &claim, found, Some(p99 <= PAGE_MS_MAX));
}

/// The first page and the next one further back, in turn.
async fn walk(posthaste: &Posthaste, list: &str) -> Outcome<Histogram> {
    let mut histogram = Histogram::default();
    let mut iterator: Option<String> = None;
    for request in 0..REQUESTS {
        let limit = if request % LARGE_EVERY == 0 { LARGE } else { USUAL };
        let join = if list.contains('?') { '&' } else { '?' };
        let mut path = format!("{list}{join}limit={limit}");
        let deeper = iterator.as_ref().filter(|_| request % 2 == 1);
        if let Some(iterator) = deeper {
            path = format!("{path}&iterator={iterator}");
        }
        let page = timed(posthaste, &path, &mut histogram).await?;
        if iterator.is_none() || request % 2 == 1 {
            iterator = page["iterator"].as_str().map(str::to_owned);
        }
    }
    Ok(histogram)
}

/// The attempts of one message after another, taken from a page of messages.
async fn attempts_of_messages(posthaste: &Posthaste, app: &str) -> Outcome<Histogram> {
    let page = posthaste.get(&format!("{app}/msg?limit={REQUESTS}")).await?;
    let messages = page["data"].as_array().ok_or("a page of messages has data")?;
    let mut histogram = Histogram::default();
    for message in messages {
        let id = message["id"].as_str().ok_or("a message has an id")?;
        timed(posthaste, &format!("{app}/attempt/msg/{id}"), &mut histogram).await?;
    }
    Ok(histogram)
}

async fn timed(posthaste: &Posthaste, path: &str, histogram: &mut Histogram) -> Outcome<Value> {
    let begin = Instant::now();
    let page = posthaste.get(path).await?;
    histogram.record(u64::try_from(begin.elapsed().as_nanos())?);
    Ok(page)
}

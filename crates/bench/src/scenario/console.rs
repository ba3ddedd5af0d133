//! The console over a full store: two million messages of a thousand applications, five thousand endpoints of which four fifths fail.
//! Half of the messages are one application's. Every page must come soon.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;

use crate::Outcome;
use crate::context::{Context, message_path};
use crate::histogram::Histogram;
use crate::load::Load;
use crate::measure;
use crate::posthaste::{ENVIRONMENT, Posthaste};
use crate::report::Report;

const APPLICATIONS: u64 = 1_000;
/// Endpoints of each beside the one that gets every message: they fail, and get one message only.
const OTHERS: u64 = 4;
const REQUESTS: usize = 100;
const PAGE_MS_MAX: f64 = 100.0;
/// Statistics are counted every ten seconds, and failures are told every second.
const SETTLE: Duration = Duration::from_secs(15);
const EMAIL: &str = "bench@posthaste.example";
const PASSWORD: &str = "a password of the benchmark, for nothing else";

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    let mut posthaste = context.bare_posthaste(&own_settings()).await?;
    let applications = fill(context, &posthaste).await?;
    posthaste.user_create(EMAIL, PASSWORD).await?;
    let large = &applications[0];
    let (endpoint, message) = newest(&posthaste, large).await?;
    tokio::time::sleep(SETTLE).await;
    let cookie = sign_in(&posthaste).await?;
    for path in paths(large, &endpoint, &message) {
        let histogram = timed(&posthaste, &path, &cookie).await?;
        let name = path.replace(large, "{app}").replace(&endpoint, "{endpoint}").replace(&message, "{msg}");
        let name = name.replace(ENVIRONMENT, "{env}");
        let (p50, p95, worst) =
            (histogram.quantile_ms(0.5), histogram.quantile_ms(0.95), histogram.quantile_ms(1.0));
        let found = format!("p50 {p50:.2}, p95 {p95:.2}, worst {worst:.2} ms");
        eprintln!("  {name}: {found}");
        let claim = format!("p95 of GET {name} at most {PAGE_MS_MAX:.0} ms");
        report.verdict("console", &claim, found, Some(p95 <= PAGE_MS_MAX));
    }
    posthaste.stop().await;
    Ok(())
}

/// What fails is given up, and nobody disables it.
fn own_settings() -> [(&'static str, &'static str); 1] {
    [("POSTHASTE_RETRY_SCHEDULE", "")]
}

/// The applications, the one with half of the messages first.
async fn fill(context: &Context, posthaste: &Posthaste) -> Outcome<Vec<String>> {
    let count = if context.options.quick { APPLICATIONS / 50 } else { APPLICATIONS };
    let mut applications = Vec::new();
    for nth in 0..count {
        let id = posthaste.application(&format!("Customer {nth}")).await?;
        posthaste.endpoint(&id, &context.receiver.lane(0)).await?;
        let options = json!({"channels": ["others"], "disablePolicy": "never"});
        for other in 0..OTHERS {
            let url = context.receiver.failing(nth * OTHERS + other);
            posthaste.endpoint_with(&id, &url, &options).await?;
        }
        applications.push(id);
    }
    let begin = Instant::now();
    context.receiver.mode("some-fail").await;
    context.receiver.reset().await;
    let mut plan = context.subject(posthaste, &applications[0], 1)?.plan;
    plan.paths =
        applications.iter().flat_map(|id| [message_path(&applications[0]), message_path(id)]).collect();
    plan.messages_max = context.options.history();
    let load = Load::start(plan)?;
    measure::wait_until_sent(&load).await?;
    let accepted = load.finish().accepted;
    measure::wait_for_arrivals(context, accepted.saturating_sub(accepted.div_ceil(100))).await?;
    context.receiver.mode("ok").await;
    let event = json!({"eventType": "bench.others", "payload": {}, "channels": ["others"]});
    for id in &applications {
        posthaste.post(&format!("/app/{id}/msg"), &event).await?;
    }
    eprintln!("  {accepted} messages stored in {:.1?}", begin.elapsed());
    Ok(applications)
}

/// An endpoint and a message of the application.
async fn newest(posthaste: &Posthaste, application: &str) -> Outcome<(String, String)> {
    let endpoints = posthaste.get(&format!("/app/{application}/endpoint?order=ascending")).await?;
    let messages = posthaste.get(&format!("/app/{application}/msg")).await?;
    let id = |list: &serde_json::Value| list["data"][0]["id"].as_str().map(str::to_owned);
    Ok((id(&endpoints).ok_or("an endpoint")?, id(&messages).ok_or("a message")?))
}

async fn sign_in(posthaste: &Posthaste) -> Outcome<String> {
    let form = format!("email={EMAIL}&password={}", PASSWORD.replace(' ', "+"));
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    let reply = posthaste.page(Method::POST, "/login", &headers, form).await?;
    let cookie = reply.headers.get("set-cookie").and_then(|cookie| cookie.to_str().ok());
    let cookie = cookie.and_then(|cookie| cookie.split(';').next());
    Ok(cookie.ok_or_else(|| format!("signing in answered {}", reply.status))?.to_owned())
}

/// Every page that looks at what is stored.
fn paths(application: &str, endpoint: &str, message: &str) -> Vec<String> {
    let (app, instance) = (format!("/app/{application}"), format!("/environment/{ENVIRONMENT}"));
    let webhook = format!("{app}/endpoint/{endpoint}");
    let mut paths = Vec::new();
    for place in [&instance, &app] {
        paths.extend(["day", "week", "month"].map(|period| format!("{place}/overview?period={period}")));
    }
    paths.extend(
        ["/application", "/application?find=customer+1", "/member"].map(|page| format!("{instance}{page}")),
    );
    let of_application =
        ["/endpoint", "/endpoint/new", "/log", "/log?event=bench.others", "/event-type", "/member"];
    paths.extend(of_application.map(|page| format!("{app}{page}")));
    let of_webhook = [
        "",
        "?state=failed",
        "/now",
        "/settings",
        "/verify",
        "/headers",
        "/check",
        "/test",
        "/rotate",
        "/disable",
        "/delete",
        "/recover",
        "/recover?kind=failed&hours=24",
    ];
    paths.extend(of_webhook.map(|page| format!("{webhook}{page}")));
    paths.extend([format!("{app}/msg/{message}"), "/account".to_owned()]);
    paths
}

async fn timed(posthaste: &Posthaste, path: &str, cookie: &str) -> Outcome<Histogram> {
    let mut histogram = Histogram::default();
    for _ in 0..REQUESTS {
        let begin = Instant::now();
        let reply = posthaste.page(Method::GET, path, &[("cookie", cookie)], String::new()).await?;
        histogram.record(u64::try_from(begin.elapsed().as_nanos())?);
        if reply.status != 200 {
            return Err(format!("GET {path} answered {}", reply.status).into());
        }
    }
    Ok(histogram)
}

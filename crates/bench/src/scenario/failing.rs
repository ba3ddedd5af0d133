//! Ten thousand endpoints of a hundred applications begin to fail at once (404), beside a healthy endpoint that gets 500
//! messages a second: it should not notice, also not when they are disabled a minute later and people are told. Between the two
//! stands a control, ten thousand endpoints that answer. Then an endpoint that was disabled for long is enabled again: how soon is that answered,
//! and does what it missed keep to its rate?

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::Receiver;

use crate::Outcome;
use crate::context::{Context, Subject, message_path};
use crate::load::Load;
use crate::measure::{self, Measured};
use crate::posthaste::Posthaste;
use crate::report::{Report, median};

const PER_SECOND: f64 = 500.0;
const APPLICATIONS: u64 = 100;
const ENDPOINTS_EACH: u64 = 100;
/// Messages for the others: each goes to a hundred endpoints.
const OTHERS_PER_SECOND: f64 = 10.0;
/// How often longer than the usual interval: with the default of 10 s, endpoints are disabled within it, and people told.
const LONGER: u32 = 13;
/// Between two messages to the same person.
const TOLD_EVERY: Duration = Duration::from_secs(60);
const P99_RATIO_MAX: f64 = 2.0;
/// Numbers of the others' messages, out of the way of the healthy ones'.
const FIRST_OTHER_NUMBER: u64 = 32 * 1024 * 1024;
const MISSED: u64 = 100_000;
const RATE: u64 = 5_000;
const ANSWER_SECONDS_MAX: f64 = 1.0;
const POLL: Duration = Duration::from_millis(100);

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    let (mut by_load, mut by_failing) = (Vec::new(), Vec::new());
    for _ in 0..context.options.pairs() {
        let (mut posthaste, mut healthy) = context.posthaste(1).await?;
        healthy.plan.per_second = Some(PER_SECOND);
        let alone = measure::run(context, &healthy, context.options.seconds()).await?;
        let told = Receiver::start().await;
        let notify = json!({"notify": {"slackUrl": told.url("/told")}});
        let url = |number| context.receiver.answering(number);
        let paths = others(context, &posthaste, (&notify, &url)).await?;
        let answering = beside(context, &healthy, paths).await?;
        let url = |number| context.receiver.failing(number);
        let paths = others(context, &posthaste, (&notify, &url)).await?;
        let begin = Instant::now();
        let failing = beside(context, &healthy, paths).await?;
        grouped(report, &told, begin.elapsed());
        posthaste.kill().await;
        report.row("failing", "healthy alone", &alone);
        report.row("failing", "beside answering", &answering);
        report.row("failing", "beside failing", &failing);
        by_load.push(answering.p99_ms / alone.p99_ms);
        by_failing.push(failing.p99_ms / alone.p99_ms);
    }
    let ratio = median(by_failing.iter().copied());
    let claim = format!("healthy p99 beside 10,000 failing at most {P99_RATIO_MAX:.0} × alone");
    report.verdict("failing", &claim, format!("{ratio:.2} ×"), Some(ratio <= P99_RATIO_MAX));
    let found = format!("{:.2} ×", median(by_load.iter().copied()));
    report.verdict("failing", "the same beside endpoints that answer", found, None);
    recovery(context, report).await
}

async fn others(
    context: &Context,
    posthaste: &Posthaste,
    (options, url): (&Value, &dyn Fn(u64) -> String),
) -> Outcome<Vec<String>> {
    let each = if context.options.quick { ENDPOINTS_EACH / 10 } else { ENDPOINTS_EACH };
    let mut paths = Vec::new();
    for application in 0..APPLICATIONS {
        let id = posthaste.application(&format!("other {application}")).await?;
        for number in 0..each {
            posthaste.endpoint_with(&id, &url(application * each + number), options).await?;
        }
        paths.push(message_path(&id));
    }
    Ok(paths)
}

/// Whoever is told of all of them gets one message a minute.
fn grouped(report: &mut Report, told: &Receiver, within: Duration) {
    let messages = told.requests();
    let texts = messages.iter().map(|one| one.json()["text"].as_str().unwrap_or_default().to_owned());
    for text in texts {
        eprintln!("  told: {} …", text.lines().next_back().unwrap_or_default());
    }
    let most = 1 + within.as_secs() / TOLD_EVERY.as_secs();
    let found = format!("{} in {:.0} s", messages.len(), within.as_secs_f64());
    let is_good = (1..=most).contains(&(messages.len() as u64));
    report.verdict("failing", "whoever is told gets one message a minute", found, Some(is_good));
}

async fn beside(context: &Context, healthy: &Subject, others: Vec<String>) -> Outcome<Measured> {
    let mut plan = healthy.plan.clone();
    (plan.first_number, plan.paths) = (FIRST_OTHER_NUMBER, others);
    context.receiver.reset().await;
    // All at once, then in turn.
    let first = Load::start({
        let mut all = plan.clone();
        (all.messages_max, all.per_second) = (APPLICATIONS, None);
        all
    })?;
    plan.per_second = Some(OTHERS_PER_SECOND);
    let rest = Load::start(plan)?;
    let good = Load::start(healthy.plan.clone())?;
    let interval = context.options.seconds() * LONGER;
    let mut measured = measure::interval_of(context, healthy, &good, interval).await?;
    let totals = good.finish();
    drop((first, rest));
    let drained = measure::wait_for_arrivals(context, totals.accepted).await?;
    measured.judge(&totals, totals.accepted, &drained);
    eprintln!("  {:10} {measured}", healthy.name);
    Ok(measured)
}

/// Messages for an endpoint that is disabled; then it is enabled, and gets them at its rate.
async fn recovery(context: &Context, report: &mut Report) -> Outcome<()> {
    let missed = if context.options.quick { MISSED / 10 } else { MISSED };
    let mut posthaste = context.bare_posthaste(&[]).await?;
    let application = posthaste.application("bench").await?;
    let options = json!({"disabled": true, "throttleRate": RATE});
    let endpoint = posthaste.endpoint_with(&application, &context.receiver.lane(0), &options).await?;
    let mut subject = context.subject(&posthaste, &application, 1)?;
    subject.plan.messages_max = missed;
    let load = Load::start(subject.plan.clone())?;
    measure::wait_until_sent(&load).await?;
    let accepted = load.finish().accepted;
    context.receiver.reset().await;
    let begin = Instant::now();
    let path = format!("/app/{application}/endpoint/{endpoint}/enable");
    let enabled = posthaste.post(&path, &json!({"recover": "all"})).await?;
    let answered = begin.elapsed().as_secs_f64();
    let claim = format!("enabling with {missed} to recover answers within {ANSWER_SECONDS_MAX:.0} s");
    report.verdict(
        "failing",
        &claim,
        format!("{:.1} ms", answered * 1e3),
        Some(answered <= ANSWER_SECONDS_MAX),
    );
    let (mut arrived, mut keeps) = (context.receiver.report().await?, true);
    while arrived.distinct < accepted && begin.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(POLL).await;
        arrived = context.receiver.report().await?;
        // So many in the second that has begun, and in each before.
        keeps &= arrived.arrivals <= RATE * (begin.elapsed().as_secs() + 2);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let task =
        posthaste.get(&format!("/background-task/{}", enabled["task"]["id"].as_str().unwrap_or(""))).await?;
    eprintln!("  {} of {accepted} recovered in {seconds:.1} s, task {task}", arrived.distinct);
    let per_second = arrived.arrivals as f64 / seconds;
    let claim = format!("what it missed keeps to its rate of {RATE}/s");
    report.verdict(
        "failing",
        &claim,
        format!("{per_second:.0}/s"),
        Some(keeps && arrived.distinct == accepted),
    );
    posthaste.stop().await;
    Ok(())
}

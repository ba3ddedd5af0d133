//! What shaping costs: endpoints with a template and with a transformation, each offered a share of the full speed that was
//! measured just before; and scripts that never end beside a healthy endpoint, which should not notice.

use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Context, message_path};
use crate::load::Load;
use crate::measure::{self, Measured};
use crate::report::{Report, median};

/// Shares of the full speed that are to be kept up.
const TEMPLATE_SHARE: f64 = 0.5;
const TRANSFORMATION_SHARE: f64 = 0.25;
/// What counts as kept up: nothing is left behind but what is on its way.
const KEPT_UP: f64 = 0.98;
const PER_SECOND: f64 = 500.0;
const P99_RATIO_MAX: f64 = 2.0;
const MORE_MIB_MAX: f64 = 100.0;
/// Scripts that would take all time, and all memory.
const BOMBS: [(&str, &str); 2] = [
    ("a looping script", "for (;;) {}"),
    ("a script that fills memory", "const all = []; for (;;) all.push(new Array(1000).fill(1))"),
];
/// Numbers of the other's messages, out of the way.
const FIRST_OTHER_NUMBER: u64 = 32 * 1024 * 1024;

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    let template = json!({"template": "{{ data|tojson }}"});
    let code = "function handler(webhook) { webhook.headers['X-Kind'] = webhook.eventType; return webhook }";
    let transformation = json!({"transformation": code});
    for (name, options, share) in
        [("template", template, TEMPLATE_SHARE), ("transformation", transformation, TRANSFORMATION_SHARE)]
    {
        let mut shares = Vec::new();
        for _ in 0..context.options.pairs() {
            let plain = measured(context, &json!({}), None).await?;
            report.row("shaped", "plain", &plain);
            let offered = plain.deliveries_per_second * share;
            let shaped = measured(context, &options, Some(offered)).await?;
            report.row("shaped", name, &shaped);
            shares.push(shaped.deliveries_per_second / offered);
        }
        let kept = median(shares.iter().copied());
        let claim = format!("with a {name} at least {:.0} % of the full speed", share * 100.0);
        report.verdict("shaped", &claim, format!("{:.0} %", kept * share * 100.0), Some(kept >= KEPT_UP));
    }
    for (name, body) in BOMBS {
        beside(context, report, (name, body)).await?;
    }
    Ok(())
}

async fn measured(context: &Context, options: &Value, per_second: Option<f64>) -> Outcome<Measured> {
    let mut posthaste = context.bare_posthaste(&[]).await?;
    let application = posthaste.application("bench").await?;
    posthaste.endpoint_with(&application, &context.receiver.lane(0), options).await?;
    let mut subject = context.subject(&posthaste, &application, 1)?;
    subject.plan.per_second = per_second;
    let measured = measure::run(context, &subject, context.options.seconds()).await?;
    posthaste.stop().await;
    Ok(measured)
}

/// A healthy endpoint alone, and beside one whose script takes all that it can get.
async fn beside(context: &Context, report: &mut Report, (name, body): (&str, &str)) -> Outcome<()> {
    let (mut ratios, mut more_mib) = (Vec::new(), 0.0_f64);
    for _ in 0..context.options.pairs() {
        let (mut posthaste, mut healthy) = context.posthaste(1).await?;
        healthy.plan.per_second = Some(PER_SECOND);
        let alone = measure::run(context, &healthy, context.options.seconds()).await?;
        let other = posthaste.application("loops").await?;
        let code = format!("function handler(webhook) {{ {body} }}");
        posthaste.endpoint_with(&other, &context.receiver.lane(1), &json!({"transformation": code})).await?;
        let mut plan = healthy.plan.clone();
        (plan.paths, plan.first_number) = (vec![message_path(&other)], FIRST_OTHER_NUMBER);
        context.receiver.reset().await;
        let (others, good) = (Load::start(plan)?, Load::start(healthy.plan.clone())?);
        let mut beside = measure::interval_of(context, &healthy, &good, context.options.seconds()).await?;
        let totals = good.finish();
        drop(others.finish());
        let drained = measure::wait_for_arrivals(context, totals.accepted).await?;
        beside.judge(&totals, totals.accepted, &drained);
        posthaste.kill().await;
        report.row("shaped", "alone", &alone);
        report.row("shaped", &format!("beside {name}"), &beside);
        ratios.push(beside.p99_ms / alone.p99_ms);
        more_mib = more_mib.max(beside.peak_mib - alone.peak_mib);
    }
    let ratio = median(ratios.iter().copied());
    let claim = format!("p99 beside {name} at most {P99_RATIO_MAX:.0} × alone");
    report.verdict("shaped", &claim, format!("{ratio:.2} ×"), Some(ratio <= P99_RATIO_MAX));
    let claim = format!("memory beside {name} at most {MORE_MIB_MAX:.0} MiB more");
    report.verdict("shaped", &claim, format!("{more_mib:.0} MiB"), Some(more_mib <= MORE_MIB_MAX));
    Ok(())
}

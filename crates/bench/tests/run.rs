//! The whole benchmark, small, against its own stand-in: every scenario runs to its end and its tables are complete.
//! What the figures say is of no interest here.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testkit::Process;

/// Long enough for a debug build on a busy machine.
const RUN_TIMEOUT: Duration = Duration::from_secs(240);

async fn run(arguments: &[&str], json: &Path) -> (Value, String) {
    let bench = env!("CARGO_BIN_EXE_bench");
    let mut command = Command::new(bench);
    command.args(["--posthaste", bench, "--quick", "--seconds", "1", "--warm-up", "0", "--json"]).arg(json);
    command.arg("--dir").arg(json.parent().expect("a folder")).args(arguments);
    let process = Process::start(command);
    process.wait(RUN_TIMEOUT).await;
    let text = process.lines().join("\n");
    let report = std::fs::read(json).unwrap_or_else(|error| panic!("no report ({error}):\n{text}"));
    (serde_json::from_slice(&report).expect("JSON"), text)
}

fn rows<'a>(report: &'a Value, scenario: &str) -> Vec<(&'a str, &'a Value)> {
    let rows = report["rows"].as_array().expect("rows").iter().filter(|row| row["scenario"] == scenario);
    rows.map(|row| (row["subject"].as_str().expect("a subject"), &row["measured"])).collect()
}

#[tokio::test]
async fn floor_and_subject_are_measured_and_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let (report, text) = run(&["--scenario", "full,steady,fanout"], &folder.path().join("report.json")).await;
    for scenario in ["full", "steady", "fanout"] {
        let rows = rows(&report, scenario);
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), ["floor", "posthaste"], "{text}");
        for (subject, measured) in rows {
            assert!(measured["deliveries"].as_u64() > Some(100), "{scenario} {subject}: {measured}");
            assert_eq!(
                (&measured["missing"], &measured["duplicates"], &measured["refused"]),
                (&0.into(), &0.into(), &0.into()),
                "{scenario} {subject}: {measured}"
            );
            assert!(measured["cpu_us_per_delivery"].as_f64() > Some(1.0), "{scenario} {subject}: {measured}");
            assert!(measured["p50_ms"].as_f64() > Some(0.01), "{scenario} {subject}: {measured}");
            assert!(measured["peak_mib"].as_f64() > Some(1.0), "{scenario} {subject}: {measured}");
        }
    }
    assert!(text.contains("| full | CPU per delivery at most 2.0 × floor |"), "{text}");
    assert!(text.contains("fdatasync of 4 × 4 KiB"), "{text}");
}

#[tokio::test]
async fn a_backlog_survives_the_kill_and_drains() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--scenario", "backlog", "--backlog", "1000"];
    let (_, text) = run(&arguments, &folder.path().join("report.json")).await;
    assert!(text.contains("| backlog | everything accepted arrives | 0 missing of 1000,"), "{text}");
    assert!(text.contains("first delivery after"), "{text}");
    assert!(!text.contains("broke off"), "{text}");
}

#[tokio::test]
async fn the_long_scenarios_run_to_their_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--scenario", "hanging,history,idempotency", "--history", "1000", "--hanging", "5"];
    let (report, text) = run(&arguments, &folder.path().join("report.json")).await;
    assert!(!text.contains("broke off"), "{text}");
    let subjects = |scenario| rows(&report, scenario).iter().map(|row| row.0.to_owned()).collect::<Vec<_>>();
    let expected = ["healthy alone", "beside answering", "beside hanging"];
    assert_eq!(subjects("hanging"), expected, "{text}");
    assert_eq!(subjects("history"), ["empty store", "long history"], "{text}");
    assert_eq!(subjects("idempotency"), ["with key", "without key"], "{text}");
    assert_eq!(text.matches("p99 of GET").count(), 6, "{text}");
}

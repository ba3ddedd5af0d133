//! Processes are started, heard, signalled and reaped.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use testkit::Process;

const SOON: Duration = Duration::from_secs(5);

fn shell(script: &str) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("WORD", "hello");
    Process::start(command)
}

#[tokio::test]
async fn lines_of_both_outputs_are_heard_and_the_exit_code_is_seen() {
    let process = shell("echo $WORD out; echo $WORD err >&2; exit 3");
    assert_eq!(process.wait_for_line("err", SOON).await, "hello err");
    assert_eq!(process.wait_for_line("out", SOON).await, "hello out");
    assert_eq!(process.wait(SOON).await.code(), Some(3));
    assert!(!process.is_running());
}

#[tokio::test]
async fn what_it_said_last_is_there_when_it_has_ended() {
    for _ in 0..20 {
        let process = shell("seq 1 5000");
        assert!(process.wait(SOON).await.success());
        assert_eq!(process.lines().last().map(String::as_str), Some("5000"));
    }
}

#[tokio::test]
async fn terminate_lets_it_clean_up_and_kill9_does_not() {
    let script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let polite = shell(script);
    polite.wait_for_line("ready", SOON).await;
    polite.terminate();
    polite.wait_for_line("bye", SOON).await;
    assert_eq!(polite.wait(SOON).await.code(), Some(0));

    let blunt = shell(script);
    blunt.wait_for_line("ready", SOON).await;
    blunt.kill9();
    assert_eq!(blunt.wait(SOON).await.signal(), Some(9));
    assert_eq!(blunt.lines(), ["ready"]);
    blunt.kill9();
}

#[tokio::test]
#[should_panic(expected = "no line with \"never\"")]
async fn waiting_for_a_line_ends_when_the_process_does() {
    shell("echo something else").wait_for_line("never", SOON).await;
}

#[tokio::test]
async fn a_dropped_process_is_gone() {
    let process = shell("echo ready; exec sleep 1000");
    process.wait_for_line("ready", SOON).await;
    let pid = process.pid();
    drop(process);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

//! The process that runs scripts, by itself.

use crate::live::WITHIN;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

/// How a worker says that a script never ended.
const HUNG: i32 = 86;

/// Does not outlive its test.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Worker {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
        command.arg("script-worker").stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().expect("a worker"))
    }

    fn write(&mut self, task: &Value) {
        let json = task.to_string();
        let length = u32::try_from(json.len()).expect("a short call").to_le_bytes();
        let input = self.0.stdin.as_mut().expect("a pipe");
        input.write_all(&[&length, json.as_bytes()].concat()).expect("a worker that reads");
    }

    fn read(&mut self) -> Option<Value> {
        let output = self.0.stdout.as_mut().expect("a pipe");
        let mut length = [0; 4];
        output.read_exact(&mut length).ok()?;
        let mut json = vec![0; usize::try_from(u32::from_le_bytes(length)).expect("a length")];
        output.read_exact(&mut json).ok()?;
        Some(serde_json::from_slice(&json).expect("JSON"))
    }

    fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("its status") {
                return status;
            }
            assert!(begun.elapsed() < WITHIN, "it runs on");
            std::thread::yield_now();
        }
    }
}

fn call(code: &str) -> Value {
    let webhook = json!({"method": "POST", "url": "https://example.com/", "headers": {}, "eventType": "a.b", "payload": {}, "context": {}});
    json!({"Run": {"code": code, "webhook": webhook, "now_ms": 0, "seed": 0}})
}

/// From inside: it also does when whoever started it is gone.
#[test]
fn a_worker_ends_itself_when_a_script_cannot_be_interrupted() {
    let mut worker = Worker::start();
    worker.write(&call("const handler = (w) => w"));
    assert_eq!(worker.read().expect("an answer")["Ran"]["Ok"]["cancel"], false);
    worker.write(&call("function handler(w) { Array.prototype.reverse.call({ length: 2 ** 53 - 1 }) }"));
    assert_eq!((worker.ended().code(), worker.read()), (Some(HUNG), None));
}

#[test]
fn a_worker_ends_when_nobody_asks_any_more() {
    let mut worker = Worker::start();
    worker.write(&call("const handler = (w) => ({ ...w, cancel: true })"));
    assert_eq!(worker.read().expect("an answer")["Ran"]["Ok"]["cancel"], true);
    drop(worker.0.stdin.take());
    assert!(worker.ended().success());
}

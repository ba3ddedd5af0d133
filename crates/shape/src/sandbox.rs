//! The sandbox from outside: processes beside this one that run scripts, started when they are needed and again when they die.
//!
//! Each makes one call at a time; calls are made in the order in which they came. Attempts wait for their turn, of which there are never more than
//! requests in flight; of those that people ask for (checks, dry runs) few may wait. A call whose script never ends takes its
//! process with it, and nothing else.

use crate::transformation::{Call, Changed, ScriptError};
use crate::worker::{Answer, Task, frame_of, length_of};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Checks and dry runs that may wait or be made.
const ASKED_MAX: usize = 32;
/// Processes: while one hangs until it is ended, another goes on.
const WORKERS: usize = 2;
/// How long one call may take by the clock on the wall: on a machine so busy that it is not over by then, nothing runs well.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The argument that makes the program a worker.
pub const WORKER: &str = "script-worker";

/// Runs scripts. Clones share the process.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The program, which becomes a worker by its argument.
    program: PathBuf,
    places: Semaphore,
    /// Calls that are being made.
    turns: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

#[derive(Debug)]
struct Worker {
    /// Held so that the process ends when this does.
    _process: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Sandbox {
    /// A sandbox of the program at `program`, or of this very program, also when its file was replaced. Nothing is started yet.
    #[must_use]
    pub fn new(program: Option<PathBuf>) -> Self {
        let program = program.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        Self(Arc::new(Inner {
            program,
            places: Semaphore::new(ASKED_MAX),
            turns: Semaphore::new(WORKERS),
            idle: Mutex::default(),
        }))
    }

    /// Runs a script for somebody who asks what it would do.
    ///
    /// # Errors
    /// [`ScriptError`]; `NotRun` when too many others ask.
    pub async fn try_run(&self, call: Call) -> Result<Changed, ScriptError> {
        let _place = self.place()?;
        self.run(call).await
    }

    /// Runs a script.
    ///
    /// # Errors
    /// [`ScriptError`].
    pub async fn run(&self, call: Call) -> Result<Changed, ScriptError> {
        match self.ask(Task::Run(call)).await? {
            Answer::Ran(ran) => ran,
            Answer::Checked(_) => Err(ScriptError::NotRun("the sandbox answered something else".to_owned())),
        }
    }

    /// Whether code compiles.
    ///
    /// # Errors
    /// Its own error in `Ok`, as a sentence; [`ScriptError`] when it could not be asked.
    pub async fn check(&self, code: &str) -> Result<Result<(), String>, ScriptError> {
        let _place = self.place()?;
        match self.ask(Task::Check(code.into())).await? {
            Answer::Checked(checked) => Ok(checked),
            Answer::Ran(_) => Err(ScriptError::NotRun("the sandbox answered something else".to_owned())),
        }
    }

    fn place(&self) -> Result<SemaphorePermit<'_>, ScriptError> {
        let busy = || ScriptError::NotRun(format!("{ASKED_MAX} others wait (scripts_asked_max); try again"));
        self.0.places.try_acquire().map_err(|_| busy())
    }

    async fn ask(&self, task: Task) -> Result<Answer, ScriptError> {
        let frame = frame_of(&task).map_err(|error| ScriptError::NotRun(error.to_string()))?;
        let closed = |_| ScriptError::NotRun("it is closed".to_owned());
        let _turn = self.0.turns.acquire().await.map_err(closed)?;
        // Out of its place while it works: when this future is dropped, the process goes with its answer.
        let kept = self.0.idle.lock().pop();
        let fresh = kept.is_none();
        let mut worker = kept.map_or_else(|| self.start(), Ok)?;
        let mut answer = timeout(ANSWER_WITHIN, worker.exchange(&frame)).await;
        if !fresh && matches!(&answer, Ok(Err(Broken::BeforeAsked))) {
            // It had died since it was last used.
            worker = self.start()?;
            answer = timeout(ANSWER_WITHIN, worker.exchange(&frame)).await;
        }
        match answer {
            Ok(Ok(answer)) => {
                self.0.idle.lock().push(worker);
                Ok(answer)
            }
            Ok(Err(Broken::BeforeAsked)) => Err(ScriptError::NotRun("its process cannot be used".to_owned())),
            Ok(Err(Broken::Died)) | Err(_) => Err(ScriptError::TimedOut),
        }
    }

    fn start(&self) -> Result<Worker, ScriptError> {
        let not_run =
            |error: std::io::Error| ScriptError::NotRun(format!("no process can be started: {error}"));
        let mut process = Command::new(&self.0.program)
            .arg(WORKER)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(not_run)?;
        match (process.stdin.take(), process.stdout.take()) {
            (Some(input), Some(output)) => Ok(Worker { _process: process, input, output }),
            _ => Err(ScriptError::NotRun("its process has no pipes".to_owned())),
        }
    }
}

/// Why there was no answer.
#[derive(Debug)]
enum Broken {
    /// The question could not be written.
    BeforeAsked,
    /// The process ended over it.
    Died,
}

impl Worker {
    async fn exchange(&mut self, frame: &[u8]) -> Result<Answer, Broken> {
        self.input.write_all(frame).await.map_err(|_| Broken::BeforeAsked)?;
        let mut head = [0; 4];
        self.output.read_exact(&mut head).await.map_err(|_| Broken::Died)?;
        let mut answer = vec![0; length_of(head).map_err(|_| Broken::Died)?];
        self.output.read_exact(&mut answer).await.map_err(|_| Broken::Died)?;
        serde_json::from_slice(&answer).map_err(|_| Broken::Died)
    }
}

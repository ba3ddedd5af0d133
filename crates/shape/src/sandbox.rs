//! The sandbox from outside: processes beside this one that run scripts, started when they are needed and again when they die.
//!
//! Each makes one call at a time; calls are made in the order in which they came, but that scripts which took long when they
//! ran last share one process: so many of them there may be, quick ones have the other. Attempts wait for their turn, dispatch
//! bounds how many; of those that people ask for (checks, dry runs) few may wait. A call whose script never ends takes its process
//! with it, and nothing else.

use crate::transformation::{Call, Changed, ScriptError};
use crate::worker::{Answer, HUNG, Task, frame_of, length_of};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Checks and dry runs that may wait or be made.
const ASKED_MAX: usize = 32;
/// How long they wait.
const ASKED_WITHIN: Duration = Duration::from_secs(10);
/// Processes: while one hangs until it is ended, another goes on.
const WORKERS: usize = 2;
/// How long one call may take by the clock on the wall: on a machine so busy that it is not over by then, nothing runs well.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a process may take to end that has closed its pipes.
const DIES_WITHIN: Duration = Duration::from_secs(1);
/// A script that takes longer is slow, by the clock on the wall.
const SLOW_AFTER: Duration = Duration::from_millis(20);
/// The argument that makes the program a worker.
pub const WORKER: &str = "script-worker";

/// Runs scripts. Clones share the processes.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The program, which becomes a worker by its argument.
    program: PathBuf,
    places: Semaphore,
    /// Calls that are being made.
    turns: Semaphore,
    /// Calls of slow scripts that are being made.
    slow_turns: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

#[derive(Debug)]
struct Worker {
    process: Child,
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
            slow_turns: Semaphore::new(WORKERS - 1),
            idle: Mutex::default(),
        }))
    }

    /// Runs a script for somebody who asks what it would do.
    ///
    /// # Errors
    /// [`ScriptError`]; `NotRun` when too many others ask.
    pub async fn try_run(&self, call: Call) -> Result<Changed, ScriptError> {
        match self.asked(Task::Run(call)).await? {
            Answer::Ran(ran) => ran,
            Answer::Checked(_) => Err(ScriptError::NotRun("the sandbox answered something else".to_owned())),
        }
    }

    /// Runs a script. `is_slow` is kept by the caller for each script: whether it took long when it ran last.
    ///
    /// # Errors
    /// [`ScriptError`].
    pub async fn run(&self, call: Call, is_slow: &AtomicBool) -> Result<Changed, ScriptError> {
        match self.ask(Task::Run(call), is_slow).await? {
            Answer::Ran(ran) => ran,
            Answer::Checked(_) => Err(ScriptError::NotRun("the sandbox answered something else".to_owned())),
        }
    }

    /// Whether code compiles.
    ///
    /// # Errors
    /// Its own error in `Ok`, as a sentence; [`ScriptError`] when it could not be asked.
    pub async fn check(&self, code: &str) -> Result<Result<(), String>, ScriptError> {
        match self.asked(Task::Check(code.into())).await? {
            Answer::Checked(checked) => Ok(checked),
            Answer::Ran(_) => Err(ScriptError::NotRun("the sandbox answered something else".to_owned())),
        }
    }

    /// Asks for a person, who does not wait long, and whose script may be anything.
    async fn asked(&self, task: Task) -> Result<Answer, ScriptError> {
        let busy = |why: &str| ScriptError::NotRun(format!("{why}; try again"));
        let place = self.0.places.try_acquire();
        let _place = place.map_err(|_| busy(&format!("{ASKED_MAX} others wait (scripts_asked_max)")))?;
        let might_be_slow = AtomicBool::new(true);
        let answer = timeout(ASKED_WITHIN, self.ask(task, &might_be_slow)).await;
        answer.unwrap_or_else(|_| Err(busy("other scripts take all the time that there is")))
    }

    async fn ask(&self, task: Task, is_slow: &AtomicBool) -> Result<Answer, ScriptError> {
        let frame = frame_of(&task).map_err(|error| ScriptError::NotRun(error.to_string()))?;
        let closed = |_| ScriptError::NotRun("it is closed".to_owned());
        let was_slow = is_slow.load(Ordering::Relaxed);
        let _slow_turn = match was_slow {
            true => Some(self.0.slow_turns.acquire().await.map_err(closed)?),
            false => None,
        };
        let _turn = self.0.turns.acquire().await.map_err(closed)?;
        let asked = Instant::now();
        let answer = self.answer(&frame, false).await;
        is_slow.store(asked.elapsed() > SLOW_AFTER, Ordering::Relaxed);
        answer
    }

    async fn answer(&self, frame: &[u8], is_again: bool) -> Result<Answer, ScriptError> {
        // Out of its place while it works: when this future is dropped, the process goes with its answer.
        let kept = self.0.idle.lock().pop();
        let fresh = kept.is_none();
        let mut worker = kept.map_or_else(|| self.start(), Ok)?;
        let mut answer = timeout(ANSWER_WITHIN, worker.exchange(frame)).await;
        if !fresh && matches!(&answer, Ok(Err(Broken::BeforeAsked))) {
            // It had died since it was last used.
            worker = self.start()?;
            answer = timeout(ANSWER_WITHIN, worker.exchange(frame)).await;
        }
        match answer {
            Ok(Ok(answer)) => {
                self.0.idle.lock().push(worker);
                Ok(answer)
            }
            Ok(Err(Broken::BeforeAsked)) => Err(ScriptError::NotRun("its process cannot be used".to_owned())),
            Ok(Err(Broken::Died)) => match worker.why_it_died().await {
                // Once it may have been ended by somebody else: out of memory, say. Twice it is the script.
                ScriptError::NotRun(why) if is_again => Err(ScriptError::Failed(why)),
                ScriptError::NotRun(_) => Box::pin(self.answer(frame, true)).await,
                other => Err(other),
            },
            Err(_) => Err(ScriptError::TimedOut),
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
            (Some(input), Some(output)) => Ok(Worker { process, input, output }),
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
    /// Whether its script ran without end, or the process was ended by somebody else: out of memory, say.
    async fn why_it_died(&mut self) -> ScriptError {
        match timeout(DIES_WITHIN, self.process.wait()).await {
            Ok(Ok(status)) if status.code() == Some(HUNG) => ScriptError::TimedOut,
            Ok(Ok(status)) => ScriptError::NotRun(format!("its process ended ({status})")),
            Ok(Err(_)) | Err(_) => ScriptError::NotRun("its process is gone".to_owned()),
        }
    }

    async fn exchange(&mut self, frame: &[u8]) -> Result<Answer, Broken> {
        self.input.write_all(frame).await.map_err(|_| Broken::BeforeAsked)?;
        let mut head = [0; 4];
        self.output.read_exact(&mut head).await.map_err(|_| Broken::Died)?;
        let mut answer = vec![0; length_of(head).map_err(|_| Broken::Died)?];
        self.output.read_exact(&mut answer).await.map_err(|_| Broken::Died)?;
        serde_json::from_slice(&answer).map_err(|_| Broken::Died)
    }
}

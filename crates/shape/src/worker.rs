//! The sandbox from inside: a process that reads calls, makes them, and writes what came of them.
//!
//! It has no secrets, cannot open files or sockets, and has a low priority. Its memory is what QuickJS gives a script. What a call does without end is ended from inside: a second thread
//! watches the clock of the processor and ends the whole process. So it also ends when whoever started it is gone.

use crate::transformation::{self, Call, ScriptError};
use rustix::process::{Pid, Resource, Rlimit, setpriority_process, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How much lower its priority is than others': at full load it gets a sixth of what they get.
const NICE: i32 = 8;
/// A frame at most, in bytes.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Processor time after which a call is ended with the process, in milliseconds: what ends by itself has long done so.
const HANGS_AFTER_MS: u64 = 400;

/// How the process ends when a call used too much.
pub(crate) const HUNG: i32 = 86;

/// What the sandbox is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Whether code compiles.
    Check(Arc<str>),
    /// To make a call.
    Run(Call),
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// To `Check`.
    Checked(Result<(), String>),
    /// To `Run`.
    Ran(Result<transformation::Changed, ScriptError>),
}

/// Serves calls from `input` until it ends.
///
/// # Errors
/// When `input` is not what [`crate::sandbox`] writes, or `output` is gone.
pub fn serve(mut input: impl Read, mut output: impl Write) -> std::io::Result<()> {
    let begun = Arc::new(AtomicU64::new(IDLE));
    let watched = Arc::clone(&begun);
    std::thread::Builder::new().name("watch".to_owned()).spawn(move || watch(&watched))?;
    confine();
    while let Some(frame) = read_frame(&mut input)? {
        let task: Task = serde_json::from_slice(&frame)?;
        begun.store(processor_ms(), Ordering::Release);
        let answer = match task {
            Task::Check(code) => Answer::Checked(transformation::check(&code)),
            Task::Run(call) => Answer::Ran(transformation::run(&call)),
        };
        begun.store(IDLE, Ordering::Release);
        output.write_all(&frame_of(&answer)?)?;
        output.flush()?;
    }
    Ok(())
}

/// No call is being made.
const IDLE: u64 = u64::MAX;

/// Ends the process when a call has used too much of the processor.
fn watch(begun: &AtomicU64) {
    loop {
        std::thread::sleep(LOOK_EVERY);
        let since = begun.load(Ordering::Acquire);
        if since != IDLE && processor_ms().saturating_sub(since) > HANGS_AFTER_MS {
            // The thread that hangs cannot be ended by itself.
            #[expect(
                clippy::disallowed_methods,
                reason = "there is nothing to close: pipes end with the process"
            )]
            std::process::exit(HUNG);
        }
    }
}

/// Takes away what a script could do harm with, were it to break out of its engine.
fn confine() {
    let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
    let _ = setpriority_process(None::<Pid>, NICE);
    let _ = setrlimit(Resource::Nofile, limit(3));
    let _ = setrlimit(Resource::Fsize, limit(0));
    let _ = setrlimit(Resource::Core, limit(0));
}

fn processor_ms() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec.unsigned_abs() * 1000 + used.tv_nsec.unsigned_abs() / 1_000_000
}

/// A value as it goes through the pipe: its length, then JSON.
pub(crate) fn frame_of(value: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, value)?;
    let length = u32::try_from(frame.len() - 4).map_err(std::io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// The length that a frame's head tells.
pub(crate) fn length_of(head: [u8; 4]) -> std::io::Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(head)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(std::io::Error::other("a frame is too long"));
    }
    Ok(length)
}

fn read_frame(input: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut head = [0; 4];
    match input.read_exact(&mut head) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut frame = vec![0; length_of(head)?];
    input.read_exact(&mut frame)?;
    Ok(Some(frame))
}

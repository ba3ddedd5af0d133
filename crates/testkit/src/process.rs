//! A real binary under test: started, listened to, signalled, and gone when the test is.
//!
//! Two threads read its output into a bounded memory and one waits for its end, so nothing polls; they end with the
//! process. Signals go through a pid descriptor, so never to a stranger that got the same number.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::watch;

/// How many lines of output are kept; the oldest go first.
const LINES_MAX: usize = 10_000;
/// Where a line is cut.
const LINE_BYTES_MAX: u64 = 16 * 1_024;

/// A running child process. Killed, by its own pid, on drop.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    handle: OwnedFd,
    lines: Arc<watch::Sender<Lines>>,
    ended: watch::Receiver<Option<ExitStatus>>,
    waiting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    /// Of the two pipes, how many are at their end.
    ended: u8,
}

impl Process {
    /// Starts it without input and with both outputs kept. Panics when it cannot start, naming the program.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let lines = Arc::new(watch::Sender::new(Lines::default()));
        keep_lines(child.stdout.take().expect("piped"), lines.clone());
        keep_lines(child.stderr.take().expect("piped"), lines.clone());
        let handle =
            pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("a descriptor of our own child");
        let pid = child.id();
        let (sender, ended) = watch::channel(None);
        let waiting = std::thread::spawn(move || wait_for_end(child, &sender));
        Self { pid, handle, lines, ended, waiting: Some(waiting) }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Every kept line of stdout and stderr, in the order in which they were read.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().kept.iter().cloned().collect()
    }

    /// Waits for a line (past ones count) that contains `pattern`. Panics with the output after `within`, or at its end.
    pub async fn wait_for_line(&self, pattern: &str, within: Duration) -> String {
        let mut lines = self.lines.subscribe();
        let seen = lines.wait_for(|lines| lines.ended == 2 || find(lines, pattern).is_some());
        let found = match tokio::time::timeout(within, seen).await {
            Ok(lines) => find(&lines.expect("we hold the sender"), pattern),
            Err(_elapsed) => None,
        };
        found.unwrap_or_else(|| {
            panic!("no line with {pattern:?} within {within:?}; the output:\n{}", self.lines().join("\n"))
        })
    }

    /// SIGKILL: it ends here and now, whatever it was doing.
    pub fn kill9(&self) {
        self.signal(Signal::KILL);
    }

    /// SIGTERM: it is asked to stop in its own way.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: it stands still, keeping its sockets and locks, until [`Process::resume`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT, after [`Process::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Waits for its end and for the last of its output. Panics with the output after `within`.
    pub async fn wait(&self, within: Duration) -> ExitStatus {
        let (mut ended, mut lines) = (self.ended.clone(), self.lines.subscribe());
        let end = async {
            lines.wait_for(|lines| lines.ended == 2).await.expect("we hold the sender");
            *ended.wait_for(Option::is_some).await.expect("the waiting thread sends before it ends")
        };
        if let Ok(status) = tokio::time::timeout(within, end).await {
            return status.expect("waited for");
        }
        panic!("still running after {within:?}; the output:\n{}", self.lines().join("\n"));
    }

    /// A signal to a process that has ended already is no error.
    fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.handle, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if let Some(waiting) = self.waiting.take() {
            let _ = waiting.join();
        }
    }
}

fn find(lines: &Lines, pattern: &str) -> Option<String> {
    lines.kept.iter().find(|line| line.contains(pattern)).cloned()
}

fn wait_for_end(mut child: Child, sender: &watch::Sender<Option<ExitStatus>>) {
    let status = child.wait().expect("our own child can be waited for");
    sender.send_replace(Some(status));
}

/// Reads lines until the pipe ends, which it does with the process.
fn keep_lines(pipe: impl Read + Send + 'static, lines: Arc<watch::Sender<Lines>>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!((&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line), Ok(read) if read > 0)
        {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            lines.send_modify(|lines| {
                if lines.kept.len() == LINES_MAX {
                    lines.kept.pop_front();
                }
                lines.kept.push_back(text);
            });
            line.clear();
        }
        lines.send_modify(|lines| lines.ended += 1);
    });
}

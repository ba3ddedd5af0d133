//! A real mail server (aiosmtpd): takes mails, refuses some recipients, is slow to others.

use parking_lot::Mutex;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Debian's own: another Python does not see Debian's packages.
const PYTHON: &str = "/usr/bin/python3";
const PROGRAM: &str = include_str!("mail_server.py");

/// A mail server on a port of 127.0.0.1. It ends when it is dropped.
///
/// What it does hangs on the recipient: `refused@…` is refused for ever, `busy@…` is put off, `slow@…` is never answered, `mute@…`
/// gets no goodbye once its mail is taken.
#[derive(Debug)]
pub struct MailServer {
    process: Child,
    port: u16,
    mails: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
}

/// What a server with TLS wants of whoever comes.
#[derive(Clone, Copy, Debug)]
pub struct LogIn<'a> {
    /// The file of its certificate, in PEM.
    pub certificate: &'a str,
    /// The file of its key, in PEM.
    pub key: &'a str,
    /// The user.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
}

impl MailServer {
    /// Starts one that takes whatever comes; on a free port if that is 0.
    #[must_use]
    pub fn start(port: u16) -> Self {
        Self::with(port, None)
    }

    /// Starts one that wants STARTTLS and a log-in.
    #[must_use]
    pub fn with_log_in(log_in: LogIn<'_>) -> Self {
        Self::with(0, Some(log_in))
    }

    fn with(port: u16, log_in: Option<LogIn<'_>>) -> Self {
        let mut command = Command::new(PYTHON);
        command.args(["-c", PROGRAM, &port.to_string()]).stdout(Stdio::piped()).stdin(Stdio::null());
        if let Some(LogIn { certificate, key, user, password }) = log_in {
            command.args([certificate, key, user, password]);
        }
        let started = command.spawn();
        let mut process = started.unwrap_or_else(|error| panic!("{PYTHON} does not start: {error}"));
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let first = lines.next().and_then(Result::ok).and_then(|line| line.parse().ok());
        let Some(port) = first else {
            panic!("the mail server does not start: is the package python3-aiosmtpd installed?");
        };
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().push(serde_json::from_str(&line).expect("a mail as JSON"));
            }
        });
        Self { process, port, mails, reader: Some(reader) }
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What came so far: `to`, `from`, `headers`, `text`, `html`, `tls`, `authenticated`.
    #[must_use]
    pub fn mails(&self) -> Vec<Value> {
        self.mails.lock().clone()
    }

    /// What came so far for one recipient.
    #[must_use]
    pub fn mails_to(&self, recipient: &str) -> Vec<Value> {
        let mut mails = self.mails();
        mails.retain(|mail| mail["to"].as_array().is_some_and(|all| all.iter().any(|to| to == recipient)));
        mails
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

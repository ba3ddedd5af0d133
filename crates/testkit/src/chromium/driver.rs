//! The processes of a browser: `chromedriver`, which starts Chromium and takes requests for it.
//!
//! A shell stands between the test process and `chromedriver` and waits for the end of its input. When the test process
//! ends, however it ends, the input ends with it: the shell ends the group of processes whose first is `chromedriver` and
//! removes their folder. So nothing is left behind, not even by a SIGKILL.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::oneshot;

/// How long the driver may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// What it says then, before the port and a full stop.
const STARTED: &str = "was started successfully on port ";
/// Says the driver's pid and runs it until the input ends. Then waits until none of its group lives, for they write into the
/// folder. (One that has ended stays in its group as a zombie until its new parent notices, which may take a second.) Chromium's crash
/// handlers are in groups of their own and end with it; the folder is removed until they have.
const WATCH: &str = r#"
    folder="$1"
    setsid chromedriver --port=0 < /dev/null 2>&1 &
    driver=$!
    echo "pid $driver"
    read -r _
    kill -s KILL -- -$driver 2> /dev/null || kill -s KILL $driver 2> /dev/null
    wait $driver
    tries=100
    while [ $tries -gt 0 ] && cat /proc/[0-9]*/stat 2> /dev/null | grep -qE "\) [^ZX] [0-9]+ $driver "; do
        tries=$((tries - 1))
        sleep 0.02
    done
    while [ $tries -gt 0 ] && rm -rf "$folder" 2> /dev/null && grep -qs "database=$folder/" /proc/[0-9]*/cmdline; do
        tries=$((tries - 1))
        sleep 0.02
    done
"#;

/// A running `chromedriver`.
#[derive(Debug)]
pub(super) struct Driver {
    watch: Child,
    input: Option<ChildStdin>,
    pid: u32,
    port: u16,
    folder: TempDir,
}

impl Driver {
    /// Starts one on a port of its choice.
    pub(super) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("chromium-").tempdir().expect("a temporary folder");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCH, "watch"]).arg(folder.path());
        // All that is written goes into the folder, and the machine's own language and time zone do not matter.
        command.env("HOME", folder.path()).env("TMPDIR", folder.path());
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME").env_remove("XDG_DATA_HOME");
        command.env("LC_ALL", "C.UTF-8").env("LANGUAGE", "en").env("TZ", "UTC");
        // A group of its own: a signal to the tests' group (Ctrl-C) does not end the shell before the browser.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut watch = command.spawn().expect("/bin/sh runs");
        let input = watch.stdin.take();
        let (output, errors) = (watch.stdout.take().expect("piped"), watch.stderr.take().expect("piped"));
        let (sender, started) = oneshot::channel();
        // It reads on, so that nobody waits for a full pipe, and ends with them.
        std::thread::spawn(move || listen(output.chain(errors), sender));
        // Held from here on, so that what was started ends even if it is of no use.
        let mut driver = Self { watch, input, pid: 0, port: 0, folder };
        match tokio::time::timeout(START_TIMEOUT, started).await {
            Ok(Ok(Ok((pid, port)))) => (driver.pid, driver.port) = (pid, port),
            Ok(Ok(Err(told))) => panic!(
                "chromedriver does not start. On Debian: apt-get install chromium chromium-driver\n{told}"
            ),
            _ => panic!("chromedriver does not listen within {START_TIMEOUT:?}"),
        }
        driver
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Where it listens, on 127.0.0.1.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// A folder for the browser's files.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.watch.wait();
    }
}

/// Sends the pid and the port once they are told, or all that was told when nothing more comes.
fn listen(output: impl Read, sender: oneshot::Sender<Result<(u32, u16), String>>) {
    let mut sender = Some(sender);
    let mut pid = None;
    let mut told = Vec::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if sender.is_none() {
            continue;
        }
        if let Some(number) = line.strip_prefix("pid ") {
            pid = number.parse().ok();
        }
        let port = line.split_once(STARTED).and_then(|(_, port)| port.trim_end_matches('.').parse().ok());
        told.push(line);
        if let (Some(pid), Some(port)) = (pid, port) {
            let _ = sender.take().expect("not sent yet").send(Ok((pid, port)));
        }
    }
    if let Some(sender) = sender {
        let _ = sender.send(Err(told.join("\n")));
    }
}

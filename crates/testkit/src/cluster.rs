//! A throw-away PostgreSQL cluster: the real server, on a free port of loopback, as a user that is not root.
//!
//! A shell stands between the test process and the server and waits for a line on its input. When the test process ends,
//! however it ends, the input ends with it: the shell ends the server by its id and removes its folder. So nothing is left
//! behind, not even by a SIGKILL.

use crate::free_port;
use parking_lot::Mutex;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Where Debian and its relatives put PostgreSQL's programs, a folder a version.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// Users that the server may run as when the tests run as root, the first that exists.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// Plans that are kept.
const WALKS_MAX: usize = 1_000;
/// Runs the server until its input ends (then its folder goes) or says `keep`.
const WATCH: &str = r#"
    programs="$1"; folder="$2"; shift 2
    "$programs"/postgres -D "$folder"/data "$@" < /dev/null &
    server=$!
    read -r word || word=end
    kill -QUIT $server
    wait $server
    [ "$word" = keep ] || rm -rf "$folder"
"#;

/// How safe a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is synced: quick, and lost with the machine. A crash of the server alone loses nothing. Every statement is
    /// explained, and a table is walked through only where no index fits: [`Cluster::walks`].
    Quick,
    /// PostgreSQL's own defaults.
    Full,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    durability: Durability,
    /// Settings of its own.
    settings: Vec<&'static str>,
    user: Option<(u32, u32)>,
    watch: Option<(Child, ChildStdin)>,
    databases: AtomicU64,
    walks: Arc<Mutex<Vec<String>>>,
}

impl Cluster {
    /// The cluster that all tests of this process share. Each takes a database of its own.
    ///
    /// # Panics
    /// With what to install when PostgreSQL is missing: a test that needs it never passes without it.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Durability::Quick))
    }

    /// A cluster of its own. It ends when it is dropped.
    ///
    /// # Panics
    /// As [`Cluster::shared`].
    #[must_use]
    pub fn start(durability: Durability) -> Self {
        let mut cluster = Self::make(durability);
        cluster.run();
        cluster
    }

    /// A quick cluster that takes encrypted connections alone: with this certificate, its key, and the certificate of the
    /// authority of clients' certificates, all PEM. The user `carol` is let in by a certificate of that name.
    ///
    /// # Panics
    /// As [`Cluster::shared`].
    #[must_use]
    pub fn start_encrypted(certificate: &str, key: &str, authority: &str) -> Self {
        let mut cluster = Self::make(Durability::Quick);
        let rules =
            "local all all trust\nhostssl all carol 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 trust\n";
        let files = [
            ("server.crt", certificate),
            ("server.key", key),
            ("root.crt", authority),
            ("pg_hba.conf", rules),
        ];
        for (name, text) in files {
            let path = cluster.folder.join("data").join(name);
            fs::write(&path, text).expect("the cluster's folder");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file of ours");
            if let Some((uid, gid)) = cluster.user {
                chown(&path, Some(uid), Some(gid)).expect("root may give a file away");
            }
        }
        cluster.settings = vec!["ssl=on", "ssl_ca_file=root.crt"];
        cluster.run();
        cluster
    }

    /// A cluster that does not run yet.
    fn make(durability: Durability) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("posthaste-postgres-{}-{number}", std::process::id()));
        let user = user();
        // A folder of a process that had our id before and was never ended in order.
        let _ = fs::remove_dir_all(&folder);
        fs::DirBuilder::new().mode(0o700).create(&folder).expect("a temporary folder");
        if let Some((uid, gid)) = user {
            chown(&folder, Some(uid), Some(gid)).expect("root may give a folder away");
        }
        let cluster = Self {
            folder,
            settings: Vec::new(),
            port: free_port(),
            durability,
            user,
            watch: None,
            databases: AtomicU64::new(0),
            walks: Arc::default(),
        };
        let made = cluster
            .command("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(cluster.folder.join("data"))
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        cluster
    }

    /// Makes an empty database; its address.
    ///
    /// # Panics
    /// When the server does not make it.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.address(&name)
    }

    /// The address of a database.
    #[must_use]
    pub fn address(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on loopback.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the shell above the server: all of the server's processes are its descendants.
    ///
    /// # Panics
    /// After a crash, until the server runs again.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.watch.as_ref().expect("a running server").0.id()
    }

    /// Runs SQL by itself, through PostgreSQL's own client; what it prints, without headings.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let run = self
            .command("psql")
            .args([
                "--no-psqlrc",
                "--quiet",
                "--tuples-only",
                "--no-align",
                "--set=ON_ERROR_STOP=1",
                "-c",
                sql,
            ])
            .args(["--username=postgres", "--port", &self.port.to_string(), "--dbname", database, "--host"])
            .arg(&self.folder)
            .output()
            .expect("psql runs");
        assert!(run.status.success(), "{sql}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8_lossy(&run.stdout).trim().to_owned()
    }

    /// Plans so far that walk through a whole table, each with its statement's first line.
    #[must_use]
    pub fn walks(&self) -> Vec<String> {
        self.walks.lock().clone()
    }

    /// Ends the server as a power cut of its process does (`-m immediate`).
    pub fn crash(&mut self) {
        self.end(b"keep\n");
    }

    /// Starts the server again after a crash; answers when it takes connections.
    pub fn run(&mut self) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCH, "watch"]).arg(programs()).arg(&self.folder);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c"]).arg(format!("port={}", self.port));
        command.arg("-c").arg(format!("unix_socket_directories={}", self.folder.display()));
        command.args(["-c", "max_connections=400", "-c", "log_min_messages=warning"]);
        command.args(["-c", "shared_preload_libraries=pg_stat_statements"]);
        if self.durability == Durability::Quick {
            command.args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "enable_seqscan=off"]);
            command.args([
                "-c",
                "session_preload_libraries=auto_explain",
                "-c",
                "auto_explain.log_min_duration=0",
            ]);
        }
        self.settings.iter().for_each(|setting| _ = command.args(["-c", setting]));
        self.own(&mut command);
        // A group of its own: a signal to the tests' group (Ctrl-C) does not end the shell before its server.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("/bin/sh runs");
        let input = child.stdin.take().expect("piped");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut told = Vec::new();
        loop {
            let Some(Ok(line)) = lines.next() else { panic!("PostgreSQL ended: {}", told.join("\n")) };
            let ready = line.contains("ready to accept connections");
            told.push(line);
            if ready {
                break;
            }
        }
        // Read on, so that the server never waits for a full pipe; the thread ends with it.
        let walks = Arc::clone(&self.walks);
        std::thread::spawn(move || note_walks(lines.map_while(Result::ok), &walks));
        self.watch = Some((child, input));
    }

    fn end(&mut self, word: &[u8]) {
        if let Some((mut child, mut input)) = self.watch.take() {
            // When the shell is gone already, so is its server.
            let _ = input.write_all(word);
            drop(input);
            let _ = child.wait();
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs().join(program));
        self.own(&mut command);
        command
    }

    fn own(&self, command: &mut Command) {
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command.current_dir(&self.folder).env("PGOPTIONS", "");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end(b"");
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Keeps what the explanations in the server's log say of tables that are walked through.
fn note_walks(lines: impl Iterator<Item = String>, walks: &Mutex<Vec<String>>) {
    let mut statement = String::new();
    for line in lines {
        if let Some((_, text)) = line.split_once("Query Text: ") {
            text.clone_into(&mut statement);
        }
        if line.contains("Seq Scan on ") {
            let mut walks = walks.lock();
            if walks.len() < WALKS_MAX {
                walks.push(format!("{}: {statement}", line.trim()));
            }
        }
    }
}

/// The newest version's programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir(PROGRAMS).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, programs)| programs.join("postgres").exists() && programs.join("initdb").exists())
        .max();
    let Some((_, programs)) = newest else {
        panic!(
            "PostgreSQL is missing: these tests start a server of their own from {PROGRAMS}/*/bin. On Debian or \
             Ubuntu: apt-get install postgresql"
        )
    };
    programs
}

/// Whom the server runs as: PostgreSQL refuses to run as root. None when we are not.
fn user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string(Path::new("/etc/passwd")).expect("/etc/passwd");
    let find = |name: &&str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let found = USERS.iter().find_map(find);
    Some(found.expect("a user `postgres` or `nobody`, since PostgreSQL does not run as root"))
}

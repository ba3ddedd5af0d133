//! `posthaste serve` on a throw-away store: started, set up through its public API, killed, started again.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Cluster, Durability, HttpClient, Process, Reply, free_port};

use crate::Outcome;
use crate::options::{Options, Store};

const SECRET: &str = "a secret of the benchmark, for nothing else";
pub(crate) const ENVIRONMENT: &str = "org_2benchBENCHbenchBENCHbench00";
const READY_TIMEOUT: Duration = Duration::from_secs(120);
const READY_PAUSE: Duration = Duration::from_millis(2);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// A store, and the server on it while it runs.
#[derive(Debug)]
pub(crate) struct Posthaste {
    binary: PathBuf,
    settings: Vec<(String, String)>,
    folder: TempDir,
    token: String,
    cluster: Option<Arc<Cluster>>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    address: SocketAddr,
    api: HttpClient,
}

impl Posthaste {
    /// A server on an empty store. `settings` come after the usual ones and win.
    pub(crate) async fn start(
        binary: &Path,
        dir: &Path,
        (store, settings): (Store, &[(String, String)]),
    ) -> Outcome<Self> {
        let cluster = (store == Store::Postgres).then(|| Arc::new(Cluster::start(Durability::Full)));
        let database = cluster.as_ref().map(|cluster| ("POSTHASTE_STORE".to_owned(), cluster.database()));
        let folder = tempfile::Builder::new().prefix("bench-store-").tempdir_in(dir)?;
        let mut posthaste = Self {
            binary: binary.to_owned(),
            settings: database.into_iter().chain(settings.iter().cloned()).collect(),
            folder,
            token: token()?,
            cluster,
            running: None,
        };
        posthaste.resume(&[]).await?;
        Ok(posthaste)
    }

    /// Another node on the same database.
    pub(crate) async fn beside(&self, dir: &Path) -> Outcome<Self> {
        let mut node = Self {
            binary: self.binary.clone(),
            settings: self.settings.clone(),
            folder: tempfile::Builder::new().prefix("bench-store-").tempdir_in(dir)?,
            token: self.token.clone(),
            cluster: self.cluster.clone(),
            running: None,
        };
        node.resume(&[]).await?;
        Ok(node)
    }

    /// Starts the server on the store as it is, with these settings besides; says how long until it was ready.
    pub(crate) async fn resume(&mut self, settings: &[(String, String)]) -> Outcome<Duration> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let begin = Instant::now();
        let process = Process::start(self.command(&["serve"], address, settings));
        let api = HttpClient::new(format!("http://{address}/api/v1"));
        self.running = Some(Running { process, address, api });
        self.wait_until_ready(begin).await?;
        Ok(begin.elapsed())
    }

    /// SIGKILL, in the middle of whatever it does.
    pub(crate) async fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.process.kill9();
            running.process.wait(STOP_TIMEOUT).await;
        }
    }

    /// SIGTERM, and wait until it has finished in its own way.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.process.terminate();
            running.process.wait(STOP_TIMEOUT).await;
        }
    }

    /// The database's server, when it is one of its own.
    pub(crate) fn cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.clone()
    }

    pub(crate) fn pid(&self) -> Outcome<u32> {
        Ok(self.running()?.process.pid())
    }

    pub(crate) fn address(&self) -> Outcome<SocketAddr> {
        Ok(self.running()?.address)
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Creates an application; its id.
    pub(crate) async fn application(&self, name: &str) -> Outcome<String> {
        self.create("/app", &json!({ "name": name })).await
    }

    /// Creates an endpoint that takes every event type; its id.
    pub(crate) async fn endpoint(&self, application: &str, url: &str) -> Outcome<String> {
        self.endpoint_with(application, url, &json!({})).await
    }

    /// The same with these options.
    pub(crate) async fn endpoint_with(
        &self,
        application: &str,
        url: &str,
        options: &Value,
    ) -> Outcome<String> {
        let mut endpoint = options.clone();
        endpoint["url"] = json!(url);
        self.create(&format!("/app/{application}/endpoint"), &endpoint).await
    }

    /// A page of a list.
    pub(crate) async fn get(&self, path: &str) -> Outcome<Value> {
        match self.running()?.api.get(path, &self.token).await {
            (200, page) => Ok(page),
            (status, answer) => Err(format!("GET {path} answered {status}: {answer}").into()),
        }
    }

    /// What a page of the console, or a form of it, answers.
    pub(crate) async fn page(
        &self,
        method: http::Method,
        path: &str,
        headers: &[(&str, &str)],
        form: String,
    ) -> Outcome<Reply> {
        let console = HttpClient::sharing(&self.running()?.api, format!("http://{}", self.address()?));
        Ok(console.send(method, path, headers, form).await?)
    }

    /// Makes a user who administers the instance.
    pub(crate) async fn user_create(&self, email: &str, password: &str) -> Outcome<()> {
        let mut command = self.command(&["user", "create", email, "--password-stdin"], self.address()?, &[]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().ok_or("it has an input")?.write_all(password.as_bytes())?;
        // The server answers meanwhile: it is another process.
        let output = child.wait_with_output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("no user was made: {}", String::from_utf8_lossy(&output.stderr)).into()),
        }
    }

    /// What a POST answers.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Outcome<Value> {
        match self.running()?.api.post(path, &self.token, body).await {
            (status, answer) if (200..300).contains(&status) => Ok(answer),
            (status, answer) => Err(format!("POST {path} answered {status}: {answer}").into()),
        }
    }

    async fn create(&self, path: &str, body: &Value) -> Outcome<String> {
        let (status, answer) = self.running()?.api.post(path, &self.token, body).await;
        match answer["id"].as_str() {
            Some(id) if (200..300).contains(&status) => Ok(id.to_owned()),
            _ => Err(format!("POST {path} answered {status}: {answer}").into()),
        }
    }

    fn running(&self) -> Outcome<&Running> {
        self.running.as_ref().ok_or_else(|| "posthaste is not running".into())
    }

    fn command(&self, verb: &[&str], address: SocketAddr, settings: &[(String, String)]) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(&self.binary);
        command
            .args(verb)
            .current_dir(folder)
            .env_clear()
            .env("POSTHASTE_LISTEN", address.to_string())
            .env("POSTHASTE_DATA_DIR", folder)
            .env("POSTHASTE_STORE", format!("sqlite:{}", folder.join("posthaste.db").display()))
            .env("POSTHASTE_JWT_SECRET", SECRET)
            .env("POSTHASTE_ENCRYPTION_KEY", "an encryption key of the benchmark, for nothing else")
            .env("POSTHASTE_EGRESS_ALLOW", "127.0.0.0/8")
            .env("POSTHASTE_LOG", "warn")
            .envs(self.settings.iter().cloned())
            .envs(settings.iter().cloned());
        command
    }

    async fn wait_until_ready(&self, begin: Instant) -> Outcome<()> {
        let running = self.running()?;
        while begin.elapsed() < READY_TIMEOUT {
            let ping = running.api.send(http::Method::GET, "/health/ping", &[], "").await;
            if ping.is_ok_and(|reply| reply.status == 204) {
                return Ok(());
            }
            if !running.process.is_running() {
                break;
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
        let output = running.process.lines().join("\n");
        Err(format!("{} serve was not ready after {:?}:\n{output}", self.binary.display(), begin.elapsed())
            .into())
    }
}

/// The binary to measure: as told, or the one beside ours, built first when it is missing.
pub(crate) fn find_binary(options: &Options) -> Outcome<PathBuf> {
    if let Some(path) = &options.posthaste {
        return Ok(std::path::absolute(path)?);
    }
    let beside = std::env::current_exe()?.with_file_name("posthaste");
    if !beside.exists() {
        eprintln!(
            "bench: {} is missing, so it is built now: cargo build --release -p posthaste",
            beside.display()
        );
        let target = beside.ancestors().nth(2).ok_or("the binary stands in a target folder")?;
        let built = Command::new("cargo")
            .args(["build", "--release", "-p", "posthaste", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
            .arg("--target-dir")
            .arg(target)
            .status()?;
        if !built.success() {
            return Err("posthaste could not be built".into());
        }
    }
    Ok(beside)
}

/// An environment token as the SDKs carry it.
#[expect(clippy::disallowed_methods, reason = "a token's times are the present's")]
fn token() -> Outcome<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "iss": "bench", "iat": now - 60, "nbf": now - 60, "exp": now + 30 * 24 * 3_600, "sub": ENVIRONMENT,
    });
    Ok(encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes()))?)
}

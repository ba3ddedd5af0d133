//! `bench serve`: answers like `posthaste serve` as far as this benchmark asks, and keeps none of its promises.
//!
//! Bench's own tests run every scenario against it, so that they need no other crate. It keeps a journal without syncing
//! it, delivers again what the journal has no success for, and lists nothing but the latest messages.

use std::collections::HashMap;
use std::env;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testkit::HttpClient;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::Outcome;
use crate::server::{announce, answer, raise_file_limit, serve};

const IN_FLIGHT_MAX: usize = 128;
const ATTEMPTS_MAX: u32 = 1_000;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

struct StandIn {
    endpoints: Mutex<HashMap<String, Vec<String>>>,
    journal: Mutex<(File, u64)>,
    client: HttpClient,
    in_flight: Semaphore,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Serves, as the environment says, until it is ended.
#[expect(clippy::disallowed_methods, reason = "a stand-in for bench's own tests: it is killed")]
pub(crate) fn run() -> Outcome<()> {
    raise_file_limit();
    let journal = PathBuf::from(env::var("POSTHASTE_DATA_DIR")?).join("journal");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(env::var("POSTHASTE_LISTEN")?).await?;
        announce("stand-in", listener.local_addr()?);
        let stand_in = Arc::new(StandIn {
            endpoints: Mutex::default(),
            journal: Mutex::new((OpenOptions::new().append(true).create(true).open(&journal)?, 0)),
            client: HttpClient::new(""),
            in_flight: Semaphore::new(IN_FLIGHT_MAX),
        });
        for (number, (url, payload)) in stand_in.replay(&journal)? {
            tokio::spawn(deliver(stand_in.clone(), number, url, payload));
        }
        serve(listener, move |request| handle(stand_in.clone(), request)).await
    })
}

impl StandIn {
    /// Reads applications back, and the deliveries without a success.
    fn replay(&self, journal: &PathBuf) -> Outcome<HashMap<u64, (String, Bytes)>> {
        let mut open = HashMap::new();
        for line in BufReader::new(File::open(journal)?).lines() {
            let line = line?;
            let fields: Vec<&str> = line.splitn(4, '\t').collect();
            match fields[..] {
                ["endpoint", application, url] => {
                    self.endpoints.lock().entry(application.into()).or_default().push(url.into());
                }
                ["message", number, url, payload] => {
                    self.journal.lock().1 = number.parse()?;
                    open.insert(
                        number.parse()?,
                        (url.to_owned(), Bytes::copy_from_slice(payload.as_bytes())),
                    );
                }
                ["done", number] => {
                    open.remove(&number.parse()?);
                }
                _ => {}
            }
        }
        Ok(open)
    }

    /// Appends a line to the journal; nothing waits for the disk.
    fn note(&self, line: &str) {
        let _ = writeln!(self.journal.lock().0, "{line}");
    }

    fn next_number(&self) -> u64 {
        let mut journal = self.journal.lock();
        journal.1 += 1;
        journal.1
    }
}

async fn handle(stand_in: Arc<StandIn>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return answer(StatusCode::BAD_REQUEST, "");
    };
    let body = body.to_bytes();
    let path = head.uri.path().trim_start_matches("/api/v1/").to_owned();
    let path: Vec<&str> = path.split('/').collect();
    match (&head.method, &path[..]) {
        (&Method::GET, ["health", "ping"]) => answer(StatusCode::NO_CONTENT, ""),
        (&Method::GET, _) => {
            let message = json!({ "id": format!("msg_{}", stand_in.journal.lock().1) });
            told(StatusCode::OK, &json!({ "data": [message], "iterator": message["id"], "done": true }))
        }
        (_, ["app"]) => {
            told(StatusCode::CREATED, &json!({ "id": format!("app_{}", stand_in.next_number()) }))
        }
        (_, ["app", application, "endpoint"]) => {
            let endpoint: Value = serde_json::from_slice(&body).unwrap_or_default();
            let url = endpoint["url"].as_str().unwrap_or_default();
            stand_in.note(&format!("endpoint\t{application}\t{url}"));
            stand_in.endpoints.lock().entry((*application).to_owned()).or_default().push(url.to_owned());
            told(StatusCode::CREATED, &json!({ "id": "ep_1" }))
        }
        (_, ["app", application, "msg"]) => accept(&stand_in, application, &body),
        _ => answer(StatusCode::NOT_FOUND, ""),
    }
}

#[expect(clippy::disallowed_methods, reason = "a stand-in for bench's own tests: it is killed")]
fn accept(stand_in: &Arc<StandIn>, application: &str, body: &Bytes) -> Response<Full<Bytes>> {
    let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
        return answer(StatusCode::BAD_REQUEST, "");
    };
    let urls = stand_in.endpoints.lock().get(application).cloned().unwrap_or_default();
    for url in urls {
        let number = stand_in.next_number();
        let payload = message.payload.get();
        stand_in.note(&format!("message\t{number}\t{url}\t{payload}"));
        tokio::spawn(deliver(stand_in.clone(), number, url, Bytes::copy_from_slice(payload.as_bytes())));
    }
    told(StatusCode::ACCEPTED, &json!({ "id": "msg_1" }))
}

async fn deliver(stand_in: Arc<StandIn>, number: u64, url: String, payload: Bytes) {
    for _ in 0..ATTEMPTS_MAX {
        let Ok(permit) = stand_in.in_flight.acquire().await else {
            return;
        };
        let sent = stand_in.client.send(Method::POST, &url, &[], payload.clone());
        if let Ok(Ok(reply)) = tokio::time::timeout(ATTEMPT_TIMEOUT, sent).await
            && reply.status == 200
        {
            stand_in.note(&format!("done\t{number}"));
            return;
        }
        drop(permit);
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

fn told(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    answer(status, body.to_string())
}

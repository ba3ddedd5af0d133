//! No query of an engine walks through a table of the log, nor through the browsers or the audit log: every page of the console looks its own up.
//!
//! Every connection of the suite reports the statements that it runs; each distinct one is explained on the same
//! connection right then. A plan that scans one of them (or sorts what it found) fails the test
//! that ran it (or one beside it), but for the few that are meant to.

use crate::harness::Engine;
use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Mutex;
use store::sqlite::Probe;
use testkit::Cluster;

/// Statements that read a whole index on purpose, by a piece of their text, with the reason.
const MEANT: &[(&str, &str)] = &[
    (
        "SELECT count(*) FROM delivery WHERE state = 0",
        "the backlog, for the metrics: the partial index alone",
    ),
    ("SELECT min(endpoint) FROM delivery", "the skip scan: one step into the index an endpoint"),
    ("FROM attempt INDEXED BY attempt_by_delivery WHERE", "sorts the tries of one delivery, a handful"),
    (
        "SELECT * FROM failing WHERE endpoint IN (SELECT value FROM json_each",
        "sorts the episodes of one page",
    ),
    (
        "UNION ALL SELECT * FROM (SELECT key, at, environment, application, place",
        "sorts a page of an environment and one of the instance into one",
    ),
    ("FROM membership JOIN users", "sorts those who are members of one place"),
];

/// Watches the statements of every connection.
pub(crate) struct Plans;

impl Probe for Plans {
    fn opened(&self, connection: &mut Connection) {
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note)).unwrap();
    }
}

static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

thread_local! {
    static SEEN: RefCell<HashSet<String>> = RefCell::new(HashSet::new());
}

fn note(event: TraceEvent<'_>) {
    let TraceEvent::Stmt(statement, _) = event else { return };
    let sql = statement.sql().to_string();
    let first = SEEN.with_borrow_mut(|seen| seen.insert(sql.clone()));
    let verb = sql.split_whitespace().next().unwrap_or_default().to_uppercase();
    if !first || !["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&&*verb) {
        return;
    }
    let bad = bad_steps(&sql);
    if !bad.is_empty() {
        FOUND
            .lock()
            .unwrap()
            .push(format!("this statement walks through a table:\n{sql}\n{}", bad.join("\n")));
    }
}

/// Dropped at the end of a test, it fails the test when a bad plan was found so far (a panic inside of SQLite's
/// callback would be swallowed).
pub(crate) struct Verdict(pub(crate) Engine);

impl Drop for Verdict {
    fn drop(&mut self) {
        let found = FOUND.lock().unwrap().join("\n\n");
        assert!(found.is_empty() || std::thread::panicking(), "{found}");
        if self.0 == Engine::Postgres {
            let walks = walks();
            assert!(walks.is_empty() || std::thread::panicking(), "{}", walks.join("\n"));
        }
    }
}

/// What PostgreSQL walked through so far, for want of an index: its cluster explains every statement, and takes an index
/// wherever there is one that fits.
fn walks() -> Vec<String> {
    const LOG: [&str; 6] = ["message", "payload", "attempt", "delivery", "browser", "audit"];
    let of_log = |walk: &String| LOG.iter().any(|table| walk.contains(&format!("Seq Scan on {table}")));
    let meant = |walk: &String| walk.contains("SELECT count(*), min(due_at) FROM delivery WHERE state = 0");
    Cluster::shared().walks().into_iter().filter(|walk| of_log(walk) && !meant(walk)).collect()
}

/// The steps of the statement's plan that scan a table of the log, on an empty database of the same schema.
fn bad_steps(sql: &str) -> Vec<String> {
    if MEANT.iter().any(|(piece, _)| sql.contains(piece)) {
        return Vec::new();
    }
    let connection = Connection::open_in_memory().unwrap();
    for migration in migrations() {
        connection.execute_batch(&migration).unwrap();
    }
    let mut explain = match connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")) {
        Ok(explain) => explain,
        Err(error) => return vec![format!("it cannot be explained: {error}")],
    };
    // Not bound: a plan does not hang on the values.
    let mut rows = explain.raw_query();
    let mut steps = Vec::new();
    loop {
        match rows.next().and_then(|row| row.map(|row| row.get::<_, String>(3)).transpose()) {
            Ok(Some(step)) => steps.push(step),
            Ok(None) => break,
            Err(error) => return vec![format!("it cannot be explained: {error}")],
        }
    }
    let log = |step: &String| {
        ["message", "attempt", "delivery", "browser", "audit"]
            .iter()
            .any(|t| step.contains(&format!("SCAN {t}")))
    };
    let sorts = |step: &String| step.contains("USE TEMP B-TREE FOR ORDER BY");
    steps.into_iter().filter(|step| log(step) || sorts(step)).collect()
}

/// The schema as it is now: every migration, in order.
fn migrations() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn a_scan_and_a_sort_are_noticed() {
    assert_eq!(bad_steps("SELECT id FROM message WHERE event_type = 'x'"), ["SCAN message"]);
    assert_eq!(bad_steps("SELECT id FROM message WHERE event_type = ?1"), ["SCAN message"]);
    assert_eq!(bad_steps("SELECT user_key FROM browser WHERE address = ?1"), ["SCAN browser"]);
    assert_eq!(bad_steps("SELECT id FROM attempt WHERE endpoint = 1 ORDER BY status").len(), 1);
    assert_eq!(bad_steps("SELECT id FROM nowhere"), ["it cannot be explained: no such table: nowhere"]);
    assert!(bad_steps("SELECT id FROM message WHERE application = 1 ORDER BY id").is_empty());
}

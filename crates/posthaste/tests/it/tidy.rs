//! Reads the tree: the rules of the code that no compiler or lint holds.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// At 400 lines one looks for the second idea; here is the end.
const FILE_LINES_MAX: usize = 500;

/// Which crates of ours a crate may build on (ARCHITECTURE.md): dependencies point down.
const BUILDS_ON: [(&str, &[&str]); 12] = [
    ("signing", &[]),
    ("egress", &[]),
    ("domain", &["signing"]),
    ("shape", &["domain", "signing"]),
    ("store", &["domain", "signing"]),
    ("courier", &["domain", "egress"]),
    ("app", &["store", "domain", "shape", "signing", "egress", "courier"]),
    ("engine", &["store", "domain", "shape", "signing", "egress", "courier"]),
    ("api", &["app", "domain"]),
    ("web", &["app", "domain"]),
    ("testkit", &[]),
    ("bench", &["testkit"]),
];

/// Where tests may pause: what is tested there is a peer that pauses, or what the kernel does in the meantime.
const MAY_PAUSE: [&str; 1] = ["egress/tests/sockets"];

/// A source file of ours.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The name of its crate.
    fn package(&self) -> &str {
        let mut parts = self.path.iter().skip_while(|part| *part != "crates").skip(1);
        parts.next().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Whether the whole file is a test.
    fn is_test(&self) -> bool {
        let name = self.path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        name == "tests" || name.ends_with("_tests") || self.path.iter().any(|part| part == "tests")
    }

    /// The text up to its inline tests, and those.
    fn code_and_tests(&self) -> (&str, &str) {
        if self.is_test() {
            return ("", &self.text);
        }
        self.text.split_at(self.text.find("#[cfg(test)]").unwrap_or(self.text.len()))
    }

    /// Where, in this part of the text, a line that is not a comment contains one of `patterns`.
    fn offences(&self, part: &str, patterns: &[&str], out: &mut String) {
        let first = self.text.len() - part.len();
        let before = if self.text.ends_with(part) { self.text[..first].lines().count() } else { 0 };
        for (number, line) in part.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if let Some(pattern) = patterns.iter().find(|pattern| !is_comment && line.contains(**pattern)) {
                let at = before + number + 1;
                let _ = writeln!(out, "{}:{at}: {pattern}", self.path.display());
            }
        }
    }
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates/").to_owned()
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![crates()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of ours") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(Source { text: fs::read_to_string(&path).expect("a source file"), path });
            }
        }
    }
    assert!(found.len() > 50, "the tree was not found");
    found
}

#[test]
fn no_file_is_longer_than_a_file_may_be() {
    let long: Vec<_> = sources()
        .iter()
        .map(|source| (source.text.lines().count(), source.path.clone()))
        .filter(|(lines, _)| *lines > FILE_LINES_MAX)
        .collect();
    assert!(long.is_empty(), "look for the second idea in: {long:#?}");
}

#[test]
fn nothing_is_silenced_or_left_undone() {
    // Written apart, so that this file does not find itself.
    let patterns = [
        concat!("#[al", "low("),
        concat!("#![al", "low("),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
    ];
    let mut out = String::new();
    sources().iter().for_each(|source| source.offences(&source.text, &patterns, &mut out));
    assert!(out.is_empty(), "\n{out}");
}

#[test]
fn no_test_sleeps() {
    let patterns = [concat!("sle", "ep("), concat!("sleep_", "ms(")];
    let mut out = String::new();
    for source in sources() {
        if !MAY_PAUSE.iter().any(|folder| source.path.starts_with(crates().join(folder))) {
            source.offences(source.code_and_tests().1, &patterns, &mut out);
        }
    }
    assert!(out.is_empty(), "wait for what is to happen instead:\n{out}");
}

#[test]
fn sql_stands_only_in_the_stores_engines() {
    let patterns = ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE FROM", "\"CREATE TABLE", "\"PRAGMA "];
    let mut out = String::new();
    // Bench asks the database's own statistics, of no table of ours.
    let places = ["store/src/sqlite", "store/src/postgres", "bench/src"];
    for source in sources() {
        let path = source.path.strip_prefix(crates()).expect("under crates/");
        if !places.iter().any(|place| path.starts_with(place)) {
            source.offences(source.code_and_tests().0, &patterns, &mut out);
        }
    }
    assert!(out.is_empty(), "SQL belongs under store/src/<engine>:\n{out}");
}

#[test]
fn domain_and_signing_are_pure() {
    let patterns = [
        "async ",
        ".await",
        "tokio",
        "std::fs",
        "std::net::Tcp",
        "std::thread",
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
        "rand::fill",
        "SystemRandom",
    ];
    let mut out = String::new();
    for source in sources().iter().filter(|source| ["domain", "signing"].contains(&source.package())) {
        source.offences(source.code_and_tests().0, &patterns, &mut out);
    }
    assert!(out.is_empty(), "no async, no I/O, no present, no randomness here:\n{out}");
}

#[test]
fn dependencies_point_down() {
    let mut out = String::new();
    for (package, builds_on) in BUILDS_ON {
        let manifest = crates().join(package).join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&manifest) else { continue };
        let manifest: toml::Table = text.parse().expect("a manifest");
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        for name in dependencies.into_iter().flat_map(toml::Table::keys) {
            let is_ours = name == "posthaste" || BUILDS_ON.iter().any(|(ours, _)| ours == name);
            if is_ours && !builds_on.contains(&name.as_str()) {
                let _ = writeln!(out, "{package} must not build on {name}");
            }
        }
    }
    assert!(out.is_empty(), "\n{out}");
}

#[test]
fn every_crate_has_its_place() {
    for entry in fs::read_dir(crates()).expect("crates/") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let known = name == "posthaste" || BUILDS_ON.iter().any(|(package, _)| *package == name);
        assert!(known, "say in tidy.rs and ARCHITECTURE.md what the crate {name} may build on");
    }
}

//! What the binary is made of: known licences, one TLS and crypto library, one version of each crate.
//!
//! Licences come from `cargo metadata`. What is really linked comes from `cargo tree`, because metadata joins the
//! features of the whole workspace, tests included, and so shows more than there is.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Licences whose terms are known and fit: permissive ones.
const KNOWN: [&str; 14] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "Zlib",
    "Unlicense",
    "Unicode-3.0",
    "CC0-1.0",
    "0BSD",
    // Mozilla's list of certificate authorities (webpki-roots): data, free to share.
    "CDLA-Permissive-2.0",
];

/// What must not be linked, and why.
const FORBIDDEN: [(&str, &str); 5] = [
    ("openssl", "the one TLS library is rustls"),
    ("openssl-sys", "the one TLS library is rustls"),
    ("native-tls", "the one TLS library is rustls"),
    ("ring", "the one crypto library is aws-lc-rs"),
    ("reqwest", "requests leave through egress only"),
];

/// Crates of which two versions are linked, and why that is bearable.
const DOUBLED: [(&str, &str); 9] = [
    ("base64", "3,000 lines without dependencies: lettre has 0.23, the PostgreSQL driver and pem 0.22"),
    ("bit-set", "300 lines: jsonschema's regular expressions have 0.8, the parser of filters (cel) 0.11"),
    ("bit-vec", "what bit-set is made of"),
    ("fallible-iterator", "500 lines without dependencies: rusqlite has 0.3, tokio-postgres 0.2"),
    ("getrandom", "a thin call of the system: jsonschema's ahash has 0.3, tokio-postgres' rand 0.4"),
    ("nom", "8,000 lines: lettre has 8, the reader of certificates (asn1-rs) 7"),
    ("syn", "at compile time only: some derive macros have not moved to version 3"),
    ("synstructure", "at compile time only: some derive macros have not moved to syn 3"),
    ("untrusted", "300 lines without dependencies: aws-lc-rs has 0.7, rustls-webpki 0.9"),
];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--locked")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

/// Names with the versions that are linked into the binary, or run while it is compiled.
fn linked() -> BTreeMap<String, BTreeSet<String>> {
    let tree = cargo(&[
        "tree",
        "--package",
        "posthaste",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let mut linked: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            linked.entry(name.to_owned()).or_default().insert(version.to_owned());
        }
    }
    assert!(linked.len() > 50, "the tree was not read: {linked:?}");
    linked
}

/// Whether every alternative-free part of an SPDX expression has a known licence. Parentheses are read one level deep,
/// which is as deep as they come.
fn is_known(expression: &str) -> bool {
    let expression = expression.replace(" / ", " OR ").replace('/', " OR ");
    let plain = expression.replace(['(', ')'], "");
    // `A AND (B OR C)`: each part between ANDs needs one known alternative.
    plain.split(" AND ").all(|part| part.split(" OR ").any(|licence| KNOWN.contains(&licence.trim())))
}

#[test]
fn every_dependency_has_a_known_licence() {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--format-version", "1"])).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let unknown: Vec<_> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_known))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(packages.len() > 50 && unknown.is_empty(), "licences to look at: {unknown:#?}");
}

#[test]
fn an_expression_is_known_when_each_of_its_parts_is() {
    assert!(is_known("MIT OR GPL-3.0"));
    assert!(is_known("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(is_known("MIT/Apache-2.0"));
    assert!(!is_known("MIT AND GPL-3.0"));
    assert!(!is_known("AGPL-3.0"));
}

#[test]
fn there_is_one_tls_library_and_one_crypto_library() {
    let linked = linked();
    for (name, reason) in FORBIDDEN {
        assert!(!linked.contains_key(name), "{name} is linked: {reason}");
    }
    assert!(linked.contains_key("rustls") && linked.contains_key("aws-lc-rs"));
}

#[test]
fn versions_are_doubled_only_where_the_list_says_why() {
    let doubled: BTreeMap<_, _> = linked().into_iter().filter(|(_, versions)| versions.len() > 1).collect();
    let named: BTreeSet<_> = DOUBLED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found: BTreeSet<_> = doubled.keys().cloned().collect();
    assert_eq!(found, named, "doubled versions: {doubled:#?}");
}

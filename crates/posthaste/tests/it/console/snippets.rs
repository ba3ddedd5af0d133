//! The code that receivers are shown, run where its language is on this machine: it takes a request of ours, and no other.

use domain::clock::Clock;
use posthaste::clock::SystemClock;
use serde_json::json;
use signing::Secret;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[expect(unreachable_pub, reason = "it stands as it is shown to people")]
#[path = "../../../../web/snippets/verify.rs"]
mod rust;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &str = "{\"amount\": 49.90, \"to\": \"Zoë\"}";
/// Where the snippets are.
const FOLDER: &str = "../web/snippets";

/// A request, and whether it is one of ours.
struct Case {
    name: &'static str,
    secret: String,
    id: &'static str,
    timestamp: i64,
    signature: String,
    body: String,
    is_ours: bool,
}

fn signature(id: &str, timestamp: i64, body: &str) -> String {
    let secret = Secret::parse(SECRET).expect("a secret");
    secret.signer().sign(id, timestamp, body.as_bytes())
}

fn cases() -> Vec<Case> {
    // The snippets go by the time of this machine.
    let now = SystemClock.now().seconds();
    let id = "msg_2026";
    let good = signature(id, now, BODY);
    let case = |name, is_ours| Case {
        name,
        secret: SECRET.to_owned(),
        id,
        timestamp: now,
        signature: good.clone(),
        body: BODY.to_owned(),
        is_ours,
    };
    let other = format!("v1,{}", "A".repeat(43) + "=");
    vec![
        case("ours", true),
        Case { signature: format!("{other} {good}"), ..case("with an old secret's signature beside", true) },
        Case { body: BODY.replace("49", "50"), ..case("changed", false) },
        Case { id: "msg_2027", ..case("of another id", false) },
        Case { timestamp: now - 601, signature: signature(id, now - 601, BODY), ..case("old", false) },
        Case {
            timestamp: now + 601,
            signature: signature(id, now + 601, BODY),
            ..case("of the future", false)
        },
        Case {
            secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned(),
            ..case("of another secret", false)
        },
        Case { signature: other, ..case("signed by somebody else", false) },
        Case { signature: String::new(), ..case("unsigned", false) },
        Case { signature: good.replace("v1,", "v2,"), ..case("of another version", false) },
    ]
}

/// A language: its program, the snippet, what asks it, and how that is run in a folder.
struct Language {
    program: &'static str,
    snippet: &'static str,
    asks: (&'static str, &'static str),
    commands: &'static [&'static [&'static str]],
}

/// Each reads the cases from `cases.json`, or from lines of `cases.txt`, and writes `true` or `false` for each.
const LANGUAGES: [Language; 6] = [
    Language {
        program: "node",
        snippet: "verify.mjs",
        asks: (
            "ask.mjs",
            r#"import { verify } from "./verify.mjs"; import { readFileSync } from "node:fs";
for (const one of JSON.parse(readFileSync("cases.json"))) console.log(verify(one.secret, one.headers, one.body));"#,
        ),
        commands: &[&["node", "ask.mjs"]],
    },
    Language {
        program: "python3",
        snippet: "verify.py",
        asks: (
            "ask.py",
            "import json\nfrom verify import verify\nfor one in json.load(open('cases.json')):\n    print(str(verify(one['secret'], one['headers'], one['body'].encode())).lower())",
        ),
        commands: &[&["python3", "ask.py"]],
    },
    Language {
        program: "php",
        snippet: "verify.php",
        asks: (
            "ask.php",
            "<?php require 'verify.php'; foreach (json_decode(file_get_contents('cases.json'), true) as $one) echo verify($one['secret'], $one['headers'], $one['body']) ? \"true\\n\" : \"false\\n\";",
        ),
        commands: &[&["php", "ask.php"]],
    },
    Language {
        program: "ruby",
        snippet: "verify.rb",
        asks: (
            "ask.rb",
            "require 'json'\nrequire './verify'\nJSON.parse(File.read('cases.json')).each { |one| puts verify(one['secret'], one['headers'], one['body']) }",
        ),
        commands: &[&["ruby", "ask.rb"]],
    },
    Language {
        program: "javac",
        snippet: "Verify.java",
        asks: (
            "Ask.java",
            r#"import java.nio.charset.StandardCharsets; import java.nio.file.*; import java.util.*;
class Ask { public static void main(String[] args) throws Exception {
  for (String line : Files.readAllLines(Path.of("cases.txt"))) { String[] one = line.split("\t", -1);
    Map<String, String> headers = Map.of("webhook-id", one[1], "webhook-timestamp", one[2], "webhook-signature", one[3]);
    System.out.println(Verify.verify(one[0], headers, one[4].getBytes(StandardCharsets.UTF_8))); } } }"#,
        ),
        commands: &[&["javac", "-encoding", "UTF-8", "Ask.java", "Verify.java"], &["java", "Ask"]],
    },
    Language {
        program: "go",
        snippet: "verify.go",
        asks: (
            "ask_test.go",
            r#"package webhook
import ("fmt"; "net/http"; "os"; "strings"; "testing")
func TestAsk(t *testing.T) { text, _ := os.ReadFile("cases.txt")
  for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") { one := strings.Split(line, "\t")
    header := http.Header{}; header.Set("webhook-id", one[1]); header.Set("webhook-timestamp", one[2]); header.Set("webhook-signature", one[3])
    fmt.Println(Verify(one[0], header, []byte(one[4]))) } }"#,
        ),
        commands: &[&["go", "mod", "init", "webhook"], &["go", "test", "-run", "TestAsk", "-v", "."]],
    },
];

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

fn write_cases(folder: &Path, cases: &[Case]) {
    let json: Vec<_> = cases
        .iter()
        .map(|one| {
            let headers = json!({
                "webhook-id": one.id,
                "webhook-timestamp": one.timestamp.to_string(),
                "webhook-signature": one.signature,
            });
            json!({"secret": one.secret, "headers": headers, "body": one.body})
        })
        .collect();
    fs::write(folder.join("cases.json"), json!(json).to_string()).expect("a file");
    let lines: String = cases
        .iter()
        .map(|one| {
            format!("{}\t{}\t{}\t{}\t{}\n", one.secret, one.id, one.timestamp, one.signature, one.body)
        })
        .collect();
    fs::write(folder.join("cases.txt"), lines).expect("a file");
}

/// What the snippet says of each case.
fn answers(language: &Language, cases: &[Case]) -> Vec<bool> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let snippet = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(language.snippet);
    fs::copy(snippet, folder.path().join(language.snippet)).expect("the snippet");
    fs::write(folder.path().join(language.asks.0), language.asks.1).expect("a file");
    write_cases(folder.path(), cases);
    let mut out = String::new();
    for command in language.commands {
        let ran = Command::new(command[0])
            .args(&command[1..])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
        out = String::from_utf8_lossy(&ran.stdout).into_owned();
    }
    out.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

#[test]
fn the_code_that_receivers_are_shown_takes_our_requests_and_no_others() {
    let cases = cases();
    let wanted: Vec<_> = cases.iter().map(|one| (one.name, one.is_ours)).collect();
    let mut tried = 0;
    for language in LANGUAGES.iter().filter(|language| is_there(language.program)) {
        let said: Vec<_> = cases.iter().map(|one| one.name).zip(answers(language, &cases)).collect();
        assert_eq!(said, wanted, "{}", language.snippet);
        tried += 1;
    }
    assert!(tried > 0, "Debian has Python at least");
    let said: Vec<_> = cases.iter().map(|one| (one.name, rust_says(one))).collect();
    assert_eq!(said, wanted, "verify.rs");
}

fn rust_says(one: &Case) -> bool {
    let mut headers = http::HeaderMap::new();
    let timestamp = one.timestamp.to_string();
    for (name, value) in
        [("webhook-id", one.id), ("webhook-timestamp", &*timestamp), ("webhook-signature", &*one.signature)]
    {
        headers.insert(name, value.parse().expect("a value"));
    }
    rust::verify(&one.secret, &headers, one.body.as_bytes())
}

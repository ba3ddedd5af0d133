//! What a page does wrong and nobody would see in its text.

use std::env;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Chromium, text};

/// Where `./test` puts the rules of accessibility (axe-core, <https://github.com/dequelabs/axe-core>), below cargo's target
/// folder.
const AXE_FILE: &str = "axe-core-4.14.1/axe.min.js";
/// Runs all rules that are on by default, which include those of best practice; one text for each element that breaks one.
const AXE_RUN: &str = r#"
    return axe.run(document, { resultTypes: ["violations"] }).then((result) => result.violations.flatMap((rule) =>
        rule.nodes.map((node) => `${rule.id}: ${rule.help} — ${node.target.flat().join(" ")} — ${node.failureSummary}`)));
"#;
/// Adds up what moved since the page began to load (web.dev/cls, as one window). What moved within half a second of a click
/// or a key was asked for. Two frames are awaited, so that what moves now is in it.
const LAYOUT_SHIFT: &str = r#"
    let sum = 0;
    const add = (shifts) => { for (const shift of shifts) if (!shift.hadRecentInput) sum += shift.value; };
    const observer = new PerformanceObserver((list) => add(list.getEntries()));
    observer.observe({ type: "layout-shift", buffered: true });
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    return frame().then(frame).then(() => new Promise((done) => setTimeout(done))).then(() => {
        add(observer.takeRecords());
        observer.disconnect();
        return sum;
    });
"#;

impl Chromium {
    /// What the console complained of since this was asked last, in all tabs: warnings and errors of scripts, of the
    /// content security policy, and every answer of 400 and above.
    pub async fn problems(&self) -> Vec<String> {
        let log = self.session.post("/se/log", json!({ "type": "browser" })).await;
        let log = self.session.must("reading the console", log).await;
        let entries = log.as_array().into_iter().flatten();
        let bad = entries.filter(|entry| entry["level"] == "WARNING" || entry["level"] == "SEVERE");
        bad.map(|entry| format!("{} {}", text(&entry["level"]), text(&entry["message"]))).collect()
    }

    /// The barriers that axe-core finds in the page as it is shown now: "rule: what it asks for — element — how to mend it".
    ///
    /// # Panics
    /// When axe-core has not been fetched.
    pub async fn axe(&self) -> Vec<String> {
        if self.script("return typeof axe", &[]).await == "undefined" {
            self.script(&axe_source(), &[]).await;
        }
        let found = self.script(AXE_RUN, &[]).await;
        found.as_array().into_iter().flatten().map(text).collect()
    }

    /// How much of the page has jumped since it began to load, by itself: 0 is nothing, 0.1 is what people bear.
    pub async fn layout_shift(&self) -> f64 {
        let sum: Value = self.script(LAYOUT_SHIFT, &[]).await;
        sum.as_f64().expect("a number")
    }
}

fn axe_source() -> String {
    let path = axe_path();
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("run ./test once: it fetches axe-core ({}: {error})", path.display()))
}

/// As `./test` has it.
fn axe_path() -> PathBuf {
    if let Some(path) = env::var_os("AXE_CORE") {
        return path.into();
    }
    let cache = || {
        let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache");
        env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("posthaste/target")
    };
    env::var_os("CARGO_TARGET_DIR").map_or_else(cache, PathBuf::from).join(AXE_FILE)
}

//! What a run found: a row for each measurement, a verdict for each claim, as markdown and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::Outcome;
use crate::disk::Sync;
use crate::machine::Machine;
use crate::measure::Measured;

/// All results of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    fdatasync: Sync,
    rows: Vec<Row>,
    verdicts: Vec<Verdict>,
}

#[derive(Debug, Serialize)]
struct Row {
    scenario: String,
    subject: String,
    measured: Measured,
}

#[derive(Debug, Serialize)]
struct Verdict {
    scenario: String,
    claim: String,
    found: String,
    /// `None`: a figure without a bar.
    pass: Option<bool>,
}

impl Report {
    pub(crate) fn new(fdatasync: Sync) -> Self {
        Self { machine: Machine::of_this_run(), fdatasync, rows: Vec::new(), verdicts: Vec::new() }
    }

    pub(crate) fn row(&mut self, scenario: &str, subject: &str, measured: &Measured) {
        self.rows.push(Row {
            scenario: scenario.into(),
            subject: subject.into(),
            measured: measured.clone(),
        });
        if measured.missing > 0 {
            let found = format!("{subject}: {} missing", measured.missing);
            self.verdict(scenario, "everything accepted arrives", found, Some(false));
        }
        if measured.refused > 0 {
            let found = format!("{subject}: {} refused, last: {}", measured.refused, measured.last_refusal);
            self.verdict(scenario, "every POST is accepted", found, Some(false));
        }
    }

    /// `pass` is `None` for a figure without a bar.
    pub(crate) fn verdict(
        &mut self,
        scenario: &str,
        claim: &str,
        found: impl Into<String>,
        pass: Option<bool>,
    ) {
        let (claim, found) = (claim.to_owned(), found.into());
        self.verdicts.push(Verdict { scenario: scenario.into(), claim, found, pass });
    }

    /// Notes that a scenario could not be finished, which fails the run but not the scenarios after it.
    pub(crate) fn broken(&mut self, scenario: &str, why: &str) {
        self.verdict(scenario, "the scenario runs to its end", why.replace('\n', " · "), Some(false));
    }

    pub(crate) fn failed(&self) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.pass == Some(false)).count()
    }

    pub(crate) fn write_json(&self, path: &Path) -> Outcome<()> {
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let machine = &self.machine;
        let _ = writeln!(
            text,
            "{} · {} cores · Linux {} · fdatasync of 4 × 4 KiB: p50 {:.2} ms, p99 {:.2} ms\n",
            machine.processor, machine.cores, machine.kernel, self.fdatasync.p50_ms, self.fdatasync.p99_ms
        );
        text.push_str(
            "| scenario | subject | deliveries/s | accepted/s | CPU µs/delivery | p50 ms | p99 ms | p99.9 ms | \
             202 p99 ms | peak MiB | missing | again | others' cores |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for Row { scenario, subject, measured: m } in &self.rows {
            let _ = writeln!(
                text,
                "| {scenario} | {subject} | {:.0} | {:.0} | {:.1} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {} | {} | {:.2} |",
                m.deliveries_per_second,
                m.accepted_per_second,
                m.cpu_us_per_delivery,
                m.p50_ms,
                m.p99_ms,
                m.p999_ms,
                m.answer_p99_ms,
                m.peak_mib,
                m.missing,
                m.duplicates,
                m.others_cores
            );
        }
        text.push_str("\n| scenario | claim | found | |\n|---|---|---|---|\n");
        for verdict in &self.verdicts {
            let word = verdict.pass.map_or("", |pass| if pass { "PASS" } else { "**FAIL**" });
            let _ =
                writeln!(text, "| {} | {} | {} | {word} |", verdict.scenario, verdict.claim, verdict.found);
        }
        text
    }
}

/// The middle one; of an even number the mean of the two in the middle. 0 of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn a_verdict_with_a_bar_is_told_in_words_and_counted() {
        let mut report = Report::new(Sync { p50_ms: 0.5, p99_ms: 1.25 });
        report.verdict("full", "CPU at most 2.0 × floor", "2.50", Some(false));
        report.row("full", "floor", &Measured { missing: 2, ..Measured::default() });
        assert_eq!(report.failed(), 2);
        let text = report.markdown();
        assert!(text.contains("| full | CPU at most 2.0 × floor | 2.50 | **FAIL** |"), "{text}");
        assert!(text.contains("fdatasync of 4 × 4 KiB: p50 0.50 ms, p99 1.25 ms"), "{text}");
    }
}

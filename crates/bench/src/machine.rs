//! What the figures were measured on, from `/proc`.

use std::fs;
use std::time::Duration;

use serde::Serialize;

/// The machine in three words.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
}

impl Machine {
    pub(crate) fn of_this_run() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: processor.map_or("unknown processor", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: kernel.trim().to_owned(),
        }
    }
}

/// Time that all cores together have spent on anything since the start of the machine, stolen time included; to 10 ms.
pub(crate) fn busy_time() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let all = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        all.split_ascii_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user nice system IDLE IOWAIT irq softirq steal; guest time is within user time.
    let busy: u64 = ticks.iter().take(3).chain(ticks.iter().skip(5).take(3)).sum();
    Duration::from_millis(busy * 10)
}

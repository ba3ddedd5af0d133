//! How long this disk takes to make a small commit durable: the figure beside which every latency must be read.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use crate::Outcome;
use crate::histogram::Histogram;

const SYNCS: usize = 300;
/// A group commit of a few messages: four pages of the write-ahead log.
const APPENDS: usize = 4;
const APPEND_BYTES: usize = 4_096;

/// Quantiles of `fdatasync` after four appends of 4 KiB, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sync {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Measures in this folder, which must be on the disk that the store uses.
pub(crate) fn measure(folder: &Path) -> Outcome<Sync> {
    let path = folder.join("fdatasync-probe");
    let mut file = File::create(&path)?;
    let block = [0x5a_u8; APPEND_BYTES];
    let mut histogram = Histogram::default();
    for _ in 0..SYNCS {
        for _ in 0..APPENDS {
            file.write_all(&block)?;
        }
        let begin = Instant::now();
        file.sync_data()?;
        histogram.record(u64::try_from(begin.elapsed().as_nanos())?);
    }
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(Sync { p50_ms: histogram.quantile_ms(0.5), p99_ms: histogram.quantile_ms(0.99) })
}

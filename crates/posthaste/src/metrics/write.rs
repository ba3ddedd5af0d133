//! Writes counters, gauges and histograms that are kept elsewhere, one line a metric at the caller's.

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;
use std::fmt;
use store::metrics::Histogram;

/// A metric's name, and what it means.
pub(super) struct About {
    pub name: &'static str,
    pub help: &'static str,
}

/// A scrape's output.
pub(super) struct Writer<'a>(pub DescriptorEncoder<'a>);

impl Writer<'_> {
    /// A number that only rises.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    /// Numbers that only rise, one for each value of a label.
    pub(super) fn counters(&mut self, about: About, label: &str, values: &[(&str, u64)]) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(about.name, about.help, None, MetricType::Counter)?;
        values.iter().try_for_each(|(word, value)| {
            ConstCounter::new(*value).encode(encoder.encode_family(&[(label, *word)])?)
        })
    }

    /// A number that rises and falls.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)
    }

    /// A time that rises and falls, in seconds.
    pub(super) fn seconds(&mut self, name: &str, help: &str, milliseconds: i64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        ConstGauge::new(milliseconds as f64 / 1e3).encode(encoder)
    }

    /// A constant that tells something by its labels.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Info)?;
        Info::new(labels.to_vec()).encode(encoder)
    }

    /// How often which size occurred.
    pub(super) fn sizes<const N: usize>(&mut self, about: About, values: &Histogram<N>) -> fmt::Result {
        let encoder = self.0.encode_descriptor(about.name, about.help, None, MetricType::Histogram)?;
        write(encoder, values, 1.0)
    }

    /// How often something took how long: kept in microseconds, written in seconds.
    pub(super) fn microseconds<const N: usize>(&mut self, about: About, kept: &Histogram<N>) -> fmt::Result {
        write(self.of_seconds(&about)?, kept, 1e6)
    }

    /// How often something took how long: kept in milliseconds, written in seconds.
    pub(super) fn milliseconds<const N: usize>(&mut self, about: About, kept: &Histogram<N>) -> fmt::Result {
        write(self.of_seconds(&about)?, kept, 1e3)
    }

    fn of_seconds(&mut self, about: &About) -> Result<MetricEncoder<'_>, fmt::Error> {
        self.0.encode_descriptor(about.name, about.help, Some(&Unit::Seconds), MetricType::Histogram)
    }
}

/// The format's own writer adds the buckets up, so each is handed in with what it has more than the one before.
fn write<const N: usize>(mut encoder: MetricEncoder, values: &Histogram<N>, per_unit: f64) -> fmt::Result {
    let (cumulative, count, sum) = values.read();
    let mut below = 0;
    let mut buckets = Vec::with_capacity(N + 1);
    for (bound, so_far) in cumulative {
        buckets.push((bound as f64 / per_unit, so_far - below));
        below = so_far;
    }
    buckets.push((f64::INFINITY, count - below));
    encoder.encode_histogram::<NoLabelSet>(sum as f64 / per_unit, count, &buckets, None)
}

//! Writes counters, gauges and histograms that are kept elsewhere, one line a metric at the caller's.

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use std::fmt;
use store::metrics::Histogram;

/// A scrape's output.
pub(super) struct Writer<'a>(pub DescriptorEncoder<'a>);

impl Writer<'_> {
    /// A number that only rises.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    /// Numbers that only rise, one for each value of a label.
    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
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
        prometheus_client::metrics::info::Info::new(labels.to_vec()).encode(encoder)
    }

    /// How often which size occurred.
    pub(super) fn sizes<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: &Histogram<N>,
    ) -> fmt::Result {
        self.histogram(name, help, None, values, 1.0)
    }

    /// How often something took how long: kept in microseconds, written in seconds.
    pub(super) fn durations<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        microseconds: &Histogram<N>,
    ) -> fmt::Result {
        self.histogram(name, help, Some(&Unit::Seconds), microseconds, 1e6)
    }

    /// The format's own writer adds the buckets up, so each is handed in with what it has more than the one before.
    fn histogram<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: &Histogram<N>,
        per_unit: f64,
    ) -> fmt::Result {
        let (cumulative, count, sum) = values.read();
        let mut below = 0;
        let mut buckets: Vec<_> = cumulative
            .into_iter()
            .map(|(bound, so_far)| {
                let more = so_far - below;
                below = so_far;
                (bound as f64 / per_unit, more)
            })
            .collect();
        buckets.push((f64::INFINITY, count - below));
        let mut encoder = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        encoder.encode_histogram::<prometheus_client::encoding::NoLabelSet>(
            sum as f64 / per_unit,
            count,
            &buckets,
            None,
        )
    }
}

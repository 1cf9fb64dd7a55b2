//! The histogram that openraft and its log keep of their own timings, in little memory.
//!
//! The crate of this name builds tables of 26 MB when its first histogram is made, several times what an idle registry
//! needs. This one has the same name and the calls that openraft and the log use, and counts in 256 buckets: four for
//! each power of two, so that a value is told to 25 %. Nobody here looks at those figures; they must only be cheap.

use std::{fmt, marker::PhantomData};

/// Buckets for each power of two.
const STEPS: u32 = 4;
/// Enough for every `u64`.
const BUCKETS: usize = 256;

/// Counts values in buckets that grow with the value. Empty ones cost nothing but themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: Vec<u64>,
    total: u64,
    slots: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// A histogram without values.
    pub fn new() -> Self {
        Self { counts: Vec::new(), total: 0, slots: PhantomData }
    }

    /// Counts a value once.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value so many times.
    pub fn record_n(&mut self, value: u64, times: u64) {
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS];
        }
        let count = &mut self.counts[bucket(value)];
        *count = count.saturating_add(times);
        self.total = self.total.saturating_add(times);
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// A value that at least this part (0.0 to 1.0) of all values does not exceed by more than a bucket's width.
    pub fn percentile(&self, part: f64) -> u64 {
        let wanted = ((self.total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0u64;
        for (index, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= wanted {
                return lowest(index);
            }
        }
        0
    }

    /// The usual percentiles at once.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total,
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.10),
            p50: self.percentile(0.50),
            p90: self.percentile(0.90),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }
}

/// The bucket of a value: small values have their own, larger ones share one with their first three binary digits.
fn bucket(value: u64) -> usize {
    let Some(power) = value.checked_ilog2().filter(|p| *p >= 2) else { return value as usize };
    let step = (value >> (power - 2)) & u64::from(STEPS - 1);
    ((power - 1) * STEPS) as usize + step as usize
}

/// The least value in a bucket.
fn lowest(bucket: usize) -> u64 {
    let steps = STEPS as usize;
    if bucket < steps {
        return bucket as u64;
    }
    let (power, step) = (bucket / steps + 1, bucket % steps);
    ((steps + step) as u64) << (power - 2)
}

/// Values below which the named part of all counted values lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    /// How many values were counted.
    pub samples: u64,
    /// 0.1 %.
    pub p0_1: u64,
    /// 1 %.
    pub p1: u64,
    /// 5 %.
    pub p5: u64,
    /// 10 %.
    pub p10: u64,
    /// 50 %.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[samples: {}, p0.1: {}, p1: {}, p5: {}, p10: {}, p50: {}, p90: {}, p99: {}, p99.9: {}]",
            self.samples, self.p0_1, self.p1, self.p5, self.p10, self.p50, self.p90, self.p99, self.p99_9
        )
    }
}

/// Histograms by name, shown as a line of percentiles each.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart(Vec<(String, Histogram)>);

impl AsciiChart {
    /// A chart without histograms.
    pub fn new() -> Self {
        Self::default()
    }

    /// The chart with one histogram more.
    pub fn add(mut self, name: impl Into<String>, histogram: Histogram) -> Self {
        self.0.push((name.into(), histogram));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, histogram) in &self.0 {
            writeln!(f, "{name}: {}", histogram.percentile_stats())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        let mut last = 0;
        for value in (0..4096).chain([u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
            let bucket = bucket(value);
            assert!(bucket >= last && bucket < BUCKETS, "{value} in bucket {bucket} after {last}");
            let low = lowest(bucket);
            assert!(low <= value && value - low <= value / 4, "{value} in the bucket from {low}");
            last = bucket;
        }
    }

    #[test]
    fn percentiles_are_near_the_values() {
        let mut histogram = Histogram::<()>::new();
        (1..=1000).for_each(|value| histogram.record(value));
        let stats = histogram.percentile_stats();
        assert_eq!(stats.samples, 1000);
        assert!((375..=500).contains(&stats.p50), "{stats}");
        assert!((745..=990).contains(&stats.p99), "{stats}");
        assert_eq!(Histogram::<()>::new().percentile_stats(), PercentileStats::default());
    }
}

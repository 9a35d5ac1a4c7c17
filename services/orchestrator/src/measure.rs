//! What the engine measures of itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use conductor_protocol::control::Histogram;

/// Upper bounds of the buckets for durations of writes, in microseconds.
const APPEND_BOUNDS_US: [u64; 12] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];
/// Upper bounds of the buckets for events in a batch.
const BATCH_BOUNDS: [u64; 10] = [1, 2, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000];

/// Counted by how large it is. Written by one, read by any.
#[derive(Debug)]
struct Buckets<const BOUNDS: usize> {
    bounds: [u64; BOUNDS],
    counts: [AtomicU64; BOUNDS],
    beyond: AtomicU64,
    sum: AtomicU64,
}

impl<const BOUNDS: usize> Buckets<BOUNDS> {
    fn new(bounds: [u64; BOUNDS]) -> Self {
        let counts = std::array::from_fn(|_| AtomicU64::new(0));
        Self { bounds, counts, beyond: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    fn count(&self, value: u64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound);
        bucket.map_or(&self.beyond, |place| &self.counts[place]).fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn histogram(&self, unit: f64) -> Histogram {
        let counts = self.counts.iter().chain([&self.beyond]);
        Histogram {
            bounds: self.bounds.iter().map(|bound| *bound as f64 * unit).collect(),
            counts: counts.map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed) as f64 * unit,
        }
    }
}

/// What batches took.
#[derive(Debug)]
pub(crate) struct Appends {
    took: Buckets<{ APPEND_BOUNDS_US.len() }>,
    events: Buckets<{ BATCH_BOUNDS.len() }>,
}

impl Default for Appends {
    fn default() -> Self {
        Self { took: Buckets::new(APPEND_BOUNDS_US), events: Buckets::new(BATCH_BOUNDS) }
    }
}

impl Appends {
    /// Counts a batch that became durable.
    pub(crate) fn count(&self, took: Duration, events: usize) {
        self.took.count(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.events.count(events as u64);
    }

    /// Seconds by batch.
    pub(crate) fn seconds(&self) -> Histogram {
        self.took.histogram(1e-6)
    }

    /// Events by batch.
    pub(crate) fn events(&self) -> Histogram {
        self.events.histogram(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_once_and_in_the_smallest_bucket_that_holds_it() {
        let appends = Appends::default();
        appends.count(Duration::from_micros(250), 1);
        appends.count(Duration::from_micros(251), 20_000);
        appends.count(Duration::from_secs(60), 3);
        let took = appends.seconds();
        assert_eq!((took.counts[0], took.counts[1], took.counts[APPEND_BOUNDS_US.len()]), (1, 1, 1));
        assert_eq!(took.counts.iter().sum::<u64>(), 3);
        assert!((took.sum - 60.000_501).abs() < 1e-9 && (took.bounds[0] - 0.000_25).abs() < 1e-12);
        assert_eq!(appends.events().counts[BATCH_BOUNDS.len()], 1);
    }
}

//! What was taken in since History was opened, for metrics.

use std::collections::BTreeMap;

use conductor_core::Name;

/// Upper bounds of the buckets of a [`Durations`], in milliseconds; one more bucket holds what is longer.
pub const BOUNDS_MS: [u64; 15] = [
    5, 10, 50, 100, 500, 1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000, 14_400_000,
    86_400_000,
];

/// Durations, counted by how long they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Durations {
    /// How many fell into each bucket and no smaller one; the last is for what is beyond all bounds.
    pub buckets: [u64; BOUNDS_MS.len() + 1],
    /// All of them together.
    pub sum_ms: u64,
}

impl Durations {
    /// Counts one.
    pub(crate) fn count(&mut self, ms: u64) {
        let bucket = BOUNDS_MS.iter().position(|bound| ms <= *bound).unwrap_or(BOUNDS_MS.len());
        self.buckets[bucket] += 1;
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += more;
        }
        self.sum_ms = self.sum_ms.saturating_add(other.sum_ms);
    }
}

/// What the tasks of one runner came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct RunnerTally {
    pub submitted: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// How long attempts ran.
    pub run: Durations,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cached_input_tokens: u64,
    pub cost_usd_micros: u64,
}

/// What was taken in since History was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// By runner; a task counts for the one that it asked for until it is assigned, then for the one that ran it.
    pub runners: BTreeMap<Name, RunnerTally>,
    /// How long tasks waited for their first attempt.
    pub wait: Durations,
}

impl Tally {
    /// Adds another.
    pub(crate) fn add(&mut self, other: &Self) {
        self.wait.add(&other.wait);
        for (name, more) in &other.runners {
            let sum = self.runners.entry(name.clone()).or_default();
            sum.submitted += more.submitted;
            sum.succeeded += more.succeeded;
            sum.failed += more.failed;
            sum.cancelled += more.cancelled;
            sum.run.add(&more.run);
            sum.input_tokens = sum.input_tokens.saturating_add(more.input_tokens);
            sum.output_tokens = sum.output_tokens.saturating_add(more.output_tokens);
            sum.cached_input_tokens = sum.cached_input_tokens.saturating_add(more.cached_input_tokens);
            sum.cost_usd_micros = sum.cost_usd_micros.saturating_add(more.cost_usd_micros);
        }
    }
}

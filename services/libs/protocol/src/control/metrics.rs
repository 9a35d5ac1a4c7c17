//! What an orchestrator counts and measures, for a scrape.

use serde::{Deserialize, Serialize};

use super::{Counters, QueueView};

/// Counters and histograms since the start, and what stands now.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct MetricsView {
    pub counters: Counters,
    pub queue: QueueView,
    /// How many agents are in each state: `connected`, `draining`, `gone`, `revoked`.
    pub agents: Vec<(String, u64)>,
    pub runners: Vec<RunnerMetrics>,
    /// Seconds that tasks waited for their first attempt.
    pub queue_wait: Histogram,
    /// Seconds that a batch of events took to be durable.
    pub log_append: Histogram,
    /// Events of a batch.
    pub log_batch: Histogram,
    pub history_lag_events: u64,
    /// Bytes of output of all runs.
    #[serde(default)]
    pub output_bytes: u64,
    pub volumes: Vec<Volume>,
    #[serde(default)]
    pub deliveries: DeliveryCounts,
}

/// What the tasks of one runner came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct RunnerMetrics {
    pub runner: String,
    pub submitted: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Seconds that attempts ran.
    pub run: Histogram,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cached_input_tokens: u64,
    pub cost_usd: f64,
}

/// How often a value fell between which bounds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The upper bound of each bucket but the last, ascending.
    pub bounds: Vec<f64>,
    /// How many fell into each bucket and no smaller one; one more than the bounds.
    pub counts: Vec<u64>,
    /// All values together.
    pub sum: f64,
}

/// Room on a volume.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Volume {
    /// `state` or `workspace`.
    pub name: String,
    /// What is free.
    pub free_bytes: u64,
}

/// Webhooks and notices since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct DeliveryCounts {
    pub pending: u64,
    pub delivered: u64,
    pub tries_failed: u64,
    pub given_up: u64,
}

//! What an orchestrator says of itself.

use serde::{Deserialize, Serialize};

use crate::agent::LogPosition;
use crate::text;

/// The orchestrator itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct StatusView {
    pub version: String,
    pub pid: u32,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub started_at: conductor_core::Wall,
    pub log: LogPosition,
    /// How many events History is behind.
    pub history_lag: u64,
    pub workspace: String,
    pub state_dir: String,
    pub state_free_bytes: u64,
    /// Whether submits are refused for want of space.
    pub storage_full: bool,
    pub paused: bool,
    /// Whether it is about to stop.
    pub draining: bool,
    /// Batches, events and bytes written, leases expired and stale reports refused since the start.
    pub counters: Counters,
    /// True when the orchestrator was started by `run` for what is submitted through it.
    #[serde(default)]
    pub embedded: bool,
    /// The oldest event that is kept; one past the last when none is.
    #[serde(default)]
    pub first_event: u64,
}

/// Counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct Counters {
    pub batches: u64,
    pub events: u64,
    pub leases_expired: u64,
    pub stale_reports_refused: u64,
    pub loki_dropped: u64,
}

//! The queue and its numbers: what waits, for which runners, under which credentials, and how much was done.

use conductor_core::Wall;
use serde::{Deserialize, Serialize};

use crate::task::{State, UsageView};
use crate::text;

/// Names the lane of a credential.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LaneName {
    /// The lane.
    pub name: String,
}

/// The queue.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct QueueView {
    pub paused: bool,
    #[serde(with = "text::map")]
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, u64>))]
    pub by_state: Vec<(State, u64)>,
    #[serde(with = "text::map")]
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, u64>))]
    pub queued_by_runner: Vec<(String, u64)>,
    #[serde(with = "text::map")]
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, u64>))]
    pub queued_by_group: Vec<(String, u64)>,
    pub oldest_seconds: Option<f64>,
    pub slots: u64,
    pub free: u64,
    /// What the queued tasks ask of agents.
    #[serde(default)]
    pub wanted: Vec<WantedView>,
    /// The credentials under which runners run.
    #[serde(default)]
    pub lanes: Vec<LaneView>,
    /// What may be spent today, and what is: for everybody, and for each group that has a budget.
    #[serde(default)]
    pub budgets: Vec<BudgetView>,
}

/// A budget of the day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BudgetView {
    /// Whose; none for everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When the day began.
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub since: Wall,
    /// When it ends, and what is spent counts anew.
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub until: Wall,
    /// In US dollars; none where there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_usd: Option<f64>,
    /// What was spent.
    pub spent_usd: f64,
    /// What is set aside for what runs.
    pub reserved_usd: f64,
    /// In tokens; none where there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_tokens: Option<u64>,
    /// What was used.
    pub spent_tokens: u64,
    /// What is set aside for what runs.
    pub reserved_tokens: u64,
}

/// Slots that queued tasks wait for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WantedView {
    /// The runner that they ask for.
    pub runner: String,
    /// The labels that an agent needs.
    pub requires: Vec<String>,
    /// How many wait.
    pub queued: u64,
    /// How long the first of them waits.
    pub oldest_seconds: f64,
}

/// A credential under which runners run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LaneView {
    /// Its name, from which its value cannot be told.
    pub name: String,
    /// `open`, `resting` until a limit is over, `recovering` from one, or `closed` until it changes or somebody opens it.
    pub state: LaneState,
    /// Until when it rests.
    #[serde(default, with = "text::optional_instant", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub until: Option<Wall>,
    /// How many may run at once while it recovers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
    /// How many run under it.
    pub running: u32,
    /// The runners that use it.
    pub runners: Vec<String>,
    /// The agents that have it.
    pub agents: Vec<String>,
}

/// How a credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the names are the contract's and speak for themselves")]
pub enum LaneState {
    Open,
    Resting,
    Recovering,
    Closed,
}

/// Numbers over time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct StatsView {
    #[serde(with = "text::map")]
    #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, u64>))]
    pub by_state: Vec<(State, u64)>,
    pub finished_last_hour: u64,
    pub finished_last_day: u64,
    pub failed_last_day: u64,
    pub mean_wait_seconds: Option<f64>,
    pub mean_run_seconds: Option<f64>,
    pub tokens_last_day: u64,
    pub cost_usd_last_day: f64,
    /// Since midnight in `budgets.time_zone`.
    #[serde(default)]
    pub today: TodayView,
}

/// Numbers of the calendar day.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct TodayView {
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub since: Wall,
    pub submitted: u64,
    pub finished: u64,
    pub failed: u64,
    pub mean_wait_seconds: Option<f64>,
    pub mean_run_seconds: Option<f64>,
    pub tokens: u64,
    pub cost_usd: f64,
    /// What the attempts cost that failed or crashed, also those of tasks that succeeded later.
    #[serde(default)]
    pub failed_cost_usd: f64,
    /// What the attempts that run have used so far, which the numbers above do not count yet.
    #[serde(default)]
    pub running: UsageView,
}

//! What History can be asked.

use conductor_core::{FailureReason, Name, Seq, TaskId, Wall};

use super::record::{AuditRecord, State, TaskRecord};

/// What a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
    /// The dearest first, then the newest.
    Cost,
}

/// Where a page ended; opaque to callers, who hand its text on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// Which tasks to list. Every filter that is set must hold; an empty list of choices sets none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// In one of these states.
    pub states: Vec<State>,
    /// In one of these groups: what the caller asks for.
    pub groups: Vec<Name>,
    /// In one of these groups too: what the caller may see; none for everything.
    pub visible: Option<Vec<Name>>,
    /// Asked for this runner, or run by it.
    pub runner: Option<Name>,
    /// With all of these labels.
    pub labels: Vec<(Name, Name)>,
    /// Of exactly this name.
    pub name: Option<String>,
    /// Of this type.
    pub task_type: Option<Name>,
    /// Submitted by the token of this name.
    pub created_by: Option<Name>,
    /// Failed for this reason.
    pub failure: Option<FailureReason>,
    /// Its name, prompt or command holds this text, whatever the case of its letters.
    pub text: Option<String>,
    /// Submitted at this instant or later.
    pub after: Option<Wall>,
    /// Submitted before this instant.
    pub before: Option<Wall>,
    /// Cost at least so many millionths of a US dollar.
    pub min_cost_usd_micros: Option<u64>,
    /// A subtask of this task.
    pub parent: Option<TaskId>,
    /// The order.
    pub sort: Sort,
    /// At most so many; bounded by [`super::MAX_PAGE`], which 0 stands for.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}

/// Some of the tasks that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The tasks.
    pub tasks: Vec<TaskRecord>,
    /// Where to go on; none when there are no more.
    pub next: Option<Cursor>,
    /// The last event that the page shows.
    pub as_of: Seq,
}

/// What to add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatsQuery {
    /// In these groups; none for everything.
    pub visible: Option<Vec<Name>>,
    /// Hours from this instant on.
    pub since: Option<Wall>,
}

/// What History adds up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// How many tasks stand where; every state once.
    pub states: Vec<(State, u64)>,
    /// What happened in each hour, the newest first, at most 31 days.
    pub hours: Vec<Hour>,
}

/// Which steps of time to add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrendsQuery {
    /// In these groups; none for everything.
    pub visible: Option<Vec<Name>>,
    /// How long a step is, in minutes. Steps of whole hours can be asked for whenever they were, others only within the
    /// last [`super::KEPT_MINUTES`] before the newest event.
    pub step_minutes: u32,
    /// The instant that the last step holds.
    pub until: Wall,
    /// How many steps; bounded by [`super::MAX_STEPS`].
    pub steps: usize,
}

/// What happened in an hour, or in another step of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hour {
    /// Its first instant.
    pub from: Wall,
    /// Tasks submitted.
    pub submitted: u64,
    /// Tasks that began their first attempt.
    pub started: u64,
    /// Tasks that succeeded.
    pub succeeded: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// How long the tasks that began had stood in the queue, added up.
    pub wait_ms: u64,
    /// The longest of these.
    pub wait_max_ms: u64,
    /// How long the tasks that ended had run, added up.
    pub run_ms: u64,
    /// Tokens in and out.
    pub tokens: u64,
    /// In millionths of a US dollar.
    pub cost_usd_micros: u64,
    /// What of that attempts cost that failed or crashed.
    pub failed_cost_usd_micros: u64,
}

impl Hour {
    /// Adds what happened in another.
    pub(crate) fn add(&mut self, other: &Self) {
        self.submitted += other.submitted;
        self.started += other.started;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.wait_ms += other.wait_ms;
        self.wait_max_ms = self.wait_max_ms.max(other.wait_max_ms);
        self.run_ms += other.run_ms;
        self.tokens += other.tokens;
        self.cost_usd_micros += other.cost_usd_micros;
        self.failed_cost_usd_micros += other.failed_cost_usd_micros;
    }
}

/// Which audit records to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// By this token.
    pub actor: Option<Name>,
    /// Of this action.
    pub action: Option<Name>,
    /// At this instant or later.
    pub after: Option<Wall>,
    /// Before this instant.
    pub before: Option<Wall>,
    /// At most so many; bounded by [`super::MAX_PAGE`], which 0 stands for.
    pub limit: usize,
    /// Only records older than this number.
    pub older_than: Option<Seq>,
}

/// Some of the audit records that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<AuditRecord>,
    /// Where to go on; none when there are no more.
    pub next: Option<Seq>,
    /// The last event that the page shows.
    pub as_of: Seq,
}

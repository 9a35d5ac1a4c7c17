//! The rules that an owner may set. They are not part of the state: the log reads the same under other rules.

use std::collections::BTreeMap;

use crate::budget::Budgets;
use crate::delivery::NotifyRule;
use crate::id::Seq;
use crate::name::Name;

/// The rules that an owner may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long a lease lives after the last word of its agent.
    pub lease_ms: u64,
    /// How much waiting weighs as much as one step of priority; at least 1.
    pub ageing_ms: u64,
    /// How many times a task may lose its agent before it ends.
    pub crash_limit: u16,
    /// How many times a limit of its credential may give a task back before it ends.
    pub max_limits: u16,
    /// How many tasks may be live without running.
    pub max_queued: u64,
    /// How many bytes the payloads of live tasks may have.
    pub max_queued_bytes: u64,
    /// How many different combinations of runner, required labels, group and priority may be live at once. The time that
    /// an assignment takes grows with them.
    pub max_places: usize,
    /// How many tasks one task may depend on.
    pub max_dependencies: usize,
    /// How many dependencies may be waited for at once, over all tasks.
    pub max_waits: usize,
    /// How many idempotency keys are kept.
    pub max_keys: usize,
    /// How long a key is kept after the last of its tasks ended.
    pub idempotency_ms: u64,
    /// How long a question waits for a person.
    pub waiting_timeout_ms: u64,
    /// How long after a running task's time the machine ends it when its agent does not.
    pub timeout_margin_ms: u64,
    /// How long an agent has to end a cancelled run before the lease is taken away.
    pub cancel_grace_ms: u64,
    /// How long an agent that is gone and holds nothing is remembered.
    pub agent_forget_ms: u64,
    /// How many agents are known at once, revoked ones among them.
    pub max_agents: usize,
    /// How many schedules are kept.
    pub max_schedules: usize,
    /// How many tokens are kept that were made while running.
    pub max_tokens: usize,
    /// How many sessions are kept; beyond them the oldest goes.
    pub max_sessions: usize,
    /// How many levels of subtasks may lie below a task.
    pub max_depth: u32,
    /// How many live subtasks a task may have.
    pub max_subtasks: u32,
    /// How many tasks a running task may make below itself, over all its attempts; what those make counts as well.
    pub max_offspring: u32,
    /// How much may be to be told at once; further notices are dropped, and counted.
    pub max_deliveries: usize,
    /// Who is told of what.
    pub notify: Vec<NotifyRule>,
    /// Tasks submitted up to this event are not assigned; for an orchestrator that serves one caller alone.
    pub assign_after: Seq,
    /// Whether `auto` falls to the mock when no agent offers a coding runner.
    pub auto_mock: bool,
    /// Limits of groups.
    pub groups: BTreeMap<Name, GroupLimits>,
    /// How many tasks may run at once under a runner.
    pub runners: BTreeMap<Name, u32>,
    /// How many tasks with a label (key and value) may run at once.
    pub labels: BTreeMap<(Name, Name), u32>,
    /// What tasks may spend.
    pub budgets: Budgets,
}

/// Limits of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupLimits {
    /// How many of its tasks may run at once.
    pub max_running: Option<u32>,
    /// How many of its tasks may be live without running.
    pub max_queued: Option<u64>,
}

impl Default for Policy {
    fn default() -> Self {
        const SECOND: u64 = 1_000;
        const HOUR: u64 = 3_600 * SECOND;
        Self {
            lease_ms: 120 * SECOND,
            ageing_ms: 300 * SECOND,
            crash_limit: 3,
            max_limits: 20,
            max_queued: 2_000_000,
            max_queued_bytes: 4 << 30,
            max_places: 10_000,
            max_dependencies: 1_000,
            max_waits: 2_000_000,
            max_keys: 500_000,
            idempotency_ms: 24 * HOUR,
            waiting_timeout_ms: 24 * HOUR,
            timeout_margin_ms: 30 * SECOND,
            cancel_grace_ms: 60 * SECOND,
            agent_forget_ms: 24 * HOUR,
            max_agents: 10_000,
            max_schedules: 1_000,
            max_tokens: 10_000,
            max_sessions: 10_000,
            max_depth: 3,
            max_subtasks: 1_000,
            max_offspring: 50,
            max_deliveries: 100_000,
            notify: Vec::new(),
            assign_after: Seq(0),
            auto_mock: false,
            groups: BTreeMap::new(),
            runners: BTreeMap::new(),
            labels: BTreeMap::new(),
            budgets: Budgets::default(),
        }
    }
}

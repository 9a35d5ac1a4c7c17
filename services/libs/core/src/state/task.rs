//! A live task as the state keeps it: small, because there may be a million of them.

use std::collections::BTreeSet;

use crate::event::Requeue;
use crate::id::{KeyId, Seq, TaskId};
use crate::image::RunImage;
use crate::name::Name;
use crate::state::budget::Account;
use crate::state::queue::PlaceId;
use crate::task::{NewTask, OnDependencyFailure, Told, Work};
use crate::time::{Mono, Wall};

/// A live task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) submitted_seq: Seq,
    pub(crate) seq: Seq,
    pub(crate) created_at: Wall,
    pub(crate) started_at: Option<Wall>,
    pub(crate) timeout_ms: u64,
    pub(crate) queue_timeout_ms: Option<u64>,
    pub(crate) backoff_ms: u64,
    pub(crate) stage: Stage,
    /// Most tasks have nothing rare.
    pub(crate) rare: Option<Box<Rare>>,
    /// Which deadline is armed for it. Not state: only the machine sets it, and nothing decided depends on replaying it.
    pub(crate) due: Option<Mono>,
    pub(crate) place: PlaceId,
    pub(crate) body_bytes: u32,
    pub(crate) attempt: u32,
    pub(crate) failed_attempts: u16,
    pub(crate) max_attempts: u16,
    pub(crate) work: Work,
    pub(crate) on_dependency_failure: OnDependencyFailure,
    pub(crate) last_end: Option<Requeue>,
}

/// What most tasks have not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rare {
    pub(crate) run_at: Option<Wall>,
    pub(crate) labels: Box<[(Name, Name)]>,
    pub(crate) parent: Option<TaskId>,
    pub(crate) key: Option<KeyId>,
    pub(crate) crashed_on: Vec<Name>,
    /// The credential under which it runs.
    pub(crate) lane: Option<Name>,
    pub(crate) limits: u16,
    pub(crate) new_session: bool,
    /// The secrets that its runs get.
    pub(crate) secrets: Box<[Name]>,
    /// How many tasks were made below it while it ran.
    pub(crate) offspring: u32,
    /// What people told it while it ran, the oldest first. A run that succeeds takes it away; others leave it to the next.
    pub(crate) told: Vec<Told>,
    pub(crate) account: Account,
}

impl Rare {
    /// Boxes it when there is anything in it.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// Where a live task stands.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// It waits for others.
    Blocked(Box<Blocked>),
    /// It waits for an instant.
    Scheduled { until: Wall, cause: Option<Requeue> },
    /// It waits for an agent.
    Queued { queued_at: Wall },
    /// An agent has it.
    Running(Box<RunImage>),
    /// Its attempt is over and the next event of the same step says what follows.
    Between,
}

/// What a blocked task waits for, besides its subtasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocked {
    pub(crate) waits_for: BTreeSet<TaskId>,
    pub(crate) failed_dependency: Option<TaskId>,
    pub(crate) failed_subtask: Option<TaskId>,
}

impl Task {
    pub(crate) fn new(
        asked: &NewTask,
        key: Option<KeyId>,
        place: PlaceId,
        stage: Stage,
        at: Wall,
        seq: Seq,
    ) -> Self {
        let rare = Rare {
            run_at: asked.run_at,
            labels: asked.labels.clone(),
            parent: asked.parent,
            key,
            ..Rare::default()
        };
        Self {
            submitted_seq: seq,
            seq,
            created_at: at,
            started_at: None,
            timeout_ms: asked.timeout_ms,
            queue_timeout_ms: asked.queue_timeout_ms,
            backoff_ms: asked.backoff_ms,
            stage,
            rare: rare.boxed(),
            due: None,
            place,
            body_bytes: asked.body_bytes,
            attempt: 0,
            failed_attempts: 0,
            max_attempts: asked.max_attempts.max(1),
            work: asked.work,
            on_dependency_failure: asked.on_dependency_failure,
            last_end: None,
        }
    }

    pub(crate) fn run(&self) -> Option<&RunImage> {
        match &self.stage {
            Stage::Running(run) => Some(run),
            Stage::Blocked(_) | Stage::Scheduled { .. } | Stage::Queued { .. } | Stage::Between => None,
        }
    }

    pub(crate) fn run_mut(&mut self) -> Option<&mut RunImage> {
        match &mut self.stage {
            Stage::Running(run) => Some(run),
            Stage::Blocked(_) | Stage::Scheduled { .. } | Stage::Queued { .. } | Stage::Between => None,
        }
    }

    pub(crate) fn blocked(&self) -> Option<&Blocked> {
        match &self.stage {
            Stage::Blocked(blocked) => Some(blocked),
            Stage::Running(_) | Stage::Scheduled { .. } | Stage::Queued { .. } | Stage::Between => None,
        }
    }

    pub(crate) fn blocked_mut(&mut self) -> Option<&mut Blocked> {
        match &mut self.stage {
            Stage::Blocked(blocked) => Some(blocked),
            Stage::Running(_) | Stage::Scheduled { .. } | Stage::Queued { .. } | Stage::Between => None,
        }
    }

    /// Whether it waits for this `run_at`.
    pub(crate) fn waits_until(&self, instant: Wall) -> bool {
        matches!(self.stage, Stage::Scheduled { until, cause: None } if until == instant)
    }

    pub(crate) fn run_at(&self) -> Option<Wall> {
        self.rare.as_ref().and_then(|rare| rare.run_at)
    }

    pub(crate) fn labels(&self) -> &[(Name, Name)] {
        self.rare.as_ref().map_or(&[], |rare| &rare.labels)
    }

    pub(crate) fn parent(&self) -> Option<TaskId> {
        self.rare.as_ref().and_then(|rare| rare.parent)
    }

    pub(crate) fn key(&self) -> Option<KeyId> {
        self.rare.as_ref().and_then(|rare| rare.key)
    }

    pub(crate) fn crashed_on(&self) -> &[Name] {
        self.rare.as_ref().map_or(&[], |rare| &rare.crashed_on)
    }

    pub(crate) fn lane(&self) -> Option<&Name> {
        self.rare.as_ref().and_then(|rare| rare.lane.as_ref())
    }

    /// How often a limit gave it back.
    pub(crate) fn limits(&self) -> u16 {
        self.rare.as_ref().map_or(0, |rare| rare.limits)
    }

    /// Whether its session was begun anew before.
    pub(crate) fn had_new_session(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.new_session)
    }

    pub(crate) fn secrets(&self) -> &[Name] {
        self.rare.as_ref().map_or(&[], |rare| &rare.secrets)
    }

    /// How many tasks were made below it while it ran.
    pub(crate) fn offspring(&self) -> u32 {
        self.rare.as_ref().map_or(0, |rare| rare.offspring)
    }

    /// What people told it that no run has taken.
    pub(crate) fn told(&self) -> &[Told] {
        self.rare.as_ref().map_or(&[], |rare| &rare.told)
    }

    /// What it may spend and has spent.
    pub(crate) fn account(&self) -> Account {
        self.rare.as_ref().map_or_else(Account::default, |rare| rare.account)
    }

    pub(crate) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

//! What events make of the records. Nothing in here knows a database.

use std::collections::HashMap;
use std::sync::Arc;

use conductor_core::{
    Actor, AgentId, CancelReason, Event, EventKind, Groups, Name, NewTask, Outcome, Role, Seq, Standing,
    TaskId, Token, Usage, Wall,
};

mod change;
mod delivery;
mod tally;

use change::{assign, attempt, begun, end_attempt, lost_cost, stand};

pub(crate) use delivery::Told;

use super::query::Hour;
use super::record::{AuditRecord, State, TaskRecord, Waiting};
use super::tally::Tally;

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

/// Minutes of an hour.
const HOUR_MINUTES: i64 = 60;

/// Milliseconds of an hour.
const HOUR_MS: i64 = HOUR_MINUTES * MINUTE_MS;

/// The most tasks that one audit record names; a larger submit has several.
const MAX_AUDIT_TASKS: usize = 1_000;

/// Where records come from that are older than the fold.
pub(crate) trait Source {
    type Error;

    /// The record of a task, if there is one.
    fn task(&mut self, id: TaskId) -> Result<Option<TaskRecord>, Self::Error>;

    /// The name of an agent, if it was ever told.
    fn agent(&mut self, id: AgentId) -> Result<Option<Name>, Self::Error>;
}

/// What the fold made of a task.
#[derive(Debug)]
pub(crate) enum Change {
    /// It was submitted in the fold.
    New(TaskRecord),
    /// It was there before, in this state.
    Changed { record: TaskRecord, before: State },
    /// It is to go; it was there before, in this state, or is unknown.
    Deleted { before: Option<(TaskRecord, State)> },
    /// History does not know it.
    Unknown,
}

/// What happened to the tasks of a group in an hour or a minute.
#[derive(Debug, Default)]
pub(crate) struct GroupSums {
    pub(crate) sums: Hour,
    /// The numbers of the first and last event that submitted a task in it.
    pub(crate) submitted_seqs: Option<(Seq, Seq)>,
}

/// Sums by their hour or minute, and group.
pub(crate) type Spans = HashMap<(i64, Name), GroupSums>;

/// What a stretch of events amounts to.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    pub(crate) tasks: HashMap<TaskId, Change>,
    pub(crate) minutes: Spans,
    pub(crate) tally: Tally,
    /// What was to be told of tasks and what came of it, in the order it happened.
    pub(crate) told: Vec<Told>,
    pub(crate) audit: Vec<AuditRecord>,
    /// Agents that joined under a name, or left.
    pub(crate) agents: HashMap<AgentId, Option<Name>>,
}

impl Fold {
    /// Takes in an event.
    pub(crate) fn apply<S: Source>(
        &mut self,
        seq: Seq,
        event: &Event,
        source: &mut S,
    ) -> Result<(), S::Error> {
        let at = event.at;
        match &event.kind {
            EventKind::TaskSubmitted { task, standing, key: _, by } => {
                self.submit(seq, at, task, *standing, by);
            }
            EventKind::TaskFreed { task, standing } => {
                if let Some(record) = self.touch(*task, seq, source)? {
                    stand(record, *standing);
                }
            }
            EventKind::TaskAssigned { task, agent, lease, attempt, runner } => {
                let agent = self.agent(*agent, source)?;
                if let Some(record) = self.touch(*task, seq, source)? {
                    let attempt = begun(*attempt, agent, *lease, runner.clone(), at);
                    let group = record.task.group.clone();
                    let waited = assign(record, attempt);
                    if let Some(waited) = waited {
                        let sums = self.sums(at, group);
                        sums.started += 1;
                        sums.wait_ms += waited;
                        sums.wait_max_ms = sums.wait_max_ms.max(waited);
                        self.tally.waited(waited);
                    }
                }
            }
            EventKind::TaskStarted { task, lease } => {
                if let Some(record) = self.touch(*task, seq, source)? {
                    record.started_at.get_or_insert(at);
                    if let Some(attempt) = attempt(record, *lease) {
                        attempt.started_at.get_or_insert(at);
                    }
                }
            }
            EventKind::TaskAsked { task, lease: _, question, timeout_left_ms: _, expires_at } => {
                if let Some(record) = self.touch(*task, seq, source)? {
                    record.state = State::Waiting;
                    record.waiting =
                        Some(Waiting { question: question.clone(), since: at, expires_at: *expires_at });
                }
            }
            EventKind::TaskAnswered { task, answer_json: _, by } => {
                let group = self.touch(*task, seq, source)?.map(|record| {
                    record.state = State::Running;
                    record.waiting = None;
                    record.task.group.clone()
                });
                self.note(seq, at, by, "answer", group, vec![*task], None);
            }
            EventKind::QuestionWithdrawn { task, lease: _, request_id: _ } => {
                if let Some(record) = self.touch(*task, seq, source)? {
                    record.state = State::Running;
                    record.waiting = None;
                }
            }
            EventKind::TaskTold { task, lease: _, message: _, by } => {
                let group = self.touch(*task, seq, source)?.map(|record| record.task.group.clone());
                self.note(seq, at, by, "message", group, vec![*task], None);
            }
            EventKind::MessagesTaken { task, count: _ } => {
                self.touch(*task, seq, source)?;
            }
            EventKind::CancelRequested { task, reason, by } => {
                let group = self.touch(*task, seq, source)?.map(|record| {
                    record.cancel = Some(reason.clone());
                    record.task.group.clone()
                });
                if let Some(by) = by {
                    self.note(seq, at, by, "cancel", group, vec![*task], said(reason));
                }
            }
            EventKind::AttemptEnded { task, lease, end, report } => {
                if let Some(record) = self.touch(*task, seq, source)? {
                    end_attempt(record, *lease, end, report, at);
                    let group = record.task.group.clone();
                    let runner = tally::runner_of(record).clone();
                    let ran_ms = attempt(record, *lease).and_then(|attempt| attempt.started_at);
                    let ran_ms = ran_ms.map(|started| at.remaining_ms(started));
                    let sums = self.sums(at, group);
                    let usage = &report.usage;
                    sums.tokens += usage.input_tokens.saturating_add(usage.output_tokens);
                    sums.cost_usd_micros += usage.cost_usd_micros.unwrap_or_default();
                    sums.failed_cost_usd_micros += lost_cost(end, usage);
                    self.tally.ran(&runner, ran_ms, usage);
                }
            }
            EventKind::TaskRequeued { task, cause: _, ready_at, queued_at } => {
                if let Some(record) = self.touch(*task, seq, source)? {
                    match ready_at {
                        Some(ready_at) => {
                            record.state = State::Scheduled;
                            record.scheduled_at = Some(*ready_at);
                        }
                        None => stand(record, Standing::Queued { queued_at: *queued_at }),
                    }
                }
            }
            EventKind::DeliveryDue { task: Some(task), route, notice, detail: _ } => {
                self.told.push(Told::Due(delivery::due(seq, at, *task, route, *notice)));
            }
            EventKind::DeliveryTried { delivery, task: Some(_), tried, answer } => {
                self.told.push(Told::Tried {
                    delivery: *delivery,
                    at,
                    tried: tried.clone(),
                    answer: (**answer).clone(),
                });
            }
            // What is about no task is in nobody's log.
            EventKind::DeliveryDue { task: None, .. } | EventKind::DeliveryTried { task: None, .. } => {}
            EventKind::TaskFinished { task, outcome, by } => {
                self.finish(seq, at, *task, outcome, by.as_ref(), source)?
            }
            EventKind::TasksDeleted { tasks, by } => {
                for task in tasks {
                    self.delete(*task, source)?;
                }
                if let Some(by) = by {
                    self.note(seq, at, by, "delete", None, tasks.to_vec(), None);
                }
            }
            EventKind::TaskPinned { task, pinned, by } => {
                let action = if *pinned { "pin" } else { "unpin" };
                let group = self.touch(*task, seq, source)?.map(|record| record.task.group.clone());
                self.note(seq, at, by, action, group, vec![*task], None);
            }
            EventKind::AgentJoined { profile } => {
                self.agents.insert(profile.agent_id, Some(profile.name.clone()));
            }
            EventKind::AgentLeft { agent } => {
                self.agents.insert(*agent, None);
            }
            EventKind::AgentDrained { agent, draining, by } => {
                let action = if *draining { "drain" } else { "undrain" };
                let agent = self.agent(*agent, source)?;
                self.note(seq, at, by, action, None, Vec::new(), Some(agent.as_str().into()));
            }
            EventKind::AgentRevoked { agent, by } => {
                let agent = self.agent(*agent, source)?;
                self.note(seq, at, by, "revoke", None, Vec::new(), Some(agent.as_str().into()));
            }
            EventKind::QueuePaused { paused, by } => {
                let action = if *paused { "pause" } else { "resume" };
                self.note(seq, at, by, action, None, Vec::new(), None);
            }
            EventKind::ScheduleAdded { schedule, by } => {
                let detail = Some(schedule.id.to_string().into());
                self.note(seq, at, by, "schedule_add", Some(schedule.group.clone()), Vec::new(), detail);
            }
            EventKind::ScheduleRemoved { schedule, by } => {
                let detail = Some(schedule.to_string().into());
                self.note(seq, at, by, "schedule_remove", None, Vec::new(), detail);
            }
            EventKind::TokenCreated { token, by } => {
                let detail = token_detail(token);
                self.note(seq, at, by, "token_create", None, Vec::new(), Some(detail));
            }
            EventKind::TokenRevoked { name, by } => {
                self.note(seq, at, by, "token_revoke", None, Vec::new(), Some(name.as_str().into()));
            }
            EventKind::SessionOpened { session: _, by } => {
                self.note(seq, at, by, "login", None, Vec::new(), None);
            }
            EventKind::SessionClosed { session: _, by } => {
                if let Some(by) = by {
                    self.note(seq, at, by, "logout", None, Vec::new(), None);
                }
            }
            EventKind::LaneOpened { lane, by } => {
                self.note(seq, at, by, "lane_open", None, Vec::new(), Some(lane.as_str().into()));
            }
            EventKind::SecretsUsed { task, lease: _, secrets } => {
                if let Some(record) = self.touch(*task, seq, source)? {
                    // Whoever asked for the task uses them through it.
                    let (by, group) = (Arc::clone(&record.created_by), record.task.group.clone());
                    let names: Vec<_> = secrets.iter().map(Name::as_str).collect();
                    let detail = Some(names.join(" ").into());
                    self.note(seq, at, &by, "secret_use", Some(group), vec![*task], detail);
                }
            }
            EventKind::TokenExpired { .. }
            | EventKind::SecretsAsked { .. }
            | EventKind::Began { .. }
            | EventKind::KeyBound { .. }
            | EventKind::KeyExpired { .. }
            | EventKind::ScheduleFired { .. }
            | EventKind::LaneChanged { .. }
            | EventKind::LanesOffered { .. }
            | EventKind::BudgetAsked { .. }
            | EventKind::BudgetHeld { .. }
            | EventKind::BudgetSpent { .. }
            | EventKind::WebhookAsked { .. } => {}
        }
        Ok(())
    }

    fn submit(&mut self, seq: Seq, at: Wall, task: &NewTask, standing: Standing, by: &Arc<Actor>) {
        let mut record = TaskRecord {
            task: task.clone(),
            created_by: Arc::clone(by),
            submitted_seq: seq,
            seq,
            state: State::Blocked,
            created_at: at,
            queued_at: None,
            started_at: None,
            finished_at: None,
            scheduled_at: None,
            ran_on: None,
            attempts: Vec::new(),
            outcome: None,
            cancel: None,
            waiting: None,
            simulated: false,
            result_json: None,
            usage: Usage::default(),
        };
        stand(&mut record, standing);
        let minute = self.minutes.entry((minute_of(at), task.group.clone())).or_default();
        minute.sums.submitted += 1;
        let first = minute.submitted_seqs.map_or(seq, |(first, _)| first);
        minute.submitted_seqs = Some((first, seq));
        self.tally.submitted(&task.runner);
        self.tasks.insert(task.id, Change::New(record));
        self.note_submit(seq, at, by, &task.group, task.id);
    }

    fn finish<S: Source>(
        &mut self,
        seq: Seq,
        at: Wall,
        task: TaskId,
        outcome: &Outcome,
        by: Option<&Arc<Actor>>,
        source: &mut S,
    ) -> Result<(), S::Error> {
        let mut group = None;
        if let Some(record) = self.touch(task, seq, source)? {
            let state = match outcome {
                Outcome::Succeeded => State::Succeeded,
                Outcome::Failed(_) => State::Failed,
                Outcome::Cancelled(_) => State::Cancelled,
            };
            record.state = state;
            record.outcome = Some(outcome.clone());
            record.finished_at = Some(at);
            record.scheduled_at = None;
            record.waiting = None;
            record.cancel = None;
            let ran_ms = record.started_at.map_or(0, |started| at.remaining_ms(started));
            let name = record.task.group.clone();
            group = Some(name.clone());
            let runner = tally::runner_of(record).clone();
            let sums = self.sums(at, name);
            sums.run_ms += ran_ms;
            match outcome {
                Outcome::Succeeded => sums.succeeded += 1,
                Outcome::Failed(_) => sums.failed += 1,
                Outcome::Cancelled(_) => sums.cancelled += 1,
            }
            self.tally.finished(&runner, outcome);
        }
        if let Some(by) = by {
            let detail = match outcome {
                Outcome::Cancelled(reason) => said(reason),
                Outcome::Succeeded | Outcome::Failed(_) => None,
            };
            self.note(seq, at, by, "cancel", group, vec![task], detail);
        }
        Ok(())
    }

    /// The record of a task, to be changed by the event `seq`.
    fn touch<S: Source>(
        &mut self,
        id: TaskId,
        seq: Seq,
        source: &mut S,
    ) -> Result<Option<&mut TaskRecord>, S::Error> {
        let record = match self.change(id, source)? {
            Change::New(record) | Change::Changed { record, .. } => record,
            Change::Deleted { .. } | Change::Unknown => return Ok(None),
        };
        record.seq = seq;
        Ok(Some(record))
    }

    fn delete<S: Source>(&mut self, id: TaskId, source: &mut S) -> Result<(), S::Error> {
        let change = self.change(id, source)?;
        let before = match std::mem::replace(change, Change::Unknown) {
            Change::New(_) | Change::Unknown => None,
            Change::Changed { record, before } => Some((record, before)),
            Change::Deleted { before } => before,
        };
        *change = Change::Deleted { before };
        Ok(())
    }

    fn change<S: Source>(&mut self, id: TaskId, source: &mut S) -> Result<&mut Change, S::Error> {
        use std::collections::hash_map::Entry;
        Ok(match self.tasks.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(match source.task(id)? {
                Some(record) => {
                    let before = record.state;
                    Change::Changed { record, before }
                }
                None => Change::Unknown,
            }),
        })
    }

    /// The name of an agent; its id where the name was never told.
    fn agent<S: Source>(&self, id: AgentId, source: &mut S) -> Result<Name, S::Error> {
        let name = match self.agents.get(&id) {
            Some(name) => name.clone(),
            None => source.agent(id)?,
        };
        Ok(name.unwrap_or_else(|| Name::new(&id.to_string()).expect("a UUID is a name")))
    }

    fn sums(&mut self, at: Wall, group: Name) -> &mut Hour {
        &mut self.minutes.entry((minute_of(at), group)).or_default().sums
    }

    /// The hours that the minutes make.
    pub(crate) fn hours(&self) -> Spans {
        let mut hours = Spans::new();
        for ((minute, group), found) in &self.minutes {
            let hour = hours.entry((minute.div_euclid(HOUR_MINUTES), group.clone())).or_default();
            hour.sums.add(&found.sums);
            hour.submitted_seqs = match (hour.submitted_seqs, found.submitted_seqs) {
                (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
                (one, other) => one.or(other),
            };
        }
        hours
    }

    /// Notes a submit; tasks that somebody submitted together are one record.
    fn note_submit(&mut self, seq: Seq, at: Wall, by: &Arc<Actor>, group: &Name, task: TaskId) {
        if let Some(last) = self.audit.last_mut()
            && last.action.as_str() == "submit"
            && last.at == at
            && last.group.as_ref() == Some(group)
            && last.seq.0 + last.tasks.len() as u64 == seq.0
            && last.tasks.len() < MAX_AUDIT_TASKS
            && last.actor == *by
        {
            last.tasks.push(task);
            return;
        }
        self.note(seq, at, by, "submit", Some(group.clone()), vec![task], None);
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of a record")]
    fn note(
        &mut self,
        seq: Seq,
        at: Wall,
        by: &Arc<Actor>,
        action: &str,
        group: Option<Name>,
        tasks: Vec<TaskId>,
        detail: Option<Box<str>>,
    ) {
        let action = Name::new(action).expect("actions are names");
        self.audit.push(AuditRecord { seq, at, actor: Arc::clone(by), action, group, tasks, detail });
    }
}

/// The first instant of an hour.
pub(crate) fn hour_begins(hour: i64) -> Wall {
    Wall(hour.saturating_mul(HOUR_MS))
}

/// The minute of an instant.
pub(crate) fn minute_of(at: Wall) -> i64 {
    at.0.div_euclid(MINUTE_MS)
}

/// The hour of an instant.
pub(crate) fn hour_of(at: Wall) -> i64 {
    at.0.div_euclid(HOUR_MS)
}

/// What a token is called and what it may do.
fn token_detail(token: &Token) -> Box<str> {
    let role = match token.role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
        Role::Agent => "agent",
    };
    match &token.groups {
        Groups::All => format!("{} ({role})", token.name).into(),
        Groups::Only(groups) => {
            let groups: Vec<_> = groups.iter().map(Name::as_str).collect();
            format!("{} ({role} of {})", token.name, groups.join(", ")).into()
        }
    }
}

/// What somebody said when they cancelled.
fn said(reason: &CancelReason) -> Option<Box<str>> {
    match reason {
        CancelReason::Requested(said) => said.clone(),
        CancelReason::Parent(_) | CancelReason::Dependency(_) | CancelReason::Schedule => None,
    }
}

//! Applying events. There are no decisions here: an event says what happened, and the state follows.

use std::sync::Arc;

use crate::event::{Event, EventKind, Requeue, Standing};
use crate::id::{AgentId, KeyId, Lease, RequestId, Seq, TaskId};
use crate::image::RunImage;
use crate::name::Name;
use crate::state::task::{Stage, Task};
use crate::state::{ApplyError, Consequence, State, Worklist};
use crate::task::{AttemptEnd, FailureReason, NewTask, Outcome, Question};
use crate::time::Wall;

impl State {
    /// Applies the event at `seq`.
    ///
    /// # Errors
    /// The event does not follow from the state. The state is of no use after that.
    pub fn apply(&mut self, seq: Seq, event: &Event) -> Result<(), ApplyError> {
        self.apply_noting(seq, event, &mut Worklist::new())
    }

    /// Applies an event and notes what is to be decided because of it.
    pub(crate) fn apply_noting(
        &mut self,
        seq: Seq,
        event: &Event,
        work: &mut Worklist,
    ) -> Result<(), ApplyError> {
        if seq != self.seq.next() {
            return Err(ApplyError::Seq { expected: self.seq.next(), found: seq });
        }
        self.seq = seq;
        let at = event.at;
        match &event.kind {
            EventKind::Began { incarnation } => {
                self.incarnation = *incarnation;
                Ok(())
            }
            EventKind::TaskSubmitted { task, standing, key, by: _ } => {
                self.submitted(at, task, *standing, *key)
            }
            EventKind::KeyBound { key, body, tasks } => self.key_bound(at, *key, *body, tasks),
            EventKind::KeyExpired { key } => self.keys.remove(key).map(|_| ()).ok_or(ApplyError::Key(*key)),
            EventKind::TaskFreed { task, standing } => {
                let stage = self.stage_of(*task, *standing);
                self.stand(*task, stage)
            }
            EventKind::TaskAssigned { task, agent, lease, attempt, runner } => {
                self.assigned(at, *task, *agent, *lease, *attempt, runner)
            }
            EventKind::TaskStarted { task, lease } => self.started(at, *task, *lease),
            EventKind::TaskAsked { task, lease, question, timeout_left_ms, expires_at } => {
                self.asked(*task, *lease, question, *timeout_left_ms, *expires_at)
            }
            EventKind::TaskAnswered { task, answer_json, by: _ } => self.answered(at, *task, answer_json),
            EventKind::QuestionWithdrawn { task, lease: _, request_id } => {
                self.withdrawn(at, *task, *request_id)
            }
            EventKind::CancelRequested { task, reason, by: _ } => {
                let task = self.running_mut(*task)?;
                task.1.cancel = Some(reason.clone());
                Ok(())
            }
            EventKind::AttemptEnded { task, lease, end, report: _ } => self.attempt_ended(*task, *lease, end),
            EventKind::TaskRequeued { task, cause, ready_at, queued_at } => {
                self.requeued(*task, *cause, *ready_at, *queued_at)
            }
            EventKind::TaskFinished { task, outcome, by: _ } => self.finished(at, *task, outcome, work),
            EventKind::TaskPinned { task, pinned, by: _ } => self.pinned(*task, *pinned),
            EventKind::AgentJoined { profile } => self.agents.joined(at, profile),
            EventKind::AgentLeft { agent } => {
                self.agents.left(*agent)?;
                self.forget_lanes();
                Ok(())
            }
            EventKind::AgentDrained { agent, draining, by: _ } => self.agents.drained(*agent, *draining),
            EventKind::AgentRevoked { agent, by: _ } => self.agents.revoked(*agent),
            EventKind::QueuePaused { paused, by: _ } => {
                self.paused = *paused;
                Ok(())
            }
            EventKind::ScheduleAdded { schedule, by: _ } => {
                self.schedules.insert(schedule.id, (**schedule).clone());
                Ok(())
            }
            EventKind::ScheduleRemoved { schedule, by: _ } => {
                self.schedules.remove(schedule).map(|_| ()).ok_or(ApplyError::Schedule(*schedule))
            }
            EventKind::ScheduleFired { schedule, task, next_at } => {
                let known = self.schedules.get_mut(schedule).ok_or(ApplyError::Schedule(*schedule))?;
                known.next_at = *next_at;
                if task.is_some() {
                    known.last_task = *task;
                }
                Ok(())
            }
            EventKind::TokenCreated { token, by: _ } => self.access.token_created(token),
            EventKind::TokenRevoked { name, by: _ } | EventKind::TokenExpired { name } => {
                self.access.token_gone(name)
            }
            EventKind::SessionOpened { session, by: _ } => self.access.session_opened(session),
            EventKind::SessionClosed { session, by: _ } => self.access.session_closed(*session),
            EventKind::WebhookAsked { task } => self.webhook_asked(*task),
            EventKind::SecretsAsked { task, secrets } => {
                let known = self.tasks.get_mut(task).ok_or(ApplyError::Task(*task))?;
                known.rare_mut().secrets = secrets.clone();
                Ok(())
            }
            EventKind::TaskTold { task, lease: _, message, by: _ } => self.told(*task, message),
            EventKind::MessagesTaken { task, count } => self.messages_taken(*task, *count),
            EventKind::DeliveryDue { task, route, notice, detail } => {
                self.delivery_due(at, *task, route, *notice, detail);
                Ok(())
            }
            EventKind::DeliveryTried { delivery, task: _, tried, answer: _ } => {
                self.delivery_tried(*delivery, tried)
            }
            EventKind::LaneChanged { lane, rests_until, open } => {
                self.lanes.changed(lane, *rests_until, *open);
                Ok(())
            }
            EventKind::LaneOpened { lane, by: _ } => {
                self.lanes.changed(lane, None, true);
                Ok(())
            }
            EventKind::LanesOffered { lanes } => {
                self.agents.lanes(lanes)?;
                self.forget_lanes();
                Ok(())
            }
            EventKind::BudgetAsked { task, limit } => self.budget_asked(*task, *limit),
            EventKind::BudgetHeld { task, lease, amount, cover } => {
                self.budget_held(*task, *lease, *amount, *cover)
            }
            EventKind::BudgetSpent { task, lease, day, amount, own } => {
                self.budget_spent(*task, *lease, *day, *amount, *own)
            }
            // Records and payloads are kept outside.
            EventKind::TasksDeleted { .. } | EventKind::SecretsUsed { .. } => Ok(()),
        }
    }

    fn pinned(&mut self, task: TaskId, pinned: bool) -> Result<(), ApplyError> {
        let pins = Arc::make_mut(&mut self.pins);
        let is_new = if pinned { pins.insert(task) } else { pins.remove(&task) };
        if is_new { Ok(()) } else { Err(ApplyError::Task(task)) }
    }

    /// Forgets credentials that no known agent uses any more.
    fn forget_lanes(&mut self) {
        let agents = &self.agents;
        self.lanes
            .keep(|name| agents.iter().any(|(_, agent)| agent.lanes.iter().any(|offer| offer.lane == *name)));
    }

    fn submitted(
        &mut self,
        at: Wall,
        asked: &NewTask,
        standing: Standing,
        key: Option<KeyId>,
    ) -> Result<(), ApplyError> {
        if self.tasks.contains_key(&asked.id) {
            return Err(ApplyError::Task(asked.id));
        }
        let place = self.queues.join_new(asked);
        self.queues.add_body(asked.body_bytes);
        let mut stage = match standing {
            Standing::Blocked => Stage::Blocked(Box::default()),
            Standing::Scheduled => Stage::Scheduled { until: asked.run_at.unwrap_or(at), cause: None },
            Standing::Queued { queued_at } => {
                self.queue_clock = self.queue_clock.max(queued_at);
                Stage::Queued { queued_at }
            }
        };
        if let Stage::Blocked(blocked) = &mut stage {
            let live = asked.depends_on.iter().filter(|id| self.tasks.contains_key(id));
            blocked.waits_for = live.copied().collect();
            self.waits.waits(asked.id, &blocked.waits_for);
        }
        if let Some(parent) = asked.parent {
            self.waits.adopted(parent, asked.id);
            self.made_below(parent);
        }
        let task = Task::new(asked, key, place, stage, at, self.seq);
        self.queues.enter_stage(asked.id, &task);
        self.tasks.insert(asked.id, Box::new(task));
        Ok(())
    }

    /// Counts a new task for those above it that run: they, or what they made, made it.
    fn made_below(&mut self, parent: TaskId) {
        let mut above = Some(parent);
        while let Some(task) = above.and_then(|id| self.tasks.get_mut(&id)) {
            if task.run().is_some() {
                let rare = task.rare_mut();
                rare.offspring = rare.offspring.saturating_add(1);
            }
            above = task.parent();
        }
    }

    /// The stage that a standing means for a task that is live already.
    fn stage_of(&mut self, id: TaskId, standing: Standing) -> Stage {
        match standing {
            Standing::Blocked => Stage::Blocked(Box::default()),
            Standing::Scheduled => {
                let until = self.tasks.get(&id).and_then(|task| task.run_at()).unwrap_or_default();
                Stage::Scheduled { until, cause: None }
            }
            Standing::Queued { queued_at } => {
                self.queue_clock = self.queue_clock.max(queued_at);
                Stage::Queued { queued_at }
            }
        }
    }

    /// Moves a live task from where it stands.
    fn stand(&mut self, id: TaskId, stage: Stage) -> Result<(), ApplyError> {
        let task = self.tasks.get_mut(&id).ok_or(ApplyError::Task(id))?;
        self.queues.leave_stage(task);
        task.stage = stage;
        task.seq = self.seq;
        self.queues.enter_stage(id, task);
        Ok(())
    }

    /// The task and its run, with the task's seq brought up to date.
    pub(super) fn running_mut(&mut self, id: TaskId) -> Result<(TaskId, &mut RunImage), ApplyError> {
        let seq = self.seq;
        let task = self.tasks.get_mut(&id).ok_or(ApplyError::Task(id))?;
        task.seq = seq;
        task.run_mut().map(|run| (id, run)).ok_or(ApplyError::Task(id))
    }

    fn assigned(
        &mut self,
        at: Wall,
        id: TaskId,
        agent: AgentId,
        lease: Lease,
        attempt: u32,
        runner: &Name,
    ) -> Result<(), ApplyError> {
        let task = self.tasks.get_mut(&id).ok_or(ApplyError::Task(id))?;
        let Stage::Queued { .. } = task.stage else { return Err(ApplyError::Task(id)) };
        task.attempt = attempt;
        let run = RunImage {
            agent,
            lease,
            runner: runner.clone(),
            assigned_at: at,
            started: false,
            deadline: at.after(task.timeout_ms),
            question: None,
            answered: None,
            cancel: None,
        };
        let lane = self.agents.get(agent).and_then(|agent| agent.lane_of(runner)).cloned();
        if lane.is_some() {
            task.rare_mut().lane = lane;
        }
        self.next_lease = self.next_lease.max(lease.number + 1);
        self.agents.took(agent, lease, id)?;
        self.stand(id, Stage::Running(Box::new(run)))
    }

    fn started(&mut self, at: Wall, id: TaskId, lease: Lease) -> Result<(), ApplyError> {
        let seq = self.seq;
        let task = self.tasks.get_mut(&id).ok_or(ApplyError::Task(id))?;
        task.seq = seq;
        task.started_at.get_or_insert(at);
        let timeout_ms = task.timeout_ms;
        let run = task.run_mut().ok_or(ApplyError::Task(id))?;
        if run.lease != lease {
            return Err(ApplyError::Lease(lease));
        }
        run.started = true;
        run.deadline = at.after(timeout_ms);
        Ok(())
    }

    fn asked(
        &mut self,
        id: TaskId,
        lease: Lease,
        question: &Question,
        left_ms: u64,
        expires_at: Wall,
    ) -> Result<(), ApplyError> {
        let (_, run) = self.running_mut(id)?;
        if run.lease != lease {
            return Err(ApplyError::Lease(lease));
        }
        let waited = run.question.replace((question.clone(), expires_at, left_ms)).is_some();
        run.answered = None;
        self.queues.waiting_changed(true, waited);
        self.questions.insert(id);
        Ok(())
    }

    fn answered(&mut self, at: Wall, id: TaskId, answer_json: &str) -> Result<(), ApplyError> {
        let request_id = self.goes_on(at, id)?;
        let (_, run) = self.running_mut(id)?;
        run.answered = Some((request_id, answer_json.into()));
        Ok(())
    }

    fn withdrawn(&mut self, at: Wall, id: TaskId, request_id: RequestId) -> Result<(), ApplyError> {
        if self.goes_on(at, id)? == request_id { Ok(()) } else { Err(ApplyError::Task(id)) }
    }

    /// Nothing waits for a person any more; says which question did.
    fn goes_on(&mut self, at: Wall, id: TaskId) -> Result<RequestId, ApplyError> {
        let (_, run) = self.running_mut(id)?;
        let (question, _, left_ms) = run.question.take().ok_or(ApplyError::Task(id))?;
        run.deadline = at.after(left_ms);
        self.queues.waiting_changed(false, true);
        self.questions.remove(&id);
        Ok(question.request_id)
    }

    fn attempt_ended(&mut self, id: TaskId, lease: Lease, end: &AttemptEnd) -> Result<(), ApplyError> {
        let (_, run) = self.running_mut(id)?;
        if run.lease != lease {
            return Err(ApplyError::Lease(lease));
        }
        let agent = run.agent;
        let name = self.agents.gave_back(agent, lease)?;
        self.questions.remove(&id);
        self.stand(id, Stage::Between)?;
        let task = self.tasks.get_mut(&id).ok_or(ApplyError::Task(id))?;
        if let Some(lane) = task.rare.as_mut().and_then(|rare| rare.lane.take()) {
            let others = self.queues.running_under_lane(&lane);
            self.lanes.run_ended(&lane, end, others);
        }
        match end {
            AttemptEnd::Failed(failure) if failure.reason == FailureReason::ContextOverflow => {}
            AttemptEnd::Failed(_) => task.failed_attempts = task.failed_attempts.saturating_add(1),
            AttemptEnd::Crashed(_) => task.rare_mut().crashed_on.push(name),
            AttemptEnd::Limited { .. } => {
                let rare = task.rare_mut();
                rare.limits = rare.limits.saturating_add(1);
            }
            AttemptEnd::Succeeded | AttemptEnd::Stopped | AttemptEnd::Cancelled => {}
        }
        Ok(())
    }

    fn requeued(
        &mut self,
        id: TaskId,
        cause: Requeue,
        ready_at: Option<Wall>,
        queued_at: Wall,
    ) -> Result<(), ApplyError> {
        let stage = match ready_at {
            Some(until) => Stage::Scheduled { until, cause: Some(cause) },
            None => {
                self.queue_clock = self.queue_clock.max(queued_at);
                Stage::Queued { queued_at }
            }
        };
        let task = self.tasks.get_mut(&id).ok_or(ApplyError::Task(id))?;
        task.last_end = Some(cause);
        if cause == Requeue::NewSession {
            task.rare_mut().new_session = true;
        }
        self.stand(id, stage)
    }

    fn finished(
        &mut self,
        at: Wall,
        id: TaskId,
        outcome: &Outcome,
        work: &mut Worklist,
    ) -> Result<(), ApplyError> {
        let task = self.tasks.remove(&id).ok_or(ApplyError::Task(id))?;
        if task.run().is_some() {
            return Err(ApplyError::Task(id));
        }
        self.deliveries.task_ended(id);
        self.queues.leave_stage(&task);
        self.queues.leave(task.place);
        self.queues.remove_body(task.body_bytes);
        if let Some(blocked) = task.blocked() {
            self.waits.waits_no_more(id, &blocked.waits_for);
        }
        let failed = !outcome.is_success();
        for dependent in self.waits.ended(id) {
            let waiting = self.tasks.get_mut(&dependent).and_then(|task| task.blocked_mut());
            let blocked = waiting.ok_or(ApplyError::Task(dependent))?;
            blocked.waits_for.remove(&id);
            if failed {
                blocked.failed_dependency.get_or_insert(id);
            }
            if failed || blocked.waits_for.is_empty() {
                work.push_back(Consequence::Touched(dependent));
            }
        }
        if !task.account().below.is_zero() {
            self.cut_off(id, task.parent());
        }
        if let Some(parent) = task.parent() {
            let last = self.waits.left(parent, id);
            let above = self.tasks.get_mut(&parent);
            if last && above.is_some() {
                work.push_back(Consequence::Touched(parent));
            }
            if let Some(blocked) = above.and_then(|task| task.blocked_mut()).filter(|_| failed) {
                blocked.failed_subtask.get_or_insert(id);
            }
        }
        if self.waits.has_subtasks(id) {
            work.push_back(Consequence::Orphaned(id));
        }
        if let Some(key) = task.key() {
            self.key_task_ended(at, key, work)?;
        }
        Ok(())
    }
}

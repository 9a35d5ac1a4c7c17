//! One step of the machine. Decisions read through [`View`] and change the state only by emitting events, so that what
//! they did can be replayed.

use crate::command::{Effect, Reply};
use crate::decide::notify;
use crate::event::{Event, EventKind};
use crate::id::{AgentId, TaskId};
use crate::live::{Access, Live};
use crate::machine::Step;
use crate::policy::Policy;
use crate::state::task::{Stage, Task};
use crate::state::{Consequence, State, Worklist};
use crate::time::{Mono, Now, Wall};

/// What a decision may read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'v> {
    pub(crate) policy: &'v Policy,
    pub(crate) state: &'v State,
    pub(crate) live: &'v Live,
    pub(crate) now: Now,
}

/// A step under way.
#[derive(Debug)]
pub(crate) struct Context<'m> {
    policy: &'m Policy,
    state: &'m mut State,
    live: &'m mut Live,
    now: Now,
    events: Vec<Event>,
    effects: Vec<Effect>,
    work: Worklist,
}

/// When a task is to be looked at.
enum Due {
    Never,
    Mono(Mono),
    Wall(Wall),
}

impl<'m> Context<'m> {
    pub(crate) fn new(policy: &'m Policy, state: &'m mut State, live: &'m mut Live, now: Now) -> Self {
        let (events, effects, work) = (Vec::new(), Vec::new(), Worklist::new());
        Self { policy, state, live, now, events, effects, work }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { policy: self.policy, state: self.state, live: self.live, now: self.now }
    }

    pub(crate) fn state(&self) -> &State {
        self.state
    }

    pub(crate) fn policy(&self) -> &'m Policy {
        self.policy
    }

    pub(crate) fn now(&self) -> Now {
        self.now
    }

    /// What is not in the log may be changed without an event.
    pub(crate) fn live(&mut self) -> &mut Live {
        self.live
    }

    /// The place in time of a task that is queued now; it never runs backwards.
    pub(crate) fn queue_instant(&self) -> Wall {
        self.state.queue_clock().max(self.now.wall)
    }

    /// Lets something happen.
    pub(crate) fn emit(&mut self, kind: EventKind) {
        let told = notify::follows(self.view(), &kind);
        let event = Event { at: self.now.wall, kind };
        let applied = self.state.apply_noting(self.state.seq().next(), &event, &mut self.work);
        applied.expect("a decided event follows from the state it was decided on");
        self.arm_after(&event.kind);
        self.events.push(event);
        notify::make_due(self, told);
    }

    /// Wants something done outside.
    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Has a blocked task looked at before the step ends.
    pub(crate) fn touch(&mut self, task: TaskId) {
        self.work.push_back(Consequence::Touched(task));
    }

    /// The next consequence to decide.
    pub(crate) fn next_consequence(&mut self) -> Option<Consequence> {
        self.work.pop_front()
    }

    /// Whether anything happened yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether an agent's connection stands.
    pub(crate) fn is_connected(&self, agent: AgentId) -> bool {
        self.live.sessions.get(&agent).is_some_and(|session| session.connected)
    }

    /// Nothing is armed for a task any more.
    pub(crate) fn forget_due(&mut self, task: TaskId) {
        self.state.set_due(task, None);
    }

    /// Ends the step.
    pub(crate) fn into_step(self, reply: Reply, more: bool) -> Step {
        Step { events: self.events, effects: self.effects, reply, more }
    }

    /// Arms what an event makes due.
    fn arm_after(&mut self, kind: &EventKind) {
        match kind {
            EventKind::TaskSubmitted { task, .. } => self.arm(task.id),
            EventKind::TaskFreed { task, .. }
            | EventKind::TaskAssigned { task, .. }
            | EventKind::TaskStarted { task, .. }
            | EventKind::TaskAsked { task, .. }
            | EventKind::TaskAnswered { task, .. }
            | EventKind::QuestionWithdrawn { task, .. }
            | EventKind::CancelRequested { task, .. }
            | EventKind::TaskRequeued { task, .. } => self.arm(*task),
            EventKind::AttemptEnded { task, lease, .. } => {
                self.live.spent.remove(lease);
                self.arm(*task);
            }
            EventKind::ScheduleAdded { schedule, .. } => {
                self.live.disarm_schedule(schedule.id);
                self.live.schedules.insert((schedule.next_at, schedule.id));
            }
            EventKind::ScheduleRemoved { schedule, .. } => self.live.disarm_schedule(*schedule),
            EventKind::ScheduleFired { schedule, next_at, .. } => {
                self.live.disarm_schedule(*schedule);
                self.live.schedules.insert((*next_at, *schedule));
            }
            EventKind::AgentLeft { agent } => {
                self.live.sessions.remove(agent);
            }
            EventKind::TokenCreated { token, .. } => {
                let expires_at = token.expires_at.map(|at| (at, Access::Token(token.name.clone())));
                self.live.access.extend(expires_at);
            }
            EventKind::SessionOpened { session, .. } => {
                self.live.access.insert((session.expires_at, Access::Session(session.digest)));
            }
            EventKind::TokenRevoked { .. }
            | EventKind::TokenExpired { .. }
            | EventKind::SessionClosed { .. } => self.live.disarm_access(self.state),
            EventKind::LaneChanged { lane, rests_until: Some(until), .. } => {
                self.live.arm_lane(*until, lane);
            }
            EventKind::Began { .. }
            | EventKind::KeyBound { .. }
            | EventKind::KeyExpired { .. }
            | EventKind::TaskFinished { .. }
            | EventKind::TasksDeleted { .. }
            | EventKind::TaskPinned { .. }
            | EventKind::AgentJoined { .. }
            | EventKind::AgentDrained { .. }
            | EventKind::AgentRevoked { .. }
            | EventKind::QueuePaused { .. }
            | EventKind::LaneChanged { rests_until: None, .. }
            | EventKind::LanesOffered { .. }
            | EventKind::LaneOpened { .. }
            | EventKind::BudgetSpent { .. }
            | EventKind::BudgetAsked { .. }
            | EventKind::BudgetHeld { .. }
            | EventKind::WebhookAsked { .. }
            | EventKind::SecretsAsked { .. }
            | EventKind::SecretsUsed { .. }
            | EventKind::TaskTold { .. }
            | EventKind::MessagesTaken { .. }
            | EventKind::DeliveryDue { .. }
            | EventKind::DeliveryTried { .. } => {}
        }
    }

    /// Arms the deadlines of all tasks, of which most have none.
    pub(crate) fn arm_all(&mut self) {
        let wanted = |task: &Task| task.due.is_some() || !matches!(due(self.view(), task), Due::Never);
        let tasks: Vec<_> =
            self.state.live_tasks().filter(|(_, task)| wanted(task)).map(|(id, _)| id).collect();
        for id in tasks {
            self.forget_due(id);
            self.arm(id);
        }
    }

    /// Arms the deadline of a task as it stands now.
    pub(crate) fn arm(&mut self, id: TaskId) {
        let Some(task) = self.state.live(id) else { return };
        let due = match due(self.view(), task) {
            Due::Never => None,
            Due::Mono(due) => Some(due),
            Due::Wall(until) => {
                self.live.run_at.push(std::cmp::Reverse((until, id)));
                None
            }
        };
        if task.due == due {
            return;
        }
        self.state.set_due(id, due);
        if let Some(due) = due {
            self.live.arm_task(due, id);
        }
    }
}

/// When a task is to be looked at, reckoned from now.
fn due(view: View<'_>, task: &Task) -> Due {
    let now = view.now;
    match &task.stage {
        Stage::Blocked(_) | Stage::Between => Due::Never,
        Stage::Scheduled { until, cause: None } => Due::Wall(*until),
        Stage::Scheduled { until, cause: Some(_) } => Due::Mono(now.rebase(*until)),
        Stage::Queued { queued_at } => match task.queue_timeout_ms {
            None => Due::Never,
            // The queue's clock may be ahead of the wall clock; that must not stretch the timeout.
            Some(ms) => Due::Mono(now.rebase(queued_at.after(ms)).min(now.mono.after(ms))),
        },
        Stage::Running(run) => {
            let end = match &run.question {
                Some((_, expires_at, _)) => now.rebase(*expires_at),
                None => now.rebase(run.deadline).after(view.policy.timeout_margin_ms),
            };
            match (&run.cancel, task.due) {
                (None, _) => Due::Mono(end),
                // The grace runs from the request; what the run says later does not stretch it.
                (Some(_), armed) => {
                    let grace = now.mono.after(view.policy.cancel_grace_ms);
                    Due::Mono(grace.min(end).min(armed.unwrap_or(Mono(u64::MAX))))
                }
            }
        }
    }
}

//! The machine: the state, the rules, and what it knows besides.

mod pending;
mod view;

use std::cmp::Reverse;

use crate::budget::Amount;
use crate::command::{Command, Effect, Rejection, Reply, Volume};
use crate::context::{Context, View};
use crate::decide;
use crate::event::Event;
use crate::live::{Access, Live, Session};
use crate::name::Name;
use crate::policy::Policy;
use crate::state::State;
use crate::time::{Deadline, Now};

pub use pending::Pending;
pub use pending::Unserved;
pub(crate) use pending::pending;
pub use view::AgentView;

/// What one command or one look at the clock led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What happened, in order; the state has it already.
    pub events: Vec<Event>,
    /// What is to be done once the events are durable, in order.
    pub effects: Vec<Effect>,
    /// The answer.
    pub reply: Reply,
    /// Whether the same is to be asked again, because the step's limit was reached.
    pub more: bool,
}

/// The pure state machine. It is asked with commands and told the time; it answers with what happened and what to do.
#[derive(Debug, Clone)]
pub struct Machine {
    policy: Policy,
    state: State,
    live: Live,
}

impl Machine {
    /// Goes on from a state. Every live lease gets a full time-to-live.
    #[must_use]
    pub fn new(policy: Policy, state: State, now: Now) -> Self {
        let live = Live { began_at: state.queue_clock(), ..Live::default() };
        let mut machine = Self { policy, state, live };
        machine.arm_everything(now);
        machine
    }

    /// Decides a command. A refused one changes nothing.
    ///
    /// # Errors
    /// Says why the command was refused.
    pub fn handle(&mut self, now: Now, command: Command) -> Result<Step, Rejection> {
        let mut step = Context::new(&self.policy, &mut self.state, &mut self.live, now);
        let decided = decide::command(&mut step, command);
        let (reply, more) = match decided {
            Ok(decided) => decided,
            Err(rejection) => {
                assert!(step.is_untouched(), "a command is refused before anything happens");
                return Err(rejection);
            }
        };
        decide::settle(&mut step);
        let step = step.into_step(reply, more);
        self.live.sweep(&self.state);
        Ok(step)
    }

    /// Does what the clock brings, up to [`TIMEOUTS_A_STEP`](crate::TIMEOUTS_A_STEP) of it.
    pub fn handle_timeout(&mut self, now: Now) -> Step {
        let mut step = Context::new(&self.policy, &mut self.state, &mut self.live, now);
        let more = decide::timeouts(&mut step);
        let step = step.into_step(Reply::Done, more);
        self.live.sweep(&self.state);
        step
    }

    /// When [`Machine::handle_timeout`] is wanted next. It may be a little early, never late.
    #[must_use]
    pub fn next_deadline(&self) -> Deadline {
        let tasks = self.live.tasks.peek().map(|Reverse((due, _))| *due);
        let agents = self.live.agents.peek().map(|Reverse((due, _))| *due);
        let keys = self.live.keys.peek().map(|Reverse((due, _))| *due);
        let run_at = self.live.run_at.peek().map(|Reverse((due, _))| *due);
        let schedules = self.live.schedules.first().map(|(due, _)| *due);
        let access = self.live.access.first().map(|(due, _)| *due);
        let lanes = self.live.lanes.first().map(|(due, _)| *due);
        let day = self.state.ledger().day().map(|day| self.policy.budgets.next_day(day.max(self.live.day)));
        Deadline {
            mono: [tasks, agents, keys].into_iter().flatten().min(),
            wall: [run_at, schedules, access, lanes, day].into_iter().flatten().min(),
        }
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The volume that has less free space than it must, as the machine was told.
    #[must_use]
    pub fn lacking(&self) -> Option<Volume> {
        self.live.lacking
    }

    /// What was spent today, and what is set aside for what runs: by everybody, or by a group.
    #[must_use]
    pub fn spent_today(&self, now: Now, group: Option<&Name>) -> (Amount, Amount) {
        let view = View { policy: &self.policy, state: &self.state, live: &self.live, now };
        decide::budget::today(view, group)
    }

    /// Gives all agents a full time-to-live to be heard again, after a while in which nobody was listened to.
    pub fn listen_again(&mut self, now: Now) {
        for session in self.live.sessions.values_mut() {
            session.heard = now.mono;
        }
    }

    fn arm_everything(&mut self, now: Now) {
        let agents: Vec<_> = self.state.known_agents().map(|(id, _)| id).collect();
        for id in agents {
            self.live.sessions.insert(id, Session { heard: now.mono, ..Session::default() });
        }
        let keys: Vec<_> = self.state.keys().filter(|(_, key)| key.live == 0).collect();
        for (id, key) in keys {
            let due = now.rebase(key.ended_at.after(self.policy.idempotency_ms));
            self.live.keys.push(Reverse((due, id)));
        }
        for schedule in self.state.schedules() {
            self.live.schedules.insert((schedule.next_at, schedule.id));
        }
        for lane in self.state.lanes() {
            self.live.lanes.extend(lane.rests_until.map(|until| (until, lane.name.clone())));
        }
        for token in self.state.tokens() {
            let expires_at = token.expires_at.map(|at| (at, Access::Token(token.name.clone())));
            self.live.access.extend(expires_at);
        }
        for session in self.state.login_sessions() {
            self.live.access.insert((session.expires_at, Access::Session(session.digest)));
        }
        let mut step = Context::new(&self.policy, &mut self.state, &mut self.live, now);
        step.arm_all();
        decide::arm_agents(&mut step);
    }
}

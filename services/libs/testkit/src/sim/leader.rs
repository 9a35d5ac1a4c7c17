//! A leader: the machine, and the batches that are decided but not yet durable.

use std::collections::{BTreeMap, VecDeque};

use conductor_core::{
    AgentId, AgentSay, Command, Effect, Event, Incarnation, Machine, Now, Policy, Rejection, Reply, State,
    Step,
};

/// How many batches may be decided ahead of the log.
const AHEAD: usize = 2;

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// The client of this number.
    Client(usize),
    /// An agent that said hello on this session.
    Agent(AgentId, u64),
    Nobody,
}

/// What goes out once a batch is durable, in this order.
#[derive(Debug)]
pub(super) enum Outgoing {
    Effect(Effect),
    Reply(Caller, Result<Reply, Rejection>),
}

/// A batch under way.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    pub(super) outgoing: Vec<Outgoing>,
}

/// A leader.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) machine: Machine,
    pub(super) unwritten: VecDeque<Batch>,
    /// The sessions that agents are told things on, as of what is durable.
    pub(super) attached: BTreeMap<AgentId, u64>,
    /// Connections that broke and were not heard of.
    pub(super) cut: VecDeque<(AgentId, u64)>,
    sessions: u64,
}

impl Leader {
    pub(super) fn start(policy: Policy, state: State, incarnation: Incarnation, now: Now) -> Self {
        let machine = Machine::new(policy, state, now);
        let (unwritten, attached, cut) = (VecDeque::new(), BTreeMap::new(), VecDeque::new());
        let mut leader = Self { machine, unwritten, attached, cut, sessions: 0 };
        leader.decide(now, vec![(Command::Begin { incarnation }, Caller::Nobody)]);
        leader
    }

    /// The number of a new connection.
    pub(super) fn session(&mut self) -> u64 {
        self.sessions += 1;
        self.sessions
    }

    /// Whether another batch may be decided before one is written.
    pub(super) fn may_decide(&self) -> bool {
        self.unwritten.len() < AHEAD
    }

    /// Decides commands at one instant, then fills free slots.
    pub(super) fn decide(&mut self, now: Now, commands: Vec<(Command, Caller)>) {
        let mut batch = Batch::default();
        for (command, caller) in commands {
            match self.machine.handle(now, command) {
                Ok(step) => {
                    let reply = step.reply.clone();
                    batch.add(step);
                    batch.outgoing.push(Outgoing::Reply(caller, Ok(reply)));
                }
                Err(rejection) => batch.outgoing.push(Outgoing::Reply(caller, Err(rejection))),
            }
        }
        self.fill(now, &mut batch);
        self.unwritten.push_back(batch);
    }

    /// Takes up what is due.
    pub(super) fn timeouts(&mut self, now: Now) {
        let mut batch = Batch::default();
        loop {
            let deadline = self.machine.next_deadline();
            let mono = deadline.mono.is_some_and(|due| due <= now.mono);
            if !mono && deadline.wall.is_none_or(|due| due > now.wall) {
                break;
            }
            batch.add(self.machine.handle_timeout(now));
        }
        self.fill(now, &mut batch);
        self.unwritten.push_back(batch);
    }

    /// The command by which an agent is heard.
    pub(super) fn heard(agent: AgentId, session: u64, say: AgentSay) -> (Command, Caller) {
        let hello = matches!(say, AgentSay::Hello { .. });
        let caller = if hello { Caller::Agent(agent, session) } else { Caller::Nobody };
        (Command::Agent { agent, session, say }, caller)
    }

    fn fill(&mut self, now: Now, batch: &mut Batch) {
        loop {
            let step = self.machine.handle(now, Command::Assign).expect("slots can always be filled");
            let more = step.more;
            batch.add(step);
            if !more {
                return;
            }
        }
    }
}

impl Batch {
    fn add(&mut self, step: Step) {
        self.events.extend(step.events);
        self.outgoing.extend(step.effects.into_iter().map(Outgoing::Effect));
    }
}

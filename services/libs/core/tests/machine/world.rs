//! A machine with a log beside it, and what is checked after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use conductor_core::*;

/// A machine, the state that its log replays to, and what was seen of its tasks.
pub struct World {
    pub machine: Machine,
    pub now: Now,
    log: State,
    pub accepted: BTreeSet<TaskId>,
    pub finished: BTreeMap<TaskId, Outcome>,
    granted: BTreeMap<AgentId, u64>,
    /// Leases that were ever given.
    leases: BTreeSet<Lease>,
    next: u128,
}

pub const ADA: AgentId = AgentId(0xada);
pub const BOB: AgentId = AgentId(0xb0b);

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub fn names(texts: &[&str]) -> Box<[Name]> {
    texts.iter().map(|text| name(text)).collect()
}

pub fn actor() -> Arc<Actor> {
    Arc::new(Actor { name: name("tester"), role: Role::Admin, via: name("cli"), address: None })
}

/// Tasks of the tester's that name nothing besides.
pub fn submit(tasks: Vec<NewTask>) -> Submit {
    Submit::of(tasks, actor())
}

pub fn failure(reason: FailureReason) -> AttemptEnd {
    AttemptEnd::Failed(Failure::new(reason, "it broke"))
}

pub fn profile(agent: AgentId, called: &str, instance: u128, runners: &[&str]) -> Profile {
    let offer =
        |runner: &&str| RunnerOffer { runner: name(runner), version: None, ready: true, missing: None };
    Profile {
        agent_id: agent,
        instance: InstanceId(instance),
        name: name(called),
        host: "here".into(),
        version: "1".into(),
        slots: 4,
        labels: names(&[]),
        runners: runners.iter().map(offer).collect(),
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(Policy::default())
    }

    pub fn with(policy: Policy) -> Self {
        let now = Now { mono: Mono(5_000), wall: Wall(1_700_000_000_000) };
        let machine = Machine::new(policy, State::default(), now);
        let mut world = Self {
            machine,
            now,
            log: State::default(),
            accepted: BTreeSet::new(),
            finished: BTreeMap::new(),
            granted: BTreeMap::new(),
            leases: BTreeSet::new(),
            next: 0x1000,
        };
        world.must(Command::Begin { incarnation: Incarnation(1) });
        world
    }

    /// A task that asks for nothing special.
    pub fn task(&mut self) -> NewTask {
        self.next += 1;
        NewTask { timeout_ms: 60_000, body_bytes: 120, ..NewTask::plain(TaskId(self.next), name("mock")) }
    }

    /// Gives a command and checks what came of it.
    pub fn give(&mut self, command: Command) -> Result<Step, Rejection> {
        if let Command::Agent { agent, say: AgentSay::Credits(more), .. } = &command {
            *self.granted.entry(*agent).or_default() += u64::from(*more);
        }
        let before = self.machine.state().seq();
        match self.machine.handle(self.now, command) {
            Ok(step) => {
                self.check(&step);
                Ok(step)
            }
            Err(rejection) => {
                assert_eq!(self.machine.state().seq(), before, "a refused command changes nothing");
                Err(rejection)
            }
        }
    }

    pub fn must(&mut self, command: Command) -> Step {
        self.give(command).expect("accepted")
    }

    pub fn submit(&mut self, tasks: Vec<NewTask>) -> Result<Step, Rejection> {
        self.give(Command::Submit(submit(tasks)))
    }

    pub fn submit_one(&mut self, change: impl FnOnce(&mut NewTask)) -> TaskId {
        let mut task = self.task();
        change(&mut task);
        let id = task.id;
        self.submit(vec![task]).expect("accepted");
        id
    }

    pub fn say(&mut self, agent: AgentId, say: AgentSay) -> Step {
        self.must(Command::Agent { agent, session: 1, say })
    }

    pub fn hello(&mut self, session: u64, profile: Profile, held: Vec<Lease>) -> Result<Step, Rejection> {
        let (agent, profile) = (profile.agent_id, Box::new(profile));
        self.give(Command::Agent { agent, session, say: AgentSay::Hello { profile, held } })
    }

    /// Connects an agent that runs the mock and grants it some slots.
    pub fn join(&mut self, agent: AgentId, credits: u32) {
        let called = format!("agent-{:x}", agent.0);
        self.hello(1, profile(agent, &called, 1, &["mock"]), Vec::new()).expect("welcome");
        self.say(agent, AgentSay::Credits(credits));
    }

    /// Fills free slots; answers who got what.
    pub fn assign(&mut self) -> Vec<(AgentId, TaskId, Lease)> {
        let step = self.must(Command::Assign);
        let given = step.effects.into_iter().filter_map(|effect| match effect {
            Effect::Assign { agent, task, lease, .. } => Some((agent, task, lease)),
            _ => None,
        });
        given.collect()
    }

    /// Assigns one task and says that it began.
    pub fn start(&mut self) -> (TaskId, Lease) {
        let given = self.assign();
        let [(agent, task, lease)] = given[..] else { panic!("expected one assignment: {given:?}") };
        self.say(agent, AgentSay::Started(lease));
        (task, lease)
    }

    pub fn finish(&mut self, agent: AgentId, lease: Lease, end: AttemptEnd) -> Step {
        self.say(agent, AgentSay::Finished { lease, end, report: Box::default() })
    }

    pub fn finish_on(&mut self, session: u64, agent: AgentId, lease: Lease, end: AttemptEnd) -> Step {
        let say = AgentSay::Finished { lease, end, report: Box::default() };
        self.must(Command::Agent { agent, session, say })
    }

    /// Lets both clocks go on and takes up what is due.
    pub fn pass(&mut self, ms: u64) -> Vec<Step> {
        self.now = Now { mono: self.now.mono.after(ms), wall: self.now.wall.after(ms) };
        self.take_up()
    }

    /// Takes up all that is due.
    pub fn take_up(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            let deadline = self.machine.next_deadline();
            let due = deadline.mono.is_some_and(|due| due <= self.now.mono)
                || deadline.wall.is_some_and(|due| due <= self.now.wall);
            if !due {
                return steps;
            }
            let step = self.machine.handle_timeout(self.now);
            self.check(&step);
            steps.push(step);
            assert!(steps.len() < 1_000, "what is due is taken up sooner or later");
        }
    }

    /// Starts the machine again from its snapshot.
    pub fn restart(&mut self) {
        let state = State::restore(self.machine.state().parts()).expect("the parts fit");
        assert!(state == *self.machine.state());
        self.machine = Machine::new(self.machine.policy().clone(), state, self.now);
        self.granted.clear();
        let incarnation = Incarnation(self.machine.state().incarnation().0 + 1);
        self.must(Command::Begin { incarnation });
    }

    pub fn stage(&self, task: TaskId) -> StageImage {
        self.machine.state().task(task).expect("live").stage
    }

    pub fn is_queued(&self, task: TaskId) -> bool {
        matches!(self.stage(task), StageImage::Queued { .. })
    }

    pub fn run(&self, task: TaskId) -> RunImage {
        match self.stage(task) {
            StageImage::Running(run) => run,
            stage => panic!("{task} does not run: {stage:?}"),
        }
    }

    /// How a task ended.
    pub fn outcome(&self, task: TaskId) -> Outcome {
        self.finished.get(&task).unwrap_or_else(|| panic!("{task} is over: {:?}", self.stage(task))).clone()
    }

    pub fn failure_of(&self, task: TaskId) -> FailureReason {
        match self.outcome(task) {
            Outcome::Failed(failure) => failure.reason,
            outcome => panic!("{task} did not fail: {outcome:?}"),
        }
    }

    /// Nothing is given to run under a credential that is shut, or beyond what it takes.
    fn check_lane(&self, event: &Event) {
        let EventKind::TaskAssigned { agent, runner, .. } = &event.kind else { return };
        let offer = self.log.agent_lanes(*agent).iter().find(|offer| offer.runner == *runner);
        let Some(lane) = offer.and_then(|offer| self.log.lane(&offer.lane)) else { return };
        assert!(!lane.closed, "{lane:?} is closed");
        assert!(lane.rests_until.is_none_or(|until| until <= event.at), "{lane:?} rests");
        let running = self.log.running_by_lane().find(|(name, _)| **name == lane.name);
        let running = running.map_or(0, |(_, count)| count);
        assert!(lane.at_once().is_none_or(|most| running < most), "{running} run under {lane:?}");
    }

    /// Checks the invariants after a step.
    fn check(&mut self, step: &Step) {
        for event in &step.events {
            self.check_lane(event);
            self.log.apply(self.log.seq().next(), event).expect("the log replays");
            match &event.kind {
                EventKind::TaskSubmitted { task, .. } => {
                    assert!(self.accepted.insert(task.id), "{} is accepted once", task.id);
                }
                EventKind::TaskFinished { task, outcome, .. } => {
                    let before = self.finished.insert(*task, outcome.clone());
                    assert_eq!(before, None, "{task} is finished once");
                }
                EventKind::TaskAssigned { agent, lease, .. } => {
                    assert!(self.leases.insert(*lease), "{lease} is given once");
                    let granted = self.granted.get_mut(agent).filter(|granted| **granted > 0);
                    *granted.expect("an assignment takes a credit") -= 1;
                }
                _ => {}
            }
        }
        let state = self.machine.state();
        assert!(self.log == *state, "the log replays to the live state");
        state.check().expect("the indexes agree");
        for task in &self.accepted {
            let over = self.finished.contains_key(task);
            assert_ne!(state.contains(*task), over, "{task} is live or finished, not both and not neither");
        }
        assert_eq!(state.len() + self.finished.len(), self.accepted.len());
        let held: usize = state.agents().map(|agent| state.leases(agent.profile.agent_id).count()).sum();
        assert_eq!(held as u64, state.counts().running, "every lease is a running task's");
    }
}

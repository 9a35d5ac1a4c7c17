//! The world: clients, agents, a leader that comes and goes, and the log.

use std::sync::Arc;

use conductor_core::{
    Actor, AgentId, BodyDigest, CancelReason, Command, Effect, Incarnation, KeyId, Mono, Name, NewTask, Now,
    Policy, Reply, RequestId, Role, Submit, TaskId, Wall,
};

use super::action::{Action, Asked};
use super::agent::{Agent, Told};
use super::facts::Facts;
use super::leader::{Caller, Leader, Outgoing};
use super::log::Log;

/// How many agents there are.
const AGENTS: u128 = 3;
/// How often the world is given a chance to come to rest.
const ROUNDS: usize = 400;

/// A flaw that a world may be given, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Replies and effects go out before their batch is durable.
    TellsBeforeItWrites,
    /// A new connection is told what was decided for the one before it.
    AttachesAtOnce,
    /// A crash loses the last batch that was called durable.
    WritesWithoutSync,
}

/// A simulated world.
#[derive(Debug)]
pub struct World {
    flaw: Option<Flaw>,
    now: Now,
    policy: Policy,
    log: Log,
    leader: Option<Leader>,
    agents: Vec<Agent>,
    clients: Vec<Client>,
    /// Tasks that a client was told are accepted.
    acknowledged: Vec<TaskId>,
    ids: u128,
}

/// A client with one thing to submit.
#[derive(Debug)]
struct Client {
    asked: Asked,
    /// What it named as a dependency, chosen once, so that it asks for the same again.
    after: Option<TaskId>,
    answered: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            flaw: None,
            now: Now { mono: Mono(1_000), wall: Wall(1_700_000_000_000) },
            policy: Policy { crash_limit: 5, ..Policy::default() },
            log: Log::default(),
            leader: None,
            agents: (0..AGENTS).map(Agent::new).collect(),
            clients: Vec::new(),
            acknowledged: Vec::new(),
            ids: 0x1000,
        }
    }
}

impl World {
    /// A world with a flaw.
    #[must_use]
    pub fn flawed(flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..Self::default() }
    }

    /// What the log says happened.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.log.facts
    }

    /// The tasks that clients were told are accepted.
    #[must_use]
    pub fn acknowledged(&self) -> &[TaskId] {
        &self.acknowledged
    }

    /// Lets something happen. What cannot happen now is passed over.
    pub fn act(&mut self, action: &Action) {
        match *action {
            Action::Submit(asked) => {
                let after = match asked {
                    Asked::After(number) => pick(&self.acknowledged, number),
                    Asked::Plain { .. } | Asked::Parent { .. } => None,
                };
                self.clients.push(Client { asked, after, answered: false });
                self.ask(self.clients.len() - 1);
            }
            Action::AskAgain(number) => {
                let open: Vec<_> = (0..self.clients.len()).filter(|at| !self.clients[*at].answered).collect();
                if let Some(client) = pick(&open, number) {
                    self.ask(client);
                }
            }
            Action::Cancel(number) => {
                if let Some(task) = pick(&self.acknowledged, number) {
                    let reason = CancelReason::Requested(None);
                    self.decide(vec![(Command::Cancel { task, reason, by: actor() }, Caller::Nobody)]);
                }
            }
            Action::Answer(number) => {
                let asking: Vec<_> = self.log.state.questions().collect();
                if let Some(task) = pick(&asking, number) {
                    self.answer(task);
                }
            }
            Action::Connect(number) => self.connect(at(number)),
            Action::Cut(number) => self.cut(at(number)),
            Action::HearOfCut => self.hear_of_cut(),
            Action::Hear { agent, messages } => self.hear(at(agent), usize::from(messages)),
            Action::Tell { agent, messages } => self.tell(at(agent), usize::from(messages)),
            Action::End { agent, run, end } => self.agents[at(agent)].end(usize::from(run), end),
            Action::Ask { agent, run } => {
                self.ids += 1;
                self.agents[at(agent)].ask(usize::from(run), RequestId(self.ids));
            }
            Action::Kill(number) => {
                self.cut(at(number));
                self.agents[at(number)].kill();
            }
            Action::Write => self.write(),
            Action::Crash { written } => self.crash(usize::from(written)),
            Action::Start => self.start(),
            Action::Snapshot => self.log.snapshot(),
            Action::Pass { ms, heartbeats } => self.pass(u64::from(ms), heartbeats),
        }
    }

    /// Lets everything go well until all is done.
    ///
    /// # Panics
    /// Something is left over, or was lost.
    pub fn come_to_rest(&mut self) {
        self.start();
        for _ in 0..ROUNDS {
            for agent in 0..self.agents.len() {
                self.connect(agent);
                for run in 0..self.agents[agent].run_count() {
                    self.agents[agent].end(run, super::End::Succeeds);
                }
                self.settle();
                self.hear(agent, usize::MAX);
                self.settle();
                self.tell(agent, usize::MAX);
            }
            for client in 0..self.clients.len() {
                if !self.clients[client].answered {
                    self.settle();
                    self.ask(client);
                }
            }
            let asking: Vec<_> = self.log.state.questions().collect();
            for task in asking {
                self.settle();
                self.answer(task);
            }
            self.settle();
            self.hear_of_cut();
            self.settle();
            self.pass(30_000, true);
            self.settle();
            let idle = self.agents.iter().all(|agent| agent.is_idle());
            if idle && self.log.state.is_empty() && self.clients.iter().all(|client| client.answered) {
                for task in &self.acknowledged {
                    assert!(self.log.facts.finished().contains_key(task), "{task} was lost (I1)");
                }
                return;
            }
        }
        let left: Vec<_> = self.log.state.task_ids().map(|id| self.log.state.task(id)).collect();
        panic!("the world does not come to rest: {left:#?}, {:#?}", self.agents);
    }

    fn settle(&mut self) {
        while self.leader.as_ref().is_some_and(|leader| !leader.unwritten.is_empty()) {
            self.write();
        }
    }

    fn start(&mut self) {
        if self.leader.is_none() {
            let state = self.log.load();
            self.ids += 1;
            let incarnation = Incarnation(u64::try_from(self.ids).expect("few ids"));
            self.leader = Some(Leader::start(self.policy.clone(), state, incarnation, self.now));
        }
    }

    fn crash(&mut self, written: usize) {
        let Some(leader) = self.leader.take() else { return };
        if self.flaw == Some(Flaw::WritesWithoutSync) {
            self.log.lose_last();
        }
        for batch in leader.unwritten.into_iter().take(written) {
            self.log.append(batch.events);
        }
        for agent in &mut self.agents {
            agent.link = None;
        }
        for task in &self.acknowledged {
            assert!(self.log.facts.keeps(*task), "{task} was lost (I1)");
        }
    }

    fn decide(&mut self, commands: Vec<(Command, Caller)>) {
        if let Some(leader) = self.leader.as_mut().filter(|leader| leader.may_decide()) {
            leader.decide(self.now, commands);
            if self.flaw == Some(Flaw::TellsBeforeItWrites)
                && let Some(batch) = leader.unwritten.back_mut()
            {
                let early = std::mem::take(&mut batch.outgoing);
                self.let_out(early);
            }
        }
    }

    /// The oldest batch becomes durable; then, and only then, what waited for it goes out.
    fn write(&mut self) {
        let Some(leader) = &mut self.leader else { return };
        let Some(batch) = leader.unwritten.pop_front() else { return };
        self.log.append(batch.events);
        self.let_out(batch.outgoing);
    }

    fn let_out(&mut self, all: Vec<Outgoing>) {
        for outgoing in all {
            match outgoing {
                Outgoing::Effect(effect) => self.carry_out(effect),
                Outgoing::Reply(Caller::Client(client), Ok(Reply::Submitted { tasks, .. })) => {
                    if !self.clients[client].answered {
                        self.acknowledged.extend(tasks);
                    }
                    self.clients[client].answered = true;
                }
                // A parent or dependency may be over by now; the client lives with that.
                Outgoing::Reply(Caller::Client(client), _) => self.clients[client].answered = true,
                Outgoing::Reply(Caller::Agent(agent, session), Ok(Reply::Welcome { stale, .. })) => {
                    self.attach(agent, session);
                    self.deliver(agent, Told::Welcome { stale });
                }
                Outgoing::Reply(Caller::Agent(..) | Caller::Nobody, _) => {}
            }
        }
    }

    fn attach(&mut self, agent: AgentId, session: u64) {
        if let Some(leader) = &mut self.leader {
            leader.attached.insert(agent, session);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Assign { agent, lease, .. } => self.deliver(agent, Told::Assign(lease)),
            Effect::Acknowledge { agent, lease } => self.deliver(agent, Told::Acknowledge(lease)),
            Effect::EndRun { agent, lease, revoked } => self.deliver(agent, Told::EndRun { lease, revoked }),
            Effect::Answer { agent, request_id, .. } => self.deliver(agent, Told::Answer(request_id)),
            Effect::Disconnect { agent, .. } => {
                if let Some(leader) = &mut self.leader {
                    leader.attached.remove(&agent);
                }
                self.agents[index(agent)].link = None;
            }
            // Simulated people say nothing to runs.
            Effect::Tell { .. }
            | Effect::Below { .. }
            | Effect::SetLimit { .. }
            | Effect::Drain { .. }
            | Effect::ScheduleDue { .. }
            | Effect::Deliver
            | Effect::DeleteRuns(_) => {}
        }
    }

    /// Tells an agent something, if the connection that it is told things on still stands.
    fn deliver(&mut self, agent: AgentId, told: Told) {
        let attached = self.leader.as_ref().and_then(|leader| leader.attached.get(&agent));
        let link = self.agents[index(agent)].link.as_mut();
        if let Some(link) = link.filter(|link| Some(&link.session) == attached) {
            link.told.push_back(told);
        }
    }

    fn connect(&mut self, agent: usize) {
        if let Some(leader) = self.leader.as_mut().filter(|_| self.agents[agent].link.is_none()) {
            let session = leader.session();
            self.agents[agent].connect(session);
        }
    }

    fn cut(&mut self, agent: usize) {
        if let Some(link) = self.agents[agent].link.take()
            && let Some(leader) = &mut self.leader
        {
            leader.cut.push_back((self.agents[agent].id, link.session));
        }
    }

    fn hear_of_cut(&mut self) {
        let Some(leader) = self.leader.as_mut().filter(|leader| leader.may_decide()) else { return };
        if let Some((agent, session)) = leader.cut.pop_front() {
            let gone = Leader::heard(agent, session, conductor_core::AgentSay::Gone);
            leader.decide(self.now, vec![gone]);
        }
    }

    fn hear(&mut self, agent: usize, messages: usize) {
        let Some(leader) = self.leader.as_mut().filter(|leader| leader.may_decide()) else { return };
        let id = self.agents[agent].id;
        let Some(link) = &mut self.agents[agent].link else { return };
        let messages = messages.min(link.said.len());
        let said = link.said.drain(..messages);
        let commands: Vec<_> = said.map(|say| Leader::heard(id, link.session, say)).collect();
        if self.flaw == Some(Flaw::AttachesAtOnce)
            && commands.iter().any(|(_, caller)| matches!(caller, Caller::Agent(..)))
        {
            leader.attached.insert(id, link.session);
        }
        if !commands.is_empty() {
            leader.decide(self.now, commands);
        }
    }

    fn tell(&mut self, agent: usize, messages: usize) {
        for _ in 0..messages {
            let waits = self.agents[agent].link.as_ref().is_some_and(|link| !link.told.is_empty());
            if !waits {
                return;
            }
            if let Some(lease) = self.agents[agent].take_up() {
                let id = self.agents[agent].id;
                let held = self.log.state.leases(id).any(|(held, _)| held == lease);
                assert!(!held, "a report under {lease} was acknowledged and not kept");
                assert!(!self.agents[agent].runs(lease));
            }
        }
    }

    fn pass(&mut self, ms: u64, heartbeats: bool) {
        self.now = Now { mono: self.now.mono.after(ms), wall: self.now.wall.after(ms) };
        if heartbeats {
            self.agents.iter_mut().for_each(Agent::beat);
        }
        if let Some(leader) = self.leader.as_mut().filter(|leader| leader.may_decide()) {
            leader.timeouts(self.now);
        }
    }

    fn answer(&mut self, task: TaskId) {
        let answer_json = "true".into();
        self.decide(vec![(
            Command::Answer { task, request_id: None, answer_json, by: actor() },
            Caller::Nobody,
        )]);
    }

    /// A client asks, for the first time or again: the tasks get new ids, the key stays.
    fn ask(&mut self, client: usize) {
        let (asked, after) = (self.clients[client].asked, self.clients[client].after);
        let mut task = self.task();
        let mut tasks = Vec::new();
        match asked {
            Asked::Plain { attempts } => task.max_attempts = u16::from(attempts),
            Asked::After(_) => task.depends_on = after.into_iter().collect(),
            Asked::Parent { subtasks } => {
                for _ in 0..subtasks {
                    tasks.push(NewTask { parent: Some(task.id), ..self.task() });
                }
            }
        }
        tasks.insert(0, task);
        let finished = self.log.facts.finished();
        let settled = after.and_then(|after| Some((after, finished.get(&after)?.is_success())));
        let number = client as u128;
        let submit = Submit {
            tasks,
            key: Some((KeyId(number), BodyDigest(number))),
            settled: settled.into_iter().collect(),
            webhooks: Vec::new(),
            secrets: Vec::new(),
            budgets: Vec::new(),
            by: actor(),
        };
        self.decide(vec![(Command::Submit(submit), Caller::Client(client))]);
    }

    fn task(&mut self) -> NewTask {
        let name = |text| Name::new(text).expect("a name");
        self.ids += 1;
        NewTask { timeout_ms: 600_000, body_bytes: 100, ..NewTask::plain(TaskId(self.ids), name("mock")) }
    }
}

fn at(number: u8) -> usize {
    usize::from(number) % 3
}

fn index(agent: AgentId) -> usize {
    usize::try_from(agent.0 - 1).expect("few agents")
}

fn pick<T: Copy>(among: &[T], number: u8) -> Option<T> {
    usize::from(number).checked_rem(among.len()).map(|at| among[at])
}

fn actor() -> Arc<Actor> {
    let name = |text| Name::new(text).expect("a name");
    Arc::new(Actor { name: name("sim"), role: Role::Admin, via: name("cli"), address: None })
}

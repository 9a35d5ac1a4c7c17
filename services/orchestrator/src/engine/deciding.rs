//! Deciding: a bounded number of requests at one instant.

use conductor_core::{AgentId, AgentSay, Command, Now, Rejection, Reply, Seq};
use conductor_protocol::Problem;
use conductor_store::log::{Payload, PayloadKey};

use super::dispatch::Due;
use super::request::{Applied, Change, ChangeEach, Hello, Request, Watched};
use super::{Engine, MAX_BATCH_BYTES};
use crate::refusal;

impl Engine {
    /// Decides requests at one instant and appends what they led to.
    pub(super) fn decide(&mut self, taken: &mut Vec<Request>) {
        let now = self.now();
        let mut bytes = 0;
        for request in taken.drain(..) {
            bytes += request.payload_bytes();
            self.decide_one(now, request);
            if bytes > MAX_BATCH_BYTES {
                bytes = 0;
                self.fill_slots(now);
                self.append();
            }
        }
        self.fill_slots(now);
        if self.building.is_urgent() {
            self.append();
        }
    }

    pub(super) fn decide_one(&mut self, now: Now, request: Request) {
        match request {
            Request::Change(change) => self.change(now, *change),
            Request::ChangeEach(each) => self.change_each(now, each),
            Request::Hello(hello) => self.hello(now, *hello),
            Request::Agent { agent, session, says } => self.agent(now, agent, session, says),
            Request::Look(look) => {
                let release = look(&self.machine, now);
                self.building.releases.push(release);
            }
            Request::Watch { task, reply } => {
                if self.machine.state().contains(task) {
                    self.dispatch.watch(task, reply);
                } else {
                    self.building.releases.push(Box::new(move || {
                        let _ = reply.send(Watched::NotLive);
                    }));
                }
            }
        }
    }

    fn change(&mut self, now: Now, change: Change) {
        let Change { command, payloads, deleted, reply } = change;
        let answer = self.decide_change(now, command, payloads, deleted);
        self.building.releases.push(Box::new(move || drop(reply.send(answer))));
    }

    fn change_each(&mut self, now: Now, each: ChangeEach) {
        let ChangeEach { changes, reply } = each;
        let decide = |(command, payloads)| self.decide_change(now, command, payloads, Vec::new());
        let answers: Vec<_> = changes.into_iter().map(decide).collect();
        self.building.releases.push(Box::new(move || drop(reply.send(answers))));
    }

    /// Decides one command. The answer may be told once the batch is durable.
    fn decide_change(
        &mut self,
        now: Now,
        command: Command,
        payloads: Vec<Payload>,
        deleted: Vec<PayloadKey>,
    ) -> Result<Applied, Problem> {
        if matches!(command, Command::Submit(_) | Command::SubmitBelow { .. } | Command::AddSchedule { .. }) {
            self.gate.admit()?;
        }
        let step = self.machine.handle(now, command).map_err(|rejection| refusal::problem(&rejection))?;
        let reply = step.reply.clone();
        // An occurrence that was passed over made no task, and its body is not wanted.
        let changed = !step.events.is_empty() && !matches!(reply, Reply::Fired { task: None });
        self.building.add(step);
        if changed {
            self.building.payloads.extend(payloads);
            self.building.deleted.extend(deleted);
        }
        Ok(Applied { reply, seq: self.decided_seq() })
    }

    pub(super) fn hello(&mut self, now: Now, hello: Hello) {
        let Hello { session, profile, lanes, held, credits, link, reply } = hello;
        let agent = profile.agent_id;
        let say = AgentSay::Hello { profile: Box::new(profile), held };
        match self.machine.handle(now, Command::Agent { agent, session, say }) {
            Ok(step) => {
                let answer = step.reply.clone();
                self.building.effects.push(Due::Attach { agent, session, link });
                self.building.add(step);
                self.agent(now, agent, session, vec![AgentSay::Lanes(lanes), AgentSay::Credits(credits)]);
                let seq = self.decided_seq();
                let applied = Applied { reply: answer, seq };
                self.building.releases.push(Box::new(move || drop(reply.send(Ok(applied)))));
            }
            Err(rejection) => {
                let problem = refusal::problem(&rejection);
                self.building.releases.push(Box::new(move || drop(reply.send(Err(problem)))));
            }
        }
    }

    pub(super) fn agent(&mut self, now: Now, agent: AgentId, session: u64, says: Vec<AgentSay>) {
        for say in says {
            let urgent = !matches!(
                say,
                AgentSay::Started(_)
                    | AgentSay::Spent { .. }
                    | AgentSay::Offers(_)
                    | AgentSay::Lanes(_)
                    | AgentSay::Credits(_)
                    | AgentSay::Heartbeat
            );
            let gone = matches!(say, AgentSay::Gone);
            match self.machine.handle(now, Command::Agent { agent, session, say }) {
                Ok(step) if urgent => self.building.add(step),
                Ok(step) => self.building.add_lazily(step),
                Err(Rejection::StaleSession(_)) => return self.dispatch.detach(agent, session),
                Err(rejection) => tracing::warn!(%agent, ?rejection, "an agent's word was refused"),
            }
            if gone {
                self.dispatch.detach(agent, session);
            }
        }
    }

    pub(super) fn fill_slots(&mut self, now: Now) {
        let lacking = self.gate.lacking();
        if lacking != self.machine.lacking()
            && let Err(rejection) = self.machine.handle(now, Command::Room { lacking })
        {
            tracing::error!(?rejection, "what was told of the free space was refused");
        }
        loop {
            match self.machine.handle(now, Command::Assign) {
                Ok(step) => {
                    let more = step.more;
                    self.building.add_lazily(step);
                    if !more {
                        return;
                    }
                }
                Err(rejection) => return tracing::error!(?rejection, "filling slots was refused"),
            }
        }
    }

    pub(super) fn timeouts(&mut self) {
        let now = self.now();
        let step = self.machine.handle_timeout(now);
        self.building.add(step);
        self.fill_slots(now);
        self.append();
    }

    /// The number of the last event decided so far.
    pub(super) fn decided_seq(&self) -> Seq {
        Seq(self.seq.0 + self.building.events.len() as u64)
    }
}

//! What the worker knows, and what it does when something happens.

use std::collections::BTreeMap;

use conductor_core::{Lease, RequestId};
use conductor_protocol::Problem;
use conductor_protocol::agent::{Answered, Assign, End, EndRun, Finished, Hello, ToAgent, VERSION, Welcome};
use conductor_protocol::control::AnswerBody;
use conductor_protocol::problem::Code;
use tokio::time::Instant;

use super::assign;
use super::ending::Ending;
use super::identity::{Identity, Seen};
use super::messages::{Link, Messages};
use super::report;
use super::runs::{Phase, Question, Run, Runs};
use super::settings::Settings;
use crate::outbox::{Entry, Outbox};
use crate::runner::{self, Answer, Outcome, Report, ReportBody, Slots, What};
use crate::session::Event;

/// What the worker knows.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    instance: conductor_core::InstanceId,
    slots: Slots,
    pub(super) runs: Runs,
    outbox: Outbox,
    /// What is in the outbox, durable and not acknowledged.
    pub(super) unacknowledged: BTreeMap<Lease, Entry>,
    pub(super) link: Link,
    pub(super) messages: Messages,
    /// Whether the orchestrator's workspace is this agent's own, as far as is known.
    pub(super) shares_workspace: bool,
    /// Whether the orchestrator wants it to take no tasks.
    pub(super) held_back: bool,
    pub(super) ending: Ending,
}

impl Worker {
    pub fn new(
        settings: Settings,
        identity: Identity,
        slots: Slots,
        outbox: Outbox,
        found: Vec<Entry>,
    ) -> Self {
        let runs = Runs::new(usize::try_from(settings.slots).expect("a slot count is small"));
        Self {
            instance: conductor_core::InstanceId(uuid::Uuid::now_v7().as_u128()),
            slots,
            runs,
            outbox,
            unacknowledged: found.into_iter().map(|entry| (entry.lease, entry)).collect(),
            link: Link::new(Instant::now()),
            messages: Messages::default(),
            shares_workspace: true,
            held_back: false,
            ending: Ending::default(),
            settings,
            identity,
        }
    }

    /// Gives back what outlives the loop, and hangs up.
    pub fn leave(self) -> (Slots, Outbox) {
        (self.slots, self.outbox)
    }

    /// Takes what the session tells.
    pub fn hear_session(&mut self, event: Event) {
        match event {
            Event::Opening(reply) => {
                let hello = self.hello();
                self.link.open(hello.credits);
                // A session that no longer waits for it has lost its connection and says so.
                let _ = reply.send(Box::new(hello));
            }
            Event::Welcomed(welcome, outgoing) => {
                self.link.welcomed(outgoing);
                self.ending.found();
                self.welcomed(&welcome);
            }
            Event::Said(said) => self.hear(*said),
            Event::Refused(problem) => self.refused(&problem),
            Event::Lost => self.link.lost(Instant::now()),
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol: VERSION,
            key: String::new(),
            agent_id: self.identity.agent_id(),
            instance: self.instance,
            name: self.settings.name.clone(),
            host: self.settings.host.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            slots: self.settings.slots,
            labels: self.settings.labels.clone(),
            runners: self.settings.runners.clone(),
            held: self.runs.leases().chain(self.unacknowledged.keys().copied()).collect(),
            credits: self.room(),
            shares_workspace: self.shares_workspace,
            seen: self.identity.seen().cloned(),
        }
    }

    fn welcomed(&mut self, welcome: &Welcome) {
        match self.identity.see(&welcome.log) {
            Ok(Seen::Ahead) => {}
            Ok(Seen::Behind { seen }) => tracing::warn!(
                log = welcome.log.id,
                seq = welcome.log.seq,
                seen,
                "the orchestrator has lost events that it had told of: it was rolled back"
            ),
            Ok(Seen::Other { seen }) => {
                tracing::warn!(
                    log = welcome.log.id,
                    seen = seen.id,
                    "the orchestrator has another log than before"
                );
            }
            Err(error) => tracing::warn!(%error, "the log position was not kept"),
        }
        for lease in &welcome.stale {
            self.forget_run(*lease);
        }
        self.acknowledged(&welcome.stale);
        self.held_back = welcome.draining;
        self.messages.begin(&self.runs, self.unacknowledged.keys().copied(), self.ending.is_draining());
        self.check_workspace(&welcome.workspace);
    }

    fn refused(&mut self, problem: &Problem) {
        match problem.code {
            Code::Forbidden => {
                tracing::error!(%problem, "this agent may not come back; it ends its runs and leaves");
                self.revoked();
            }
            Code::Conflict => {
                tracing::warn!(%problem, name = self.settings.name, "the orchestrator knows another agent of this name");
            }
            Code::InvalidRequest
            | Code::Unauthorized
            | Code::NotFound
            | Code::IdempotencyConflict
            | Code::Gone
            | Code::PayloadTooLarge
            | Code::QueueFull
            | Code::RateLimited
            | Code::StorageFull
            | Code::NotLeader
            | Code::Unavailable
            | Code::Internal => {}
        }
    }

    fn hear(&mut self, said: ToAgent) {
        self.acknowledged(&said.acknowledged);
        for end in said.end {
            self.end_run(end);
        }
        for answer in said.answers {
            self.answer(answer);
        }
        if let Some(drain) = said.drain {
            self.held_back = drain;
            tracing::info!(drain, "the orchestrator asks to drain, or not to");
        }
        if said.revoked {
            self.revoked();
        }
        for assign in said.assign {
            self.assign(&assign);
        }
    }

    fn acknowledged(&mut self, leases: &[Lease]) {
        let known =
            leases.iter().copied().filter(|lease| self.unacknowledged.remove(lease).is_some()).collect();
        self.outbox.forget(known);
    }

    fn assign(&mut self, assign: &Assign) {
        if self.runs.slot_of(assign.lease).is_some() || self.unacknowledged.contains_key(&assign.lease) {
            tracing::warn!(lease = %assign.lease, "an assignment came twice");
            return;
        }
        self.link.assigned();
        let slot = if self.ending.is_draining() { None } else { self.runs.free_slot() };
        let Some(slot) = slot else {
            tracing::warn!(task_id = %assign.task, "a task came that there is no slot for; it is given back");
            self.outbox.store(report::never_ran(assign.lease, End::Stopped).into());
            return;
        };
        let mut run = Run {
            lease: assign.lease,
            task: assign.task,
            attempt: assign.attempt,
            phase: Phase::Storing,
            wanted: true,
            started: false,
            sandbox: None,
            question: None,
            told_bytes: 0,
        };
        match assign::attempt(assign, &self.settings.limits) {
            Err(end) => self.outbox.store(report::never_ran(assign.lease, end).into()),
            Ok(attempt) => {
                run.sandbox = matches!(attempt.what, What::Command { .. }).then_some("unsandboxed");
                run.phase = Phase::Parked(Box::new(attempt));
            }
        }
        let parked = matches!(run.phase, Phase::Parked(_));
        self.runs.put(slot, run);
        match self.runs.at_work_on(assign.task) {
            Some(other) if parked => self.take_back(other),
            Some(_) | None => self.unpark(slot),
        }
    }

    /// Begins the run that waits in a slot.
    fn unpark(&mut self, slot: usize) {
        let Some(run) = self.runs.get_mut(slot) else { return };
        let Phase::Parked(attempt) = std::mem::replace(&mut run.phase, Phase::Storing) else { return };
        let (lease, task) = (run.lease, run.task);
        match self.slots.run(slot, *attempt) {
            Ok(running) => run.phase = Phase::Running(running),
            Err(error) => {
                tracing::error!(%error, task_id = %task, "a slot does not take work");
                let end = End::Crashed { message: error.to_string() };
                self.outbox.store(report::never_ran(lease, end).into());
            }
        }
    }

    /// Takes what a slot reports.
    pub fn hear_slot(&mut self, said: Report) {
        let Some(run) = self.runs.get_mut(said.slot) else { return };
        if run.task.0 != said.task_id.as_u128() || run.attempt != said.attempt {
            tracing::error!(slot = said.slot, task_id = %said.task_id, "a slot reports of a run that it does not hold");
            return;
        }
        match said.body {
            ReportBody::Started => {
                run.started = true;
                if run.wanted {
                    self.messages.started(run.lease);
                }
            }
            ReportBody::Asked { request, text } => {
                let request_id = RequestId(uuid::Uuid::now_v7().as_u128());
                run.question = Some(Question { number: request, request_id, text });
                if run.wanted {
                    self.messages.asked(run.asked());
                }
            }
            ReportBody::Finished(outcome) => self.finished(said.slot, *outcome),
        }
    }

    fn finished(&mut self, slot: usize, outcome: Outcome) {
        let Some(run) = self.runs.get_mut(slot) else { return };
        let task = run.task;
        run.question = None;
        run.phase = Phase::Storing;
        if run.wanted {
            if self.shares_workspace {
                self.messages.output(run.grown_to(outcome.output_bytes));
            }
            let finished: Finished = report::finished(run.lease, run.sandbox, outcome);
            self.outbox.store(finished.into());
        } else {
            self.runs.take(slot);
        }
        if let Some(next) = self.runs.parked_on(task) {
            self.unpark(next);
        }
    }

    /// Takes the leases whose results are durable.
    pub fn stored(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let lease = entry.lease;
            let wanted = match self.runs.slot_of(lease).and_then(|slot| self.runs.take(slot)) {
                Some(run) => run.wanted,
                None => true,
            };
            if wanted {
                self.unacknowledged.insert(lease, entry);
                self.messages.finished(lease);
            } else {
                self.outbox.forget(vec![lease]);
            }
        }
    }

    fn end_run(&mut self, end: EndRun) {
        if end.revoked {
            self.forget_run(end.lease);
            self.acknowledged(&[end.lease]);
        } else if let Some(slot) = self.runs.slot_of(end.lease) {
            self.end(slot, runner::End::Cancel, End::Cancelled);
        }
    }

    /// Ends a run whose lease is no longer the agent's; nothing is reported of it.
    fn forget_run(&mut self, lease: Lease) {
        if let Some(slot) = self.runs.slot_of(lease) {
            self.take_back(slot);
        }
    }

    pub(super) fn take_back(&mut self, slot: usize) {
        let Some(run) = self.runs.get_mut(slot) else { return };
        run.wanted = false;
        match &run.phase {
            Phase::Parked(_) => {
                self.runs.take(slot);
            }
            Phase::Running(_) => run.end(runner::End::Cancel),
            Phase::Storing => {}
        }
    }

    /// Ends a run; one that has not begun comes to `otherwise`.
    pub(super) fn end(&mut self, slot: usize, end: runner::End, otherwise: End) {
        let Some(run) = self.runs.get_mut(slot) else { return };
        match &run.phase {
            Phase::Parked(_) => {
                run.phase = Phase::Storing;
                self.outbox.store(report::never_ran(run.lease, otherwise).into());
            }
            Phase::Running(_) => run.end(end),
            Phase::Storing => {}
        }
    }

    fn answer(&mut self, answered: Answered) {
        let Some(run) = self.runs.asking(answered.request_id).filter(|run| run.lease == answered.lease)
        else {
            return;
        };
        let answer = match answered.answer {
            AnswerBody::Allow => Answer::Allow,
            AnswerBody::Deny => Answer::Deny,
            AnswerBody::Text(text) => Answer::Text(text),
        };
        if let (Some(question), Phase::Running(running)) = (run.question.take(), &run.phase) {
            running.control.answer(question.number, answer);
        }
    }
}

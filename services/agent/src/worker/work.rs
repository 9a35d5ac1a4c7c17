//! What the worker does with tasks: it gives them to slots, ends them, and takes what the slots report.

use conductor_core::{Lease, RequestId};
use conductor_protocol::agent::{Answered, Assign, Below, End, EndRun, RunLimit, Tell};
use conductor_protocol::control::AnswerBody;

use super::runs::{Phase, Question, Run};
use super::state::Worker;
use super::{assign, report};
use crate::outbox::Entry;
use crate::output::Order;
use crate::runner::{self, Answer, Outcome, Report, ReportBody, Spending};

impl Worker {
    pub(super) fn assign(&mut self, assign: &Assign) {
        if self.runs.slot_of(assign.lease).is_some() || self.unacknowledged.contains(assign.lease) {
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
            question: None,
            taken_back: None,
            has_below: false,
            told: Vec::new(),
            told_bytes: 0,
            told_spent: Some(Spending::default()),
        };
        match assign::attempt(assign, &self.settings.limits, &self.settings.programs) {
            Err(end) => self.outbox.store(report::never_ran(assign.lease, end).into()),
            Ok(attempt) => {
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
            Ok(running) => {
                run.phase = Phase::Running(running);
                run.tell_all();
                self.follow_output(slot);
            }
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
            ReportBody::Asked { request, question } => {
                let request_id = RequestId(uuid::Uuid::now_v7().as_u128());
                run.question = Some(Question { number: request, request_id, asks: question });
                if run.wanted {
                    self.messages.asked(run.asked());
                }
            }
            ReportBody::Withdrawn { request } => {
                let withdrawn = run.take_back(request);
                if run.wanted {
                    self.messages.withdrawn(withdrawn);
                }
            }
            ReportBody::Finished(outcome) => self.finished(said.slot, *outcome),
        }
    }

    fn finished(&mut self, slot: usize, outcome: Outcome) {
        self.ahead.learn(&outcome);
        let Some(run) = self.runs.get_mut(slot) else { return };
        let (task, lease) = (run.task, run.lease);
        run.question = None;
        run.phase = Phase::Storing;
        if run.wanted {
            if self.shares_workspace {
                self.messages.output(run.grown_to(outcome.output_bytes));
            } else if outcome.output_bytes > 0 {
                self.sending.insert(lease);
                self.order(Order::Finish { lease, bytes: outcome.output_bytes });
            }
            self.outbox.store(report::finished(lease, outcome).into());
        } else {
            self.runs.take(slot);
        }
        if let Some(next) = self.runs.parked_on(task) {
            self.unpark(next);
        }
    }

    /// Takes the leases whose results are kept.
    pub fn stored(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let lease = entry.lease;
            let wanted = match self.runs.slot_of(lease).and_then(|slot| self.runs.take(slot)) {
                Some(run) => run.wanted,
                None => true,
            };
            if wanted {
                self.unacknowledged.insert(entry);
                if !self.sending.contains(&lease) {
                    self.messages.finished(lease);
                }
            } else {
                self.outbox.forget(vec![lease]);
            }
        }
    }

    pub(super) fn end_run(&mut self, end: EndRun) {
        if end.revoked {
            self.forget_run(end.lease);
            self.acknowledged(&[end.lease]);
        } else if let Some(slot) = self.runs.slot_of(end.lease) {
            self.end(slot, runner::End::Cancel, End::Cancelled);
        }
    }

    /// Has a run spend no more than it is told now.
    pub(super) fn limit(&mut self, told: &RunLimit) {
        let Some(run) = self.runs.slot_of(told.lease).and_then(|slot| self.runs.get_mut(slot)) else {
            return;
        };
        if let Phase::Running(running) = &run.phase {
            running.control.limit(super::assign::budget(told.limit));
        }
    }

    /// Ends a run whose lease is no longer the agent's; nothing is reported of it.
    pub(super) fn forget_run(&mut self, lease: Lease) {
        if let Some(slot) = self.runs.slot_of(lease) {
            self.take_back(slot);
        }
    }

    pub(super) fn take_back(&mut self, slot: usize) {
        let Some(run) = self.runs.get_mut(slot) else { return };
        run.wanted = false;
        let lease = run.lease;
        self.sending.remove(&lease);
        self.order(Order::Forget(lease));
        let Some(run) = self.runs.get_mut(slot) else { return };
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

    /// Hears whether tasks live below one that it runs.
    pub(super) fn below(&mut self, below: Below) {
        if let Some(run) = self.runs.slot_of(below.lease).and_then(|slot| self.runs.get_mut(slot)) {
            run.below(below.any);
        }
    }

    /// Passes a message of a person on to its run.
    pub(super) fn tell(&mut self, tell: Tell) {
        if let Some(run) = self.runs.slot_of(tell.lease).and_then(|slot| self.runs.get_mut(slot)) {
            run.tell(tell.message);
        }
    }

    pub(super) fn answer(&mut self, answered: Answered) {
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

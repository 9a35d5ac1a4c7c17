//! Writing: what was decided becomes durable, and then what waits for it goes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use conductor_core::{Part, Seq, Volume};
use conductor_protocol::Problem;
use conductor_store::log::{AppendError, Appended, Batch, BatchId};

use super::batch::Inflight;
use super::request::Request;
use super::{Engine, Error, STALL_PAUSE};
use crate::refusal;

/// Tasks that are named when the log lost some.
const NAMED_TASKS: usize = 20;

/// Why nothing can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There is no room.
    NoSpace,
    /// The log cannot be reached.
    Away,
}

impl Cause {
    /// What whoever asks for something new is told.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::NoSpace => refusal::storage_full(Volume::State),
            Self::Away => refusal::log_away(),
        }
    }
}

/// Nothing can be written now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stall {
    pub(super) cause: Cause,
    /// When it is tried again.
    again_at: tokio::time::Instant,
}

/// Waits until a batch is to be tried again, however much is asked meanwhile.
pub(super) async fn again(stall: Option<Stall>) {
    match stall {
        Some(stall) => tokio::time::sleep_until(stall.again_at).await,
        None => std::future::pending().await,
    }
}

impl Engine {
    /// Hands what was built to the log. Without events it only waits for the batch before it.
    pub(super) fn append(&mut self) {
        let building = std::mem::take(&mut self.building);
        if building.events.is_empty() {
            match self.inflight.back_mut() {
                Some(last) => last.follow(building),
                None => self.dispatch.release(building.effects, building.releases, None),
            }
            return;
        }
        self.next_batch += 1;
        let batch = Arc::new(Batch {
            id: BatchId(self.next_batch),
            fence: self.log.fence(),
            expected_seq: self.seq,
            events: building.events,
            payloads: building.payloads,
            deleted_payloads: building.deleted,
        });
        self.seq = batch.last_seq();
        self.gate.counters.batches.fetch_add(1, Ordering::Relaxed);
        self.gate.counters.events.fetch_add(batch.events.len() as u64, Ordering::Relaxed);
        self.send(batch.clone());
        self.inflight.push_back(Inflight {
            batch,
            since: Instant::now(),
            effects: building.effects,
            releases: building.releases,
        });
    }

    pub(super) fn send(&mut self, batch: Arc<Batch>) {
        self.unanswered += 1;
        let answers = self.answer_sender.clone();
        self.log.append(batch, Box::new(move |answer| drop(answers.send(answer))));
    }

    pub(super) fn answered(&mut self, answer: Appended) -> Result<(), Error> {
        self.unanswered -= 1;
        match answer {
            Appended::Durable => {
                let done = self.inflight.pop_front().expect("an answer belongs to a batch under way");
                self.gate.counters.appends.count(done.since.elapsed(), done.batch.events.len());
                self.gate.writing(None);
                if self.stalled.take().is_some() {
                    // Whoever spoke meanwhile was not heard.
                    let now = self.now();
                    self.machine.listen_again(now);
                }
                self.dispatch.release(done.effects, done.releases, Some(&done.batch));
                Ok(())
            }
            Appended::Unknown => {
                self.stall(Cause::Away);
                Ok(())
            }
            Appended::NoSpace => {
                self.stall(Cause::NoSpace);
                Ok(())
            }
            Appended::Fenced => Err(Error::Fenced),
            Appended::Failed(error) => {
                if let AppendError::Lost { last, acknowledged, .. } = &error {
                    self.tell_lost(*last, *acknowledged);
                }
                Err(Error::Append(error))
            }
        }
    }

    /// Notes that a batch was not written. The log answers every batch behind it alike; all are sent again, in order, once
    /// all are back.
    fn stall(&mut self, cause: Cause) {
        let first = self.inflight.pop_front().expect("an answer belongs to a batch under way");
        self.inflight.push_back(first);
        if self.stalled.is_none_or(|stall| stall.cause != cause) {
            match cause {
                Cause::NoSpace => {
                    tracing::error!("no room for the event log; nothing is accepted until there is")
                }
                Cause::Away => {
                    tracing::error!("the event log cannot be reached; nothing is accepted until it can")
                }
            }
            self.gate.writing(Some(cause));
        }
        self.stalled = Some(Stall { cause, again_at: tokio::time::Instant::now() + STALL_PAUSE });
    }

    /// Sends again what could not be written. Nothing is let in before the answer.
    pub(super) fn append_again(&mut self) {
        let mut batches: Vec<Inflight> = self.inflight.drain(..).collect();
        batches.sort_by_key(|inflight| inflight.batch.expected_seq);
        for inflight in &batches {
            self.send(inflight.batch.clone());
        }
        self.inflight = batches.into();
    }

    /// Answers a request while nothing can be written: reads are served when nothing but the start itself waits.
    pub(super) fn refuse(&mut self, request: Request, cause: Cause) {
        let only_began = self.inflight.iter().all(|inflight| inflight.is_beginning());
        match request {
            Request::Look(look) if only_began => look(&self.machine, self.now())(),
            Request::Change(change) => drop(change.reply.send(Err(cause.problem()))),
            Request::ChangeEach(each) => {
                let refused = each.changes.iter().map(|_| Err(cause.problem())).collect();
                drop(each.reply.send(refused));
            }
            Request::Hello(hello) => drop(hello.reply.send(Err(cause.problem()))),
            // Dropping the reply tells the caller that it is unavailable; agents report again when they reconnect.
            Request::Agent { agent, session, .. } => self.dispatch.detach(agent, session),
            Request::Look(_) | Request::Watch { .. } => {}
        }
    }

    /// Names the tasks that were acknowledged and that the log does not know any more.
    fn tell_lost(&self, last: Seq, acknowledged: Seq) {
        let of = |part| match part {
            Part::Task(task) => Some(task),
            _ => None,
        };
        let lost = self.machine.state().parts().filter_map(of);
        let lost = lost.filter(|task| (last.next()..=acknowledged).contains(&task.submitted_seq));
        let lost: Vec<String> = lost.map(|task| task.id.to_string()).collect();
        let named = lost.iter().take(NAMED_TASKS).map(String::as_str).collect::<Vec<_>>().join(", ");
        tracing::error!(
            %last, %acknowledged, tasks = lost.len(), named,
            "the event log lost what was acknowledged; tasks that were submitted since are not there any more"
        );
    }

    /// Waits for what is under way, so that nothing that was accepted is lost.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        if self.building.has_events() {
            self.append();
        }
        while !self.inflight.is_empty() && self.stalled.is_none() {
            match self.answers.recv().await {
                Some(answer) => self.answered(answer)?,
                None => break,
            }
        }
        Ok(())
    }
}

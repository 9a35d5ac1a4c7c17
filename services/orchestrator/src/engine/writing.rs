//! Writing: what was decided becomes durable, and then what waits for it goes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use conductor_store::log::{Appended, Batch, BatchId};

use super::batch::Inflight;
use super::request::Request;
use super::{Engine, Error};
use crate::refusal;

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

    pub(super) fn send(&self, batch: Arc<Batch>) {
        let answers = self.answer_sender.clone();
        self.log.append(batch, Box::new(move |answer| drop(answers.send(answer))));
    }

    pub(super) fn answered(&mut self, answer: Appended) -> Result<(), Error> {
        match answer {
            Appended::Durable => {
                let done = self.inflight.pop_front().expect("an answer belongs to a batch under way");
                self.gate.counters.appends.count(done.since.elapsed(), done.batch.events.len());
                self.gate.room(true);
                self.stalled = false;
                self.dispatch.release(done.effects, done.releases, Some(&done.batch));
                Ok(())
            }
            Appended::Unknown | Appended::NoSpace => {
                // The log answers every batch behind this one alike; all are sent again, in order, once all are back.
                let no_space = matches!(answer, Appended::NoSpace);
                let first = self.inflight.pop_front().expect("an answer belongs to a batch under way");
                self.inflight.push_back(first);
                if no_space && !self.stalled {
                    tracing::error!("no room for the event log; nothing is accepted until there is");
                    self.gate.room(false);
                }
                self.stalled = true;
                Ok(())
            }
            Appended::Fenced => Err(Error::Fenced),
            Appended::Failed(error) => Err(Error::Append(error)),
        }
    }

    /// Sends again what there was no room for.
    pub(super) fn append_again(&mut self) {
        let mut batches: Vec<Inflight> = self.inflight.drain(..).collect();
        batches.sort_by_key(|inflight| inflight.batch.expected_seq);
        for inflight in &batches {
            self.send(inflight.batch.clone());
        }
        self.inflight = batches.into();
        self.stalled = false;
    }

    /// Answers a request while nothing can be written: reads are served when nothing but the start itself waits.
    pub(super) fn refuse_for_space(&mut self, request: Request) {
        let only_began = self.inflight.iter().all(|inflight| inflight.is_beginning());
        match request {
            Request::Look(look) if only_began => look(&self.machine, self.now())(),
            Request::Change(change) => drop(change.reply.send(Err(refusal::storage_full()))),
            Request::Hello(hello) => drop(hello.reply.send(Err(refusal::storage_full()))),
            // Dropping the reply tells the caller that it is unavailable; agents report again when they reconnect.
            Request::Agent { agent, session, .. } => self.dispatch.detach(agent, session),
            Request::Look(_) | Request::Watch { .. } => {}
        }
    }

    /// Waits for what is under way, so that nothing that was accepted is lost.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        if self.building.has_events() {
            self.append();
        }
        while !self.inflight.is_empty() && !self.stalled {
            match self.answers.recv().await {
                Some(answer) => self.answered(answer)?,
                None => break,
            }
        }
        Ok(())
    }
}

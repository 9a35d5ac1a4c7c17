//! The thread that writes: one script and one round trip per batch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use conductor_core::Seq;

use super::address::Address;
use super::call::{self, Answer, Fault, Opening};
use super::mark::Mark;
use super::wire::Wire;
use super::{open, row};
use crate::log::digest::Head;
use crate::log::{AppendError, Appended, Batch, Done, Fence, Status};
use crate::record;

/// Batches that may wait; more make their senders wait.
pub(super) const MAX_BATCHES: usize = 8;

/// What the writer shares with the rest of the log.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) address: Address,
    status: Mutex<Status>,
    /// Set where the lease is to stay, as after a kill.
    left: AtomicBool,
}

impl Shared {
    pub(super) fn new(address: Address, status: Status) -> Self {
        Self { address, status: Mutex::new(status), left: AtomicBool::new(false) }
    }

    #[cfg(test)]
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }

    pub(super) fn status(&self) -> Status {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// How writing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Batches are written.
    Ready,
    /// The batch that follows on this event was not written: until it is sent again, those behind it are not either.
    Stuck(Seq, Fault),
    /// Somebody else leads.
    Fenced,
    /// What is there is not what was written.
    Failed,
}

/// A batch and who waits for it.
pub(super) type Sent = (Arc<Batch>, Done);

/// The writer.
pub(super) struct Writer {
    pub(super) wire: Wire,
    pub(super) shared: Arc<Shared>,
    pub(super) opening: Opening,
    pub(super) mark: Mark,
    pub(super) fence: Fence,
    mode: Mode,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(wire: Wire, shared: Arc<Shared>, opening: Opening, mark: Mark, fence: Fence) -> Self {
        Self { wire, shared, opening, mark, fence, mode: Mode::Ready, buffer: Vec::new() }
    }

    /// Works until nothing will come any more; then gives the lease back.
    pub(super) fn run(mut self, inbox: Receiver<Sent>) {
        let inbox = Abandon(inbox);
        while let Ok((batch, done)) = inbox.0.recv() {
            done(self.append(&batch));
        }
        if !self.shared.left.load(Ordering::Acquire) {
            open::release(&mut self.wire, &self.opening);
        }
    }

    fn append(&mut self, batch: &Batch) -> Appended {
        match self.mode {
            Mode::Failed => return Appended::Failed(AppendError::Closed),
            Mode::Fenced => return Appended::Fenced,
            Mode::Stuck(seq, fault) if batch.expected_seq > seq => return unwritten(fault),
            Mode::Stuck(..) | Mode::Ready => {}
        }
        if batch.fence < self.fence {
            return Appended::Fenced;
        }
        if batch.events.is_empty() {
            return Appended::Failed(AppendError::Shape("is empty"));
        }
        match self.write(batch) {
            Ok(answer) => self.answered(batch, &answer),
            Err(error) => {
                let (fault, address) = (Fault::of(&error), self.shared.address.shown());
                if fault == Fault::Refused {
                    self.mode = Mode::Failed;
                    return Appended::Failed(AppendError::Write {
                        path: address.to_owned(),
                        source: error.into(),
                    });
                }
                if !matches!(self.mode, Mode::Stuck(_, known) if known == fault) {
                    tracing::error!(address = %address.display(), %error, "failed to write the event log; trying on");
                }
                self.mode = Mode::Stuck(batch.expected_seq, fault);
                unwritten(fault)
            }
        }
    }

    fn answered(&mut self, batch: &Batch, answer: &Answer) -> Appended {
        let address = || self.shared.address.shown().to_owned();
        let acknowledged = self.shared.status().last;
        let last = |place| Seq(answer.number(place).unwrap_or_default());
        let failed = match answer.word() {
            "done" | "again" => {
                if matches!(self.mode, Mode::Stuck(..)) {
                    tracing::info!(address = %address().display(), "the event log is written again");
                }
                self.mode = Mode::Ready;
                let last = batch.last_seq().max(acknowledged);
                self.mark.note(last);
                self.shared.update(|status| status.last = last);
                return Appended::Durable;
            }
            // An older state of Redis knows an older fence.
            "fenced" if answer.number(0).is_some_and(|fence| fence >= self.fence.0) => {
                self.mode = Mode::Fenced;
                return Appended::Fenced;
            }
            "fenced" => AppendError::Lost { path: address(), last: last(1), acknowledged },
            "gone" => AppendError::Lost { path: address(), last: Seq(0), acknowledged },
            _ if last(0) < acknowledged => AppendError::Lost { path: address(), last: last(0), acknowledged },
            _ => AppendError::Sequence { expected: batch.expected_seq, last: last(0) },
        };
        self.mode = Mode::Failed;
        Appended::Failed(failed)
    }

    fn write(&mut self, batch: &Batch) -> redis::RedisResult<Answer> {
        self.buffer.clear();
        record::encode_events(&batch.events, &mut self.buffer);
        let (head, keys) = (Head::of(batch), &self.opening.keys);
        let mut call = self
            .opening
            .call(&call::APPEND, &[&keys.meta, &keys.events, &keys.payloads])
            .arg(batch.fence.0)
            .arg(batch.expected_seq.0)
            .arg(head.count)
            .arg(&head.id[..])
            .arg(head.crc(&self.buffer))
            .arg(self.buffer.as_slice())
            .arg(batch.payloads.len());
        for payload in &batch.payloads {
            let (key, value) = row::payload(payload);
            call.add(&key[..]);
            call.add(value.as_slice());
        }
        for key in &batch.deleted_payloads {
            call.add(&key.0.to_be_bytes()[..]);
        }
        self.wire.call(&call)
    }
}

/// What is told of a batch that was not written because of this.
fn unwritten(fault: Fault) -> Appended {
    match fault {
        Fault::Full => Appended::NoSpace,
        Fault::Away | Fault::Refused => Appended::Unknown,
    }
}

/// Answers what waits when the thread ends, also by a panic: nobody may wait for ever.
struct Abandon(Receiver<Sent>);

impl Drop for Abandon {
    fn drop(&mut self) {
        while let Ok((_, done)) = self.0.try_recv() {
            done(Appended::Failed(AppendError::Closed));
        }
    }
}

//! What the tests of every backend do with a log, beside the suite that all of them pass.

pub(super) mod crash;
pub(super) mod generated;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use conductor_core::{Header, Incarnation, Part, Seq, StageImage, Wall};

use super::{Appended, Batch, BatchId, EventLog, Payload, PayloadKey, ReadError, SnapshotError};
use crate::conformance::samples;

/// How long anything may take before a test calls it stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory in memory where there is one: tests that open many logs need not wait for a disk.
pub(super) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// The payload that goes with an event.
pub(super) fn payload(seq: u64, bytes: usize) -> Payload {
    let text = format!("payload {seq} ");
    Payload { key: PayloadKey(seq.into()), bytes: text.bytes().cycle().take(bytes).collect() }
}

/// A batch of tasks that follows on what the log holds, each with a payload.
pub(super) fn batch(log: &dyn EventLog, tasks: u64, payload_bytes: usize) -> Batch {
    let last = log.status().last;
    let seqs = last.0 + 1..=last.0 + tasks;
    Batch {
        id: BatchId(last.0.into()),
        fence: log.fence(),
        expected_seq: last,
        events: seqs.clone().map(|seq| samples::submitted(seq.into(), Wall(7))).collect(),
        payloads: seqs.map(|seq| payload(seq, payload_bytes)).collect(),
        deleted_payloads: Vec::new(),
    }
}

pub(super) fn append(log: &dyn EventLog, batch: Batch) -> Appended {
    let (answer, answered) = channel();
    log.append(Arc::new(batch), Box::new(move |appended| answer.send(appended).unwrap()));
    answered.recv_timeout(PATIENCE).unwrap()
}

#[track_caller]
pub(super) fn append_durably(log: &dyn EventLog, tasks: u64, payload_bytes: usize) {
    let appended = append(log, batch(log, tasks, payload_bytes));
    assert!(matches!(appended, Appended::Durable), "{appended:?}");
}

pub(super) fn write_snapshot(log: &dyn EventLog, seq: Seq, tasks: u128) -> Result<(), SnapshotError> {
    let mut writer = log.begin_snapshot(seq)?;
    let (incarnation, queue_clock) = (Incarnation(1), Wall(0));
    writer.write(Part::Header(Header { seq, incarnation, next_lease: 1, paused: false, queue_clock }))?;
    for id in 0..tasks {
        let stage = StageImage::Queued { queued_at: Wall(1) };
        writer.write(Part::Task(Box::new(samples::task_image(id, stage))))?;
    }
    writer.commit()
}

/// Everything that a log holds, in words that can be compared.
pub(super) fn everything(log: &dyn EventLog, payloads: u64) -> Result<Vec<String>, ReadError> {
    let stored = log.load()?;
    let mut told = vec![format!("last {}", stored.last)];
    if let Some((seq, parts)) = stored.snapshot {
        told.push(format!("snapshot {seq}"));
        for part in parts {
            told.push(format!("{:?}", part?));
        }
    }
    for stretch in stored.tail {
        told.extend(stretch?.numbered().map(|(seq, event)| format!("{seq} {event:?}")));
    }
    let keys: Vec<PayloadKey> = (1..=payloads).map(|seq| PayloadKey(seq.into())).collect();
    told.extend(log.payloads(&keys)?.into_iter().map(|payload| format!("{payload:?}")));
    Ok(told)
}

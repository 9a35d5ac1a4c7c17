//! Snapshots: chunks, which count once their manifest is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use conductor_core::{Part, Seq};
use rusqlite::{Connection, OptionalExtension};

use super::inbox::Inbox;
use super::writer::{Writer, is_full};
use crate::log::ahead::{Bad, Manifest};
use crate::log::chunks::{Chunk, Cutter};
use crate::log::{SnapshotError, SnapshotWriter, digest};
use crate::record::Decoder;

/// The newest snapshot that is complete.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<Option<Manifest>> {
    connection
        .query_row("SELECT seq, chunks, crc FROM snapshots ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok(Manifest {
                seq: Seq(row.get::<_, i64>(0)?.cast_unsigned()),
                chunks: row.get(1)?,
                crc: row.get(2)?,
            })
        })
        .optional()
}

/// Reads a chunk with its digest and checks it.
pub(super) fn read_chunk(
    connection: &Connection,
    manifest: Manifest,
    number: u32,
    decoder: &mut Decoder,
) -> rusqlite::Result<Result<(u32, Vec<Part>), Bad>> {
    let place = || format!("chunk {number} of snapshot {}", manifest.seq);
    let mut select =
        connection.prepare_cached("SELECT crc, body FROM chunks WHERE seq = ?1 AND number = ?2")?;
    let mut rows = select.query((manifest.seq.0.cast_signed(), number))?;
    let Some(row) = rows.next()? else {
        return Ok(Err(Bad { place: place(), what: "it is missing".to_owned() }));
    };
    let crc: u32 = row.get(0)?;
    let body = row.get_ref(1)?.as_blob()?;
    if digest::chunk(manifest.seq, number, body) != crc {
        return Ok(Err(Bad { place: place(), what: "its digest does not match".to_owned() }));
    }
    Ok(match decoder.parts(body) {
        Ok(parts) => Ok((crc, parts)),
        Err(error) => Err(Bad { place: place(), what: error.to_string() }),
    })
}

/// Cuts parts into chunks and has the writer write them.
pub(super) struct Chunks {
    inbox: Arc<Inbox>,
    busy: Arc<AtomicBool>,
    seq: Seq,
    cutter: Cutter,
}

impl Chunks {
    /// Begins a snapshot up to `seq`. `busy` is set while one is under way.
    pub(super) fn begin(
        inbox: Arc<Inbox>,
        busy: Arc<AtomicBool>,
        seq: Seq,
    ) -> Result<Box<dyn SnapshotWriter>, SnapshotError> {
        if busy.swap(true, Ordering::AcqRel) {
            return Err(SnapshotError::Busy);
        }
        let chunks = Self { inbox, busy, seq, cutter: Cutter::new(seq) };
        ask(&chunks.inbox, move |writer| writer.shared.status().may_begin(seq))?;
        sweep(&chunks.inbox)?;
        Ok(Box::new(chunks))
    }

    fn flush(&mut self, chunk: Chunk) -> Result<(), SnapshotError> {
        let seq = self.seq;
        let body = ask(&self.inbox, move |writer| {
            write(writer, |connection| {
                connection
                    .prepare_cached("INSERT INTO chunks (seq, number, crc, body) VALUES (?1, ?2, ?3, ?4)")?
                    .execute((seq.0.cast_signed(), chunk.number, chunk.crc, chunk.body.as_slice()))
                    .map(drop)
            })?;
            Ok(chunk.body)
        })?;
        self.cutter.reuse(body);
        Ok(())
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.busy.store(false, Ordering::Release);
    }
}

impl SnapshotWriter for Chunks {
    fn write(&mut self, part: Part) -> Result<(), SnapshotError> {
        match self.cutter.add(&part)? {
            Some(chunk) => self.flush(chunk),
            None => Ok(()),
        }
    }

    fn commit(mut self: Box<Self>) -> Result<(), SnapshotError> {
        if let Some(chunk) = self.cutter.rest()? {
            self.flush(chunk)?;
        }
        let (seq, sum) = (self.seq, self.cutter.sum());
        ask(&self.inbox, move |writer| {
            write(writer, |connection| {
                connection.execute("DELETE FROM snapshots", [])?;
                connection
                    .execute(
                        "INSERT INTO snapshots (seq, chunks, crc) VALUES (?1, ?2, ?3)",
                        (seq.0.cast_signed(), sum.chunks, sum.crc),
                    )
                    .map(drop)
            })?;
            writer.shared.update(|status| status.snapshot = Some(seq));
            Ok(())
        })?;
        sweep(&self.inbox)
    }
}

/// Removes the chunks that belong to no snapshot, one after the other.
fn sweep(inbox: &Inbox) -> Result<(), SnapshotError> {
    loop {
        let removed = ask(inbox, |writer| {
            let found = writer
                .database
                .connection
                .prepare_cached(
                    "SELECT rowid FROM chunks WHERE seq NOT IN (SELECT seq FROM snapshots) LIMIT 1",
                )
                .and_then(|mut find| find.query_row([], |row| row.get::<_, i64>(0)).optional());
            let Some(row) = found.map_err(|source| write_error(writer, source))? else { return Ok(false) };
            write(writer, |connection| {
                connection.prepare_cached("DELETE FROM chunks WHERE rowid = ?1")?.execute([row]).map(drop)
            })?;
            Ok(true)
        })?;
        if !removed {
            return Ok(());
        }
    }
}

/// Has the writer do something and waits for its answer.
pub(super) fn ask<T: Send + 'static>(
    inbox: &Inbox,
    work: impl FnOnce(&mut Writer) -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, SnapshotError> {
    let (answer, answered): (SyncSender<Result<T, SnapshotError>>, _) = sync_channel(1);
    let chore = move |writer: &mut Writer| {
        let result = if writer.is_ready() { work(writer) } else { Err(SnapshotError::Closed) };
        // Whoever asked waits for the answer; it is gone only when its thread panicked.
        let _ = answer.send(result);
    };
    if !inbox.chore(Box::new(chore)) {
        return Err(SnapshotError::Closed);
    }
    answered.recv().unwrap_or(Err(SnapshotError::Closed))
}

/// Writes in a transaction of its own.
pub(super) fn write(
    writer: &mut Writer,
    work: impl Fn(&Connection) -> rusqlite::Result<()>,
) -> Result<(), SnapshotError> {
    writer.write_full(work).map_err(|source| write_error(writer, source))
}

fn write_error(writer: &Writer, source: rusqlite::Error) -> SnapshotError {
    if is_full(&source) {
        return SnapshotError::NoSpace;
    }
    SnapshotError::Write { path: writer.shared.path.clone(), source: source.into() }
}

//! Snapshots: chunks, which count once their manifest is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use conductor_core::{Part, Seq};
use rusqlite::{Connection, OptionalExtension};

use super::inbox::Inbox;
use super::row::Bad;
use super::writer::{Writer, is_full};
use crate::log::{SnapshotError, SnapshotWriter};
use crate::record::{self, Decoder};

/// Bytes from which on a chunk is written. A batch waits for one chunk at most.
const CHUNK_BYTES: usize = 1 << 20;

/// What a snapshot's row says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manifest {
    pub(super) seq: Seq,
    pub(super) chunks: u32,
    /// Over the digests of the chunks in their order.
    crc: u32,
}

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
    if chunk_crc(manifest.seq, number, body) != crc {
        return Ok(Err(Bad { place: place(), what: "its digest does not match".to_owned() }));
    }
    Ok(match decoder.parts(body) {
        Ok(parts) => Ok((crc, parts)),
        Err(error) => Err(Bad { place: place(), what: error.to_string() }),
    })
}

fn chunk_crc(seq: Seq, number: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.0.to_be_bytes());
    hasher.update(&number.to_be_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// Adds a chunk to what the manifest's digest covers.
pub(super) fn cover(crc: u32, chunk: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(&chunk.to_be_bytes());
    hasher.finalize()
}

impl Manifest {
    /// Where its digest begins.
    pub(super) fn begin_crc(&self) -> u32 {
        begin_crc(self.seq, self.chunks)
    }

    /// Whether the digest over its chunks is the one that was written.
    pub(super) fn matches(&self, crc: u32) -> bool {
        self.crc == crc
    }
}

fn begin_crc(seq: Seq, chunks: u32) -> u32 {
    cover(chunk_crc(seq, chunks, &[]), 0)
}

/// Collects parts into chunks and has the writer write them.
pub(super) struct Chunks {
    inbox: Arc<Inbox>,
    busy: Arc<AtomicBool>,
    seq: Seq,
    buffer: Vec<u8>,
    /// The digests of the chunks that were written.
    written: Vec<u32>,
    has_header: bool,
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
        let chunks = Self { inbox, busy, seq, buffer: Vec::new(), written: Vec::new(), has_header: false };
        ask(&chunks.inbox, move |writer| {
            let status = writer.shared.status();
            if seq > status.last {
                return Err(SnapshotError::Shape("is ahead of the log"));
            }
            if status.snapshot.is_some_and(|newest| newest >= seq) {
                return Err(SnapshotError::Shape("is not newer than the last one"));
            }
            Ok(())
        })?;
        sweep(&chunks.inbox)?;
        Ok(Box::new(chunks))
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        let (seq, number) = (self.seq, u32::try_from(self.written.len()).unwrap_or(u32::MAX));
        let body = std::mem::take(&mut self.buffer);
        let crc = chunk_crc(seq, number, &body);
        self.buffer = ask(&self.inbox, move |writer| {
            write(writer, |connection| {
                connection
                    .prepare_cached("INSERT INTO chunks (seq, number, crc, body) VALUES (?1, ?2, ?3, ?4)")?
                    .execute((seq.0.cast_signed(), number, crc, body.as_slice()))
                    .map(drop)
            })?;
            Ok(body)
        })?;
        self.buffer.clear();
        self.written.push(crc);
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
        match (&part, self.has_header) {
            (Part::Header(header), false) if header.seq == self.seq => self.has_header = true,
            (Part::Header(_), _) => {
                return Err(SnapshotError::Shape("has another header than was announced"));
            }
            (
                Part::Agent(_)
                | Part::Task(_)
                | Part::Key(_)
                | Part::Schedule(_)
                | Part::Token(_)
                | Part::Session(_)
                | Part::Webhook(_)
                | Part::Delivery(_),
                has_header,
            ) => {
                if !has_header {
                    return Err(SnapshotError::Shape("does not begin with its header"));
                }
            }
        }
        if self.buffer.is_empty() {
            record::begin_parts(&mut self.buffer);
        }
        record::encode_part(&part, &mut self.buffer);
        if self.buffer.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn commit(mut self: Box<Self>) -> Result<(), SnapshotError> {
        if !self.has_header {
            return Err(SnapshotError::Shape("has no header"));
        }
        if !self.buffer.is_empty() {
            self.flush()?;
        }
        let seq = self.seq;
        let chunks = u32::try_from(self.written.len()).unwrap_or(u32::MAX);
        let crc = self.written.iter().fold(begin_crc(seq, chunks), |crc, chunk| cover(crc, *chunk));
        ask(&self.inbox, move |writer| {
            write(writer, |connection| {
                connection.execute("DELETE FROM snapshots", [])?;
                connection
                    .execute(
                        "INSERT INTO snapshots (seq, chunks, crc) VALUES (?1, ?2, ?3)",
                        (seq.0.cast_signed(), chunks, crc),
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
    SnapshotError::Write { path: writer.shared.path.clone(), source }
}

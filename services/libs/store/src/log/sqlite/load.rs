//! Loading: a thread that reads and checks ahead of the one that builds the state.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use conductor_core::{Part, Seq};
use rusqlite::Connection;

use super::row::{self, BATCH_COLUMNS, Bad};
use super::snapshot;
use crate::database::Fault;
use crate::log::{Parts, ReadError, Stored, Stretch};
use crate::record::Decoder;

/// Chunks and stretches that are read ahead.
const READ_AHEAD: usize = 4;

/// Events that small batches are joined to.
const STRETCH_EVENTS: usize = 4_096;

/// Begins to load what a file holds up to the event `last`.
pub(super) fn begin(path: &Path, connection: Connection, last: Seq) -> Result<Stored, ReadError> {
    let newest = snapshot::newest(&connection).map_err(|error| read_error(path, error))?;
    let base = newest.map_or(Seq(0), |manifest| manifest.seq);
    let (send_parts, parts) = sync_channel(READ_AHEAD);
    let (send_tail, tail) = sync_channel(READ_AHEAD);
    let loader = Loader { path: path.to_owned(), connection, decoder: Decoder::default() };
    let thread = std::thread::Builder::new()
        .name("log-load".to_owned())
        .spawn(move || loader.run(newest, base, last, send_parts, &send_tail))
        .map_err(|source| ReadError::Read { path: path.to_owned(), source: source.into() })?;
    let thread = Arc::new(Thread(Some(thread)));
    let snapshot = newest.map(|manifest| {
        let parts = Ahead { receiver: Some(parts), thread: Arc::clone(&thread) };
        let each = parts.flat_map(|chunk: Result<Vec<Part>, ReadError>| match chunk {
            Ok(parts) => Chunk::Parts(parts.into_iter()),
            Err(error) => Chunk::Failed(std::iter::once(error)),
        });
        (manifest.seq, Box::new(each) as Parts)
    });
    let tail = Box::new(Ahead { receiver: Some(tail), thread });
    Ok(Stored { snapshot, tail, last })
}

/// The parts of a chunk, or why there are none.
enum Chunk {
    Parts(std::vec::IntoIter<Part>),
    Failed(std::iter::Once<ReadError>),
}

impl Iterator for Chunk {
    type Item = Result<Part, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Parts(parts) => parts.next().map(Ok),
            Self::Failed(error) => error.next().map(Err),
        }
    }
}

/// The loader's thread; whoever reads last waits for its end.
struct Thread(Option<JoinHandle<()>>);

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that loads the log panicked");
        }
    }
}

/// What was read ahead.
struct Ahead<T> {
    receiver: Option<Receiver<T>>,
    #[expect(
        dead_code,
        reason = "dropped after the receiver, so that the thread is not waited for while it waits"
    )]
    thread: Arc<Thread>,
}

impl<T> Iterator for Ahead<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.as_ref()?.recv().ok()
    }
}

struct Loader {
    path: PathBuf,
    connection: Connection,
    decoder: Decoder,
}

/// Nobody reads any more.
struct Unread;

impl Loader {
    fn run(
        mut self,
        newest: Option<snapshot::Manifest>,
        base: Seq,
        last: Seq,
        parts: SyncSender<Result<Vec<Part>, ReadError>>,
        tail: &SyncSender<Result<Stretch, ReadError>>,
    ) {
        if let Some(manifest) = newest
            && let Ok(Err(error)) = self.snapshot(manifest, &parts)
        {
            // Nobody hears it when nobody reads.
            let _ = parts.send(Err(error));
            return;
        }
        // Whoever reads the parts goes on to the tail only when they have ended.
        drop(parts);
        if let Ok(Err(error)) = self.tail(base, last, tail) {
            // Nobody hears it when nobody reads.
            let _ = tail.send(Err(error));
        }
    }

    /// Sends the parts of a snapshot, chunk by chunk.
    fn snapshot(
        &mut self,
        manifest: snapshot::Manifest,
        parts: &SyncSender<Result<Vec<Part>, ReadError>>,
    ) -> Result<Result<(), ReadError>, Unread> {
        let mut crc = manifest.begin_crc();
        for number in 0..manifest.chunks {
            let chunk = snapshot::read_chunk(&self.connection, manifest, number, &mut self.decoder);
            match checked(&self.path, chunk) {
                Ok((chunk_crc, chunk)) => {
                    crc = snapshot::cover(crc, chunk_crc);
                    parts.send(Ok(chunk)).map_err(|_| Unread)?;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        if manifest.matches(crc) {
            return Ok(Ok(()));
        }
        let place = format!("snapshot {}", manifest.seq);
        let what = "its digest does not match".to_owned();
        Ok(Err(damaged(&self.path, Bad { place, what })))
    }

    /// Sends the events after `base`, joined to stretches that are worth a message.
    fn tail(
        &mut self,
        base: Seq,
        last: Seq,
        tail: &SyncSender<Result<Stretch, ReadError>>,
    ) -> Result<Result<(), ReadError>, Unread> {
        let mut after = base;
        while after < last {
            let found = read_stretch(&self.connection, after.next(), STRETCH_EVENTS, &mut self.decoder);
            let mut stretch = match checked(&self.path, found) {
                Ok(Some(stretch)) if stretch.first == after.next() => stretch,
                Ok(_) => return Ok(Err(self.gap(after.next()))),
                Err(error) => return Ok(Err(error)),
            };
            stretch.cut_after(last);
            after = stretch.last();
            tail.send(Ok(stretch)).map_err(|_| Unread)?;
        }
        Ok(Ok(()))
    }

    fn gap(&self, seq: Seq) -> ReadError {
        damaged(&self.path, Bad { place: format!("event {seq}"), what: "it is missing".to_owned() })
    }
}

/// Reads the events from `next` on, batch by batch until there are `enough`; none when there are none.
fn read_stretch(
    connection: &Connection,
    next: Seq,
    enough: usize,
    decoder: &mut Decoder,
) -> rusqlite::Result<Result<Option<Stretch>, Bad>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {BATCH_COLUMNS} FROM batches WHERE first_seq >= \
         coalesce((SELECT max(first_seq) FROM batches WHERE first_seq <= ?1), ?1) ORDER BY first_seq"
    ))?;
    let mut rows = select.query([next.0.cast_signed()])?;
    let mut stretch: Option<Stretch> = None;
    while let Some(row) = rows.next()? {
        let batch = match row::read_batch(row, decoder)? {
            Ok(batch) => batch,
            Err(bad) => return Ok(Err(bad)),
        };
        match &mut stretch {
            None => stretch = from(batch, next),
            Some(stretch) if batch.first == stretch.last().next() => stretch.events.extend(batch.events),
            Some(stretch) => {
                let place = format!("event {}", stretch.last().next());
                return Ok(Err(Bad { place, what: "it is missing".to_owned() }));
            }
        }
        if stretch.as_ref().is_some_and(|stretch| stretch.events.len() >= enough) {
            break;
        }
    }
    Ok(Ok(stretch))
}

/// Reads at most `max_events` durable events after `after`; none when there are none.
pub(super) fn read_after(
    connection: &Connection,
    after: Seq,
    max_events: usize,
) -> rusqlite::Result<Result<Option<Stretch>, Bad>> {
    let found = read_stretch(connection, after.next(), max_events, &mut Decoder::default())?;
    Ok(found.map(|stretch| {
        stretch.map(|mut stretch| {
            stretch.events.truncate(max_events);
            stretch
        })
    }))
}

/// What of a batch is not before `next`; none when nothing is.
fn from(mut batch: Stretch, next: Seq) -> Option<Stretch> {
    if batch.last() < next {
        return None;
    }
    let before = usize::try_from(next.0.saturating_sub(batch.first.0)).expect("less than the batch's events");
    batch.events.drain(..before);
    Some(Stretch { first: Seq(batch.first.0 + before as u64), events: batch.events })
}

/// Names the file with what is wrong in it.
pub(super) fn checked<T>(path: &Path, found: rusqlite::Result<Result<T, Bad>>) -> Result<T, ReadError> {
    match found {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(bad)) => Err(damaged(path, bad)),
        Err(error) => Err(read_error(path, error)),
    }
}

fn damaged(path: &Path, bad: Bad) -> ReadError {
    ReadError::Damaged { path: path.to_owned(), place: bad.place, what: bad.what }
}

/// Tells damage that SQLite found from a disk that fails.
pub(super) fn read_error(path: &Path, error: rusqlite::Error) -> ReadError {
    match Fault::of(&error) {
        Fault::Damaged(place) => damaged(path, Bad { place: place.to_owned(), what: error.to_string() }),
        Fault::Full | Fault::Other => ReadError::Read { path: path.to_owned(), source: error.into() },
    }
}

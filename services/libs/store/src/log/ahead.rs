//! Loading: a thread that reads and checks ahead of the one that builds the state.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use conductor_core::{Part, Seq};

use super::{Parts, ReadError, Stored, Stretch, digest};

/// Chunks and stretches that are read ahead.
const READ_AHEAD: usize = 4;

/// Events that small batches are joined to.
pub(super) const STRETCH_EVENTS: usize = 4_096;

/// What a snapshot says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manifest {
    pub(super) seq: Seq,
    pub(super) chunks: u32,
    /// Over the digests of the chunks in their order.
    pub(super) crc: u32,
}

/// What is wrong with something that was read, and where.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) place: String,
    pub(super) what: String,
}

impl Bad {
    /// Events that are not there.
    pub(super) fn missing(seq: Seq) -> Self {
        Self { place: format!("event {seq}"), what: "it is missing".to_owned() }
    }

    /// Names the file or server with what is wrong there.
    pub(super) fn at(self, path: &Path) -> ReadError {
        ReadError::Damaged { path: path.to_owned(), place: self.place, what: self.what }
    }
}

/// Where a log is read from, on the loader's thread.
pub(super) trait Source: Send + 'static {
    /// Reads and checks a chunk, and gives its digest with its parts.
    fn chunk(&mut self, manifest: Manifest, number: u32) -> Result<(u32, Vec<Part>), ReadError>;

    /// Reads and checks the events from `next` on, batch by batch until there are [`STRETCH_EVENTS`]; none when there are
    /// none.
    fn stretch(&mut self, next: Seq) -> Result<Option<Stretch>, ReadError>;
}

/// Begins to load what a log holds up to the event `last`; `open` runs on the loader's thread.
pub(super) fn begin<S: Source>(
    path: &Path,
    newest: Option<Manifest>,
    last: Seq,
    open: impl FnOnce() -> Result<S, ReadError> + Send + 'static,
) -> Result<Stored, ReadError> {
    let (send_parts, parts) = sync_channel(READ_AHEAD);
    let (send_tail, tail) = sync_channel(READ_AHEAD);
    let loader = Loader { path: path.to_owned(), newest, last };
    let thread = std::thread::Builder::new()
        .name("log-load".to_owned())
        .spawn(move || loader.run(open, send_parts, &send_tail))
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
    newest: Option<Manifest>,
    last: Seq,
}

/// Nobody reads any more.
struct Unread;

impl Loader {
    fn run<S: Source>(
        self,
        open: impl FnOnce() -> Result<S, ReadError>,
        parts: SyncSender<Result<Vec<Part>, ReadError>>,
        tail: &SyncSender<Result<Stretch, ReadError>>,
    ) {
        let mut source = match open() {
            Ok(source) => source,
            Err(error) => {
                // Whoever reads the parts first hears it there; nobody hears it when nobody reads.
                let _ = if self.newest.is_some() {
                    parts.send(Err(error)).is_ok()
                } else {
                    tail.send(Err(error)).is_ok()
                };
                return;
            }
        };
        if let Some(manifest) = self.newest
            && let Ok(Err(error)) = self.snapshot(&mut source, manifest, &parts)
        {
            // Nobody hears it when nobody reads.
            let _ = parts.send(Err(error));
            return;
        }
        // Whoever reads the parts goes on to the tail only when they have ended.
        drop(parts);
        if let Ok(Err(error)) = self.tail(&mut source, tail) {
            // Nobody hears it when nobody reads.
            let _ = tail.send(Err(error));
        }
    }

    /// Sends the parts of a snapshot, chunk by chunk.
    fn snapshot(
        &self,
        source: &mut impl Source,
        manifest: Manifest,
        parts: &SyncSender<Result<Vec<Part>, ReadError>>,
    ) -> Result<Result<(), ReadError>, Unread> {
        let mut crc = digest::begin_snapshot(manifest.seq, manifest.chunks);
        for number in 0..manifest.chunks {
            match source.chunk(manifest, number) {
                Ok((chunk_crc, chunk)) => {
                    crc = digest::cover(crc, chunk_crc);
                    parts.send(Ok(chunk)).map_err(|_| Unread)?;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        if crc == manifest.crc {
            return Ok(Ok(()));
        }
        let place = format!("snapshot {}", manifest.seq);
        let what = "its digest does not match".to_owned();
        Ok(Err(Bad { place, what }.at(&self.path)))
    }

    /// Sends the events after the snapshot, joined to stretches that are worth a message.
    fn tail(
        &self,
        source: &mut impl Source,
        tail: &SyncSender<Result<Stretch, ReadError>>,
    ) -> Result<Result<(), ReadError>, Unread> {
        let mut after = self.newest.map_or(Seq(0), |manifest| manifest.seq);
        while after < self.last {
            let mut stretch = match source.stretch(after.next()) {
                Ok(Some(stretch)) if stretch.first == after.next() => stretch,
                Ok(_) => return Ok(Err(Bad::missing(after.next()).at(&self.path))),
                Err(error) => return Ok(Err(error)),
            };
            stretch.cut_after(self.last);
            after = stretch.last();
            tail.send(Ok(stretch)).map_err(|_| Unread)?;
        }
        Ok(Ok(()))
    }
}

//! The log itself: what everybody calls, and the threads behind it.

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use conductor_core::Seq;

use super::address::Address;
use super::load::{self, Joined, Source};
use super::open::{self, Opened};
use super::reads::{RESPONSE, Reads, Unanswered};
use super::row::{self, Entry};
use super::snapshot::Compaction;
use super::wire::Wire;
use super::writer::{MAX_BATCHES, Sent, Shared, Writer};
use super::{OpenError, Options};
use crate::log::ahead::{self, Manifest};
use crate::log::{
    AppendError, Appended, Batch, Done, EventLog, Fence, PayloadKey, Payloads, Read, ReadError,
    SnapshotError, SnapshotWriter, Space, Status, Stored, Stretch,
};
use crate::record::Decoder;
use crate::reserve;
use crate::state_dir::StateDir;

/// The share of the memory that Redis may use which is left to completions, cancels and snapshots.
const RESERVE_SHARE: u64 = 16;

/// The log in Redis.
pub struct RedisLog {
    inbox: Mutex<Option<SyncSender<Sent>>>,
    compaction: Compaction,
    fence: Fence,
    snapshot_busy: Arc<AtomicBool>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// What the last look at the space found, for when Redis is away.
    had_room: AtomicBool,
    // Held for as long as the mark is in use.
    dir: Arc<StateDir>,
}

impl fmt::Debug for RedisLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLog").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// Opens the log, or makes it where there was none. Blocks, on any thread, and waits a while for a Redis that comes up.
///
/// # Errors
/// Says why it cannot be opened. Nothing is ever made anew where something was.
pub fn open(dir: &Arc<StateDir>, options: &Options) -> Result<RedisLog, OpenError> {
    let address = Address::parse(&options.url)?;
    let io = |source| OpenError::Io { path: dir.path().to_owned(), source };
    // What waits for an answer may not do so on a thread of somebody else's runtime.
    let opened = std::thread::scope(|scope| {
        let opening = std::thread::Builder::new().name("log-open".to_owned()).spawn_scoped(scope, || {
            let mut wire = Wire::new(address.clone(), Some(RESPONSE)).map_err(io)?;
            let opened = open::open(dir.path(), &address, &mut wire, options)?;
            Ok::<_, OpenError>((wire, opened))
        });
        opening.map_err(io)?.join().map_err(|_| io(std::io::Error::other("the opening panicked")))?
    });
    let (wire, Opened { opening, lease, mark, fence, status }) = opened?;
    let shared = Arc::new(Shared::new(address, status));
    let reads = Reads::start(opening.clone(), lease, Arc::clone(&shared)).map_err(io)?;
    let (inbox, waiting) = sync_channel(MAX_BATCHES);
    let writer = Writer::new(wire, Arc::clone(&shared), opening.clone(), mark, fence);
    let thread = std::thread::Builder::new().name("log-write".to_owned()).spawn(move || writer.run(waiting));
    Ok(RedisLog {
        inbox: Mutex::new(Some(inbox)),
        compaction: Compaction { reads: Arc::new(reads), shared, opening },
        fence,
        snapshot_busy: Arc::default(),
        writer: Mutex::new(Some(thread.map_err(io)?)),
        had_room: AtomicBool::new(true),
        dir: Arc::clone(dir),
    })
}

impl RedisLog {
    /// Where it is, without the password.
    #[must_use]
    pub fn address(&self) -> &Path {
        self.compaction.shared.address.shown()
    }

    fn unread(&self, unanswered: Unanswered) -> ReadError {
        match unanswered {
            Unanswered::Closed => ReadError::Closed,
            Unanswered::Redis(error) => load::read_error(self.address(), error),
        }
    }

    /// Reads the manifest of the snapshot that counts, and its slot.
    fn manifest(&self) -> Result<Option<(Manifest, usize)>, ReadError> {
        let mut command = redis::cmd("HMGET");
        command.arg(&self.compaction.opening.keys.meta).arg(&["snapshot", "chunks", "crc", "slot"]);
        let found: (Option<u64>, Option<u32>, Option<u32>, Option<usize>) =
            self.compaction.reads.query(command).map_err(|unanswered| self.unread(unanswered))?;
        Ok(match found {
            (Some(seq), Some(chunks), Some(crc), Some(slot @ (0 | 1))) => {
                Some((Manifest { seq: Seq(seq), chunks, crc }, slot))
            }
            _ => None,
        })
    }
}

impl Payloads for RedisLog {
    fn visit_payloads(
        &self,
        keys: &[PayloadKey],
        visit: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), ReadError> {
        let ask =
            |command| self.compaction.reads.query(command).map_err(|unanswered| self.unread(unanswered));
        row::visit_payloads((&*self.compaction.opening.keys.payloads, self.address()), keys, ask, visit)
    }
}

impl EventLog for RedisLog {
    fn append(&self, batch: Arc<Batch>, done: Done) {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = match inbox {
            Some(inbox) => inbox.send((batch, done)).err().map(|refused| refused.0.1),
            None => Some(done),
        };
        if let Some(done) = refused {
            done(Appended::Failed(AppendError::Closed));
        }
    }

    fn fence(&self) -> Fence {
        self.fence
    }

    fn status(&self) -> Status {
        self.compaction.shared.status()
    }

    fn load(&self) -> Result<Stored, ReadError> {
        let last = self.status().last;
        let newest = self.manifest()?;
        let (address, keys) = (self.compaction.shared.address.clone(), self.compaction.opening.keys.clone());
        let slot = newest.map_or(0, |(_, slot)| slot);
        let manifest = newest.map(|(manifest, _)| manifest);
        ahead::begin(self.address(), manifest, last, move || Source::open(address, keys, slot))
    }

    fn read_after(&self, after: Seq, max_events: usize) -> Result<Read, ReadError> {
        let mut joined = Joined::new(after.next(), max_events);
        let mut decoder = Decoder::default();
        loop {
            let command = joined.ask(&self.compaction.opening.keys);
            let entries: Vec<Entry> =
                self.compaction.reads.query(command).map_err(|unanswered| self.unread(unanswered))?;
            if !joined.add(&entries, &mut decoder).map_err(|bad| bad.at(self.address()))? {
                break;
            }
        }
        let first = self.status().first;
        Ok(match joined.stretch {
            _ if after.next() < first => Read::Trimmed { first },
            Some(mut stretch) if stretch.first == after.next() => {
                stretch.events.truncate(max_events);
                Read::Events(stretch)
            }
            Some(stretch) => Read::Trimmed { first: stretch.first },
            None => Read::Events(Stretch { first: after.next(), events: Vec::new() }),
        })
    }

    fn begin_snapshot(&self, seq: Seq) -> Result<Box<dyn SnapshotWriter>, SnapshotError> {
        self.compaction.clone().begin(Arc::clone(&self.snapshot_busy), seq)
    }

    fn trim(&self, upto: Seq) -> Result<Seq, SnapshotError> {
        self.compaction.trim(upto)
    }

    fn space(&self) -> Result<Space, ReadError> {
        use std::sync::atomic::Ordering;

        let dir = self.dir.path();
        let free_bytes = reserve::free_bytes(dir)
            .map_err(|source| ReadError::Read { path: dir.to_owned(), source: source.into() })?;
        let mut command = redis::cmd("INFO");
        command.arg("memory");
        let info = self.compaction.reads.query::<redis::InfoDict>(command);
        let is_reachable = info.is_ok();
        if let Ok(info) = info {
            let used: u64 = info.get("used_memory").unwrap_or_default();
            let most: u64 = info.get("maxmemory").unwrap_or_default();
            let has_room = most == 0 || used < most - most / RESERVE_SHARE;
            self.had_room.store(has_room, Ordering::Relaxed);
        }
        Ok(Space {
            free_bytes: Some(free_bytes),
            reserve_held: self.had_room.load(Ordering::Relaxed),
            is_reachable,
        })
    }

    fn close(&self) {
        self.compaction.reads.close();
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the thread that writes the log panicked");
        }
    }
}

impl Drop for RedisLog {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
impl RedisLog {
    /// Ends as a kill would: the lease stays.
    pub(super) fn leave(&self) {
        self.compaction.shared.leave();
        self.close();
    }
}

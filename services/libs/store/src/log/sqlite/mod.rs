//! The log in a SQLite file: one thread writes, any thread reads through connections of its own.

mod copy;
mod inbox;
mod load;
mod open;
mod row;
mod schema;
mod scrub;
mod snapshot;
#[cfg(test)]
mod tests;
mod transfer;
mod trim;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use conductor_core::Seq;
use rusqlite::Connection;

use super::ahead::Bad;
use super::{
    AppendError, Appended, Batch, Done, EventLog, Fence, PayloadKey, Payloads, Read, ReadError,
    SnapshotError, SnapshotWriter, Space, Status, Stored, Stretch,
};
use crate::database::{self, Closed, Readers};
use crate::reserve;
use crate::state_dir::StateDir;
use inbox::Inbox;
use writer::{Shared, Writer};

pub use crate::database::OpenError;
pub(crate) use copy::{adopt, check as check_copy};
pub use transfer::make;

/// The file's name in the state directory.
pub const FILE: &str = "events.db";

/// How the log treats its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes that are set aside for when the disk is full.
    pub reserve_bytes: u64,
    /// Bytes that must stay free when the reserve is set aside again.
    pub free_floor_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { reserve_bytes: 32 << 20, free_floor_bytes: 64 << 20 }
    }
}

/// The log in a SQLite file.
pub struct SqliteLog {
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    fence: Fence,
    free_floor_bytes: u64,
    snapshot_busy: Arc<AtomicBool>,
    readers: Readers,
    writer: Mutex<Option<JoinHandle<()>>>,
    // Held for as long as the files are in use.
    dir: Arc<StateDir>,
}

impl fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLog").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

/// Opens the log in a state directory, or makes it where there was none.
///
/// # Errors
/// Says what is wrong with the files, by their names. Nothing is ever made anew where something was.
pub fn open(dir: &Arc<StateDir>, options: &Options) -> Result<SqliteLog, OpenError> {
    let path = dir.path().join(FILE);
    let opened = open::open(dir.path(), &path, options)?;
    let shared = Arc::new(Shared {
        path: path.clone(),
        status: Mutex::new(opened.status),
        reserve: Mutex::new(opened.reserve),
    });
    let inbox = Arc::new(Inbox::default());
    let writer = Writer::new(opened.database, Arc::clone(&shared), opened.fence);
    let thread = std::thread::Builder::new()
        .name("log-write".to_owned())
        .spawn({
            let inbox = Arc::clone(&inbox);
            move || writer.run(&inbox)
        })
        .map_err(|source| OpenError::io(&path, source))?;
    Ok(SqliteLog {
        inbox,
        shared,
        fence: opened.fence,
        free_floor_bytes: options.free_floor_bytes,
        snapshot_busy: Arc::default(),
        readers: Readers::new(path, schema::READER_CACHE_KIB),
        writer: Mutex::new(Some(thread)),
        dir: Arc::clone(dir),
    })
}

impl SqliteLog {
    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Reads with a connection that nobody else uses meanwhile.
    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<Result<T, Bad>>,
    ) -> Result<T, ReadError> {
        let found = self.readers.read(read).map_err(|Closed| ReadError::Closed)?;
        load::checked(&self.shared.path, found)
    }
}

impl Payloads for SqliteLog {
    fn visit_payloads(
        &self,
        keys: &[PayloadKey],
        visit: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), ReadError> {
        self.read(|connection| {
            for (place, key) in keys.iter().enumerate() {
                if let Err(bad) = row::read_payload(connection, *key, |bytes| visit(place, bytes))? {
                    return Ok(Err(bad));
                }
            }
            Ok(Ok(()))
        })
    }
}

impl EventLog for SqliteLog {
    fn append(&self, batch: Arc<Batch>, done: Done) {
        if let Err(done) = self.inbox.append(batch, done) {
            done(Appended::Failed(AppendError::Closed));
        }
    }

    fn fence(&self) -> Fence {
        self.fence
    }

    fn status(&self) -> Status {
        self.shared.status()
    }

    fn load(&self) -> Result<Stored, ReadError> {
        let path = &self.shared.path;
        let connection = database::reader(path, schema::READER_CACHE_KIB)
            .map_err(|error| load::read_error(path, error))?;
        load::begin(path, connection, self.status().last)
    }

    fn read_after(&self, after: Seq, max_events: usize) -> Result<Read, ReadError> {
        let stretch = self.read(|connection| load::read_after(connection, after, max_events))?;
        let first = self.status().first;
        Ok(match stretch {
            _ if after.next() < first => Read::Trimmed { first },
            Some(stretch) if stretch.first == after.next() => Read::Events(stretch),
            Some(stretch) => Read::Trimmed { first: stretch.first },
            None => Read::Events(Stretch { first: after.next(), events: Vec::new() }),
        })
    }

    fn begin_snapshot(&self, seq: Seq) -> Result<Box<dyn SnapshotWriter>, SnapshotError> {
        snapshot::Chunks::begin(Arc::clone(&self.inbox), Arc::clone(&self.snapshot_busy), seq)
    }

    fn trim(&self, upto: Seq) -> Result<Seq, SnapshotError> {
        trim::run(&self.inbox, upto)
    }

    fn space(&self) -> Result<Space, ReadError> {
        let dir = self.dir.path();
        let error =
            |source: std::io::Error| ReadError::Read { path: PathBuf::from(dir), source: source.into() };
        let mut reserve = self.shared.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        reserve.take(self.free_floor_bytes).map_err(error)?;
        let free_bytes = reserve::free_bytes(dir).map_err(error)?;
        Ok(Space { free_bytes: Some(free_bytes), reserve_held: reserve.is_held(), is_reachable: true })
    }

    fn close(&self) {
        // The writer can empty the write-ahead log only when nobody reads it any more.
        self.readers.close();
        self.inbox.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the thread that writes the log panicked");
        }
    }
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
impl SqliteLog {
    /// Moves everything from the write-ahead log into the file, as the writer does now and then.
    fn move_pages(&self) {
        snapshot::ask(&self.inbox, |writer| {
            writer.database.checkpoint_from(1).expect("pages move");
            Ok(())
        })
        .expect("the log is open");
    }

    /// Ends the writer as a kill would: nothing is tidied up.
    fn leave(&self) {
        snapshot::ask(&self.inbox, |writer| {
            writer.give_up();
            Ok(())
        })
        .expect("the log is open");
        self.close();
    }
}

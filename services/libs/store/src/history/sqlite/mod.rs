//! History in a SQLite file.

mod apply;
mod audit;
mod copy;
mod deliveries;
mod list;
mod row;
mod schema;
mod spans;
mod stats;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conductor_core::{Seq, TaskId, Wall};
use rusqlite::Connection;

use super::{
    AuditPage, AuditQuery, AuditStretch, AuditVerified, DeliveryRecord, Error, History, Hour, Page, Query,
    Stats, StatsQuery, Tally, TaskRecord, TrendsQuery,
};
use crate::database::{self, Closed, Database, Fault, Readers};
use crate::log::{LogId, Payloads, Stretch};
use crate::state_dir::StateDir;
use row::{Reading, Trouble};

pub use crate::database::OpenError;
pub(crate) use copy::{adopt, check as check_copy, followed};

/// The file's name in the state directory.
pub const FILE: &str = "history.db";

/// History in a SQLite file.
pub struct SqliteHistory {
    path: PathBuf,
    writer: Mutex<Option<Database>>,
    readers: Readers,
    log: Mutex<Option<LogId>>,
    applied: AtomicU64,
    durable: AtomicU64,
    tally: Mutex<Tally>,
    // Held for as long as the files are in use.
    _dir: Arc<StateDir>,
}

impl fmt::Debug for SqliteHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteHistory").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Opens History in a state directory, or makes it where there was none.
///
/// # Errors
/// Says what is wrong with the files, by their names.
pub fn open(dir: &Arc<StateDir>) -> Result<SqliteHistory, OpenError> {
    let path = dir.path().join(FILE);
    if !path.try_exists().map_err(|source| OpenError::io(&path, source))? {
        let beside = database::mark_path(&path);
        if beside.exists() {
            return Err(OpenError::Missing { path, beside });
        }
        database::create(&path, &schema::KIND, |_| Ok(()))?;
    }
    let error = |source| OpenError::sqlite(&path, source);
    let checked = database::open(&path, &schema::KIND)?;
    schema::set_up(&checked.connection).map_err(error)?;
    let (log, Seq(applied)) = copy::progress(&checked.connection).map_err(error)?;
    let database = checked.ends_with(applied, applied == 0)?;
    Ok(SqliteHistory {
        writer: Mutex::new(Some(database)),
        readers: Readers::new(path.clone(), schema::READER_CACHE_KIB),
        path,
        log: Mutex::new(log),
        applied: AtomicU64::new(applied),
        // What a process that was killed left behind may not be on the disk yet; the next sync knows.
        durable: AtomicU64::new(0),
        tally: Mutex::default(),
        _dir: Arc::clone(dir),
    })
}

impl SqliteHistory {
    fn writer(&self) -> MutexGuard<'_, Option<Database>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed(&self) -> Error {
        Error::Io { path: self.path.clone(), source: "it is closed".into() }
    }

    fn error(&self, trouble: Trouble) -> Error {
        let path = self.path.clone();
        match trouble {
            Trouble::Is(error) => error,
            Trouble::Record { place, what } => Error::Damaged { path, place, what },
            Trouble::Sqlite(error) => match Fault::of(&error) {
                Fault::Full => Error::NoSpace { path },
                Fault::Damaged(place) => {
                    Error::Damaged { path, place: place.to_owned(), what: error.to_string() }
                }
                Fault::Other => Error::Io { path, source: error.into() },
            },
        }
    }

    /// Reads as of one moment, and passes the last event that shows.
    fn read<T>(&self, read: impl FnOnce(&Connection, Seq) -> Result<T, Trouble>) -> Result<T, Error> {
        let found = self.readers.read(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let applied = transaction
                .prepare_cached("SELECT applied FROM progress WHERE id = 0")?
                .query_row([], |row| row.get::<_, i64>(0))?;
            let result = read(&transaction, Seq(applied.cast_unsigned()));
            transaction.finish()?;
            Ok(result)
        });
        match found {
            Ok(Ok(result)) => result.map_err(|trouble| self.error(trouble)),
            Ok(Err(error)) => Err(self.error(error.into())),
            Err(Closed) => Err(self.closed()),
        }
    }
}

impl History for SqliteHistory {
    fn log(&self) -> Option<LogId> {
        *self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn applied(&self) -> Seq {
        Seq(self.applied.load(Ordering::Acquire))
    }

    fn durable(&self) -> Seq {
        Seq(self.durable.load(Ordering::Acquire))
    }

    fn apply(&self, log: LogId, stretch: &Stretch, payloads: &dyn Payloads) -> Result<Seq, Error> {
        let mut writer = self.writer();
        let database = writer.as_mut().ok_or_else(|| self.closed())?;
        let applied = self.applied();
        if self.log().is_some_and(|known| known != log) {
            return Err(Error::OtherLog { path: self.path.clone() });
        }
        if stretch.first > applied.next() {
            return Err(Error::Sequence { first: stretch.first, applied });
        }
        if stretch.last() <= applied {
            return Ok(applied);
        }
        let excerpts = apply::excerpts(stretch, applied, payloads)?;
        let mut trouble = None;
        let written = database.transact(|connection| {
            apply::apply(connection, log, stretch, applied, &excerpts).map_err(|found| match found {
                Trouble::Sqlite(error) => error,
                found => {
                    trouble = Some(found);
                    rusqlite::Error::ExecuteReturnedResults
                }
            })
        });
        let tally = written.map_err(|error| self.error(trouble.unwrap_or(Trouble::Sqlite(error))))?;
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).add(&tally);
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = Some(log);
        self.applied.store(stretch.last().0, Ordering::Release);
        if let Err(error) = database.checkpoint_from(schema::CHECKPOINT_PAGES) {
            // It was applied all the same; the write-ahead log is longer until the next time.
            tracing::warn!(path = %self.path.display(), %error, "failed to move pages into the file");
        }
        Ok(stretch.last())
    }

    fn sync(&self) -> Result<Seq, Error> {
        let mut writer = self.writer();
        let database = writer.as_mut().ok_or_else(|| self.closed())?;
        let applied = self.applied();
        if applied == self.durable() {
            return Ok(applied);
        }
        // A commit that waits for the disk takes everything before it along.
        let synced = database.connection.pragma_update(None, "synchronous", "full").and_then(|()| {
            database.transact(|connection| {
                connection
                    .prepare_cached("UPDATE progress SET synced = ?1 WHERE id = 0")?
                    .execute([applied.0.cast_signed()])
            })
        });
        let relaxed = database.connection.pragma_update(None, "synchronous", "normal");
        synced.and(relaxed).map_err(|error| self.error(error.into()))?;
        database.note(applied.0);
        self.durable.store(applied.0, Ordering::Release);
        Ok(applied)
    }

    fn tasks(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskRecord>>, Error> {
        self.read(|connection, _| {
            let mut reading = Reading::new(connection);
            ids.iter().map(|id| reading.by_id(*id)).collect()
        })
    }

    fn list(&self, query: &Query) -> Result<Page, Error> {
        self.read(|connection, as_of| list::list(connection, query, as_of))
    }

    fn stats(&self, query: &StatsQuery) -> Result<Stats, Error> {
        self.read(|connection, _| stats::stats(connection, query))
    }

    fn trends(&self, query: &TrendsQuery) -> Result<Vec<Hour>, Error> {
        self.read(|connection, _| Ok(spans::trends(connection, query)?))
    }

    fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn deliveries(&self, task: TaskId) -> Result<Vec<DeliveryRecord>, Error> {
        self.read(|connection, _| deliveries::list(connection, task))
    }

    fn ended_before(&self, before: Wall, limit: usize) -> Result<Vec<TaskId>, Error> {
        self.read(|connection, _| stats::ended_before(connection, before, limit))
    }

    fn audit(&self, query: &AuditQuery) -> Result<AuditPage, Error> {
        self.read(|connection, as_of| audit::list(connection, query, as_of))
    }

    fn verify_audit(&self, stretch: &AuditStretch) -> Result<AuditVerified, Error> {
        self.read(|connection, _| audit::verify(connection, stretch))
    }

    fn close(&self) {
        self.readers.close();
        if let Some(database) = self.writer().take() {
            database.close(self.applied().0, false);
        }
    }
}

impl Drop for SqliteHistory {
    fn drop(&mut self) {
        self.close();
    }
}

//! A SQLite file with a mark beside it: made whole or not at all, checked when it is opened, and closed with its digest.

mod copy;
mod mark;
mod open;
mod readers;
mod wal;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use mark::{Digest, Mark, Reading};

pub(crate) use copy::{adopt, check_copy, copy, written};
pub use open::OpenError;
pub(crate) use open::{Kind, create, open, reader};
pub(crate) use readers::{Closed, Readers};

/// Bytes of a file that is read through after each time it changed. A larger one goes without a digest until it is closed,
/// and is checked page by page when it was not.
const MAX_DIGEST_BYTES: u64 = 64 << 20;

/// Where the mark of a database lies.
pub(crate) fn mark_path(database: &Path) -> PathBuf {
    mark::path_of(database)
}

/// A database with its one connection that writes.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) connection: Connection,
    path: PathBuf,
    /// The file itself, to be read through. It stays open as long as the connection: closing any descriptor of a file drops
    /// all locks that the process holds on it.
    file: File,
    mark: Mark,
    reading: Reading,
    /// The write-ahead log, once something was written to it.
    wal: Option<File>,
}

/// How many frames the write-ahead log has, and how many of them are in the file.
struct Frames {
    all: u32,
    moved: u32,
}

impl Database {
    /// Runs `write` in a transaction, all or nothing.
    pub(crate) fn transact<T>(
        &self,
        write: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let run = |sql| self.connection.prepare_cached(sql)?.execute([]).map(drop);
        run("BEGIN IMMEDIATE")?;
        let written = write(&self.connection).and_then(|value| run("COMMIT").map(|()| value));
        // Some errors end the transaction by themselves; any other leaves it open.
        if written.is_err() && !self.connection.is_autocommit() {
            run("ROLLBACK")?;
        }
        written
    }

    /// Notes that everything up to `seq` is durable.
    pub(crate) fn note(&mut self, seq: u64) {
        let noted = self.end_of_wal().and_then(|wal| {
            self.reading = Reading { seq, wal, ..self.reading };
            self.mark.write(self.reading)
        });
        if let Err(error) = noted {
            tracing::warn!(path = %self.mark.path().display(), %error, "failed to write the mark");
        }
    }

    fn end_of_wal(&mut self) -> io::Result<Option<wal::End>> {
        let frames = self.frames().map_err(io::Error::other)?.all;
        if frames == 0 {
            return Ok(None);
        }
        let file = match self.wal.take() {
            Some(file) => file,
            None => File::open(wal::path_of(&self.path))?,
        };
        let salt = wal::salt(&file)?;
        self.wal = Some(file);
        Ok(Some(wal::End { salt, frames }))
    }

    fn frames(&self) -> rusqlite::Result<Frames> {
        self.connection
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")?
            .query_row([], |row| Ok(Frames { all: row.get(1)?, moved: row.get(2)? }))
    }

    /// Moves pages from the write-ahead log into the file when at least `pages` wait, as far as no reader is in the way.
    pub(crate) fn checkpoint_from(&mut self, pages: u32) -> rusqlite::Result<()> {
        let frames = self.frames()?;
        if frames.all - frames.moved < pages {
            return Ok(());
        }
        self.forget_file().map_err(to_sqlite)?;
        let (busy, all, moved): (i64, u32, u32) = self
            .connection
            .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if busy == 0 && all == moved {
            self.remember_file();
        }
        Ok(())
    }

    /// Says that the file is about to change. The disk knows before it does.
    fn forget_file(&mut self) -> io::Result<()> {
        if self.reading.file.take().is_some() {
            self.mark.write_through(self.reading)?;
        }
        Ok(())
    }

    /// Takes the digest of a file that stays as it is for a while, unless that takes too long.
    fn remember_file(&mut self) {
        let taken = self.file.metadata().and_then(|found| {
            if found.len() > MAX_DIGEST_BYTES {
                return Ok(());
            }
            self.reading.file = Some(Digest::of(&self.file)?);
            self.mark.write(self.reading)
        });
        if let Err(error) = taken {
            tracing::warn!(path = %self.path.display(), %error, "failed to take the file's digest");
        }
    }

    /// Moves all pages into the file, closes it and notes its digest. The write-ahead log gives its room back unless
    /// `keep_room`: on a full disk the next start needs it.
    pub(crate) fn close(mut self, last: u64, keep_room: bool) {
        let moved = self.move_all(last, keep_room);
        let wal = self.end_of_wal();
        let Self { connection, path, file, mark, .. } = self;
        let closed = connection.close().map_err(|(_, error)| io::Error::other(error));
        let noted = closed.and(moved).and_then(|all| {
            let digest = if all { Some(Digest::of(&file)?) } else { None };
            mark.write_through(Reading { seq: last, wal: wal?, file: digest })
        });
        if let Err(error) = noted {
            // Nothing is lost: the next start checks the file page by page.
            tracing::warn!(path = %path.display(), %error, "failed to note the file's digest");
        }
    }

    /// Moves all pages into the file, and empties the write-ahead log unless it is to `keep_room`. Answers whether a reader
    /// was in the way. A process that is killed in here leaves a mark that is true: it says that nothing is in the
    /// write-ahead log any more after all is in the file, and before the log is emptied.
    fn move_all(&mut self, last: u64, keep_room: bool) -> io::Result<bool> {
        self.forget_file()?;
        let run = |sql: &str| self.connection.query_row(sql, [], |_| Ok(())).map_err(io::Error::other);
        run("PRAGMA wal_checkpoint(PASSIVE)")?;
        let frames = self.frames().map_err(io::Error::other)?;
        if frames.all != frames.moved {
            return Ok(false);
        }
        if !keep_room {
            self.mark.write_through(Reading { seq: last, wal: None, file: None })?;
            run("PRAGMA wal_checkpoint(TRUNCATE)")?;
        }
        Ok(true)
    }
}

/// Whether a table has a column that files of an earlier build do not have.
pub(crate) fn has_column(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    let find = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = ?2";
    connection.query_row(find, [table, column], |row| row.get(0))
}

fn to_sqlite(error: io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// What kind of trouble an error of SQLite's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no room left; the transaction was not applied.
    Full,
    /// The file is not what was written, at such a place.
    Damaged(&'static str),
    /// Anything else.
    Other,
}

impl Fault {
    pub(crate) fn of(error: &rusqlite::Error) -> Self {
        match error {
            // A value of another type than was written is a bit that flipped in a row's header.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Self::Damaged("a row"),
            error => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => Self::Full,
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged("a page"),
                _ => Self::Other,
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests_only {
    use super::{Mark, Path, Reading};

    /// Makes the mark say that the file's digest is not known, as for a large file that was in use.
    pub(crate) fn forget_file(path: &Path) {
        let (mark, reading) = Mark::open(path).expect("the mark reads");
        mark.write(Reading { file: None, ..reading }).expect("the mark is written");
    }
}

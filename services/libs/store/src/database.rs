//! A SQLite file with a mark beside it: made whole or not at all, checked when it is opened, sealed when it is closed.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::mark::{self, Left, Mark, Reading};

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What is there is not what was written.
    #[error("{path} is damaged at {place}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// A newer release wrote it.
    #[error("{path} has format {found}, and this release reads up to {supported}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: u32,
        /// The newest format that is known.
        supported: u32,
    },
    /// It is not there, though it was.
    #[error("{path} is missing, but {beside} is there; it is not started empty")]
    Missing {
        /// The file.
        path: PathBuf,
        /// What shows that it was there.
        beside: PathBuf,
    },
    /// There is not even room to open it.
    #[error("no room to open {path}")]
    NoSpace {
        /// The file.
        path: PathBuf,
    },
    /// The disk or its file system failed.
    #[error("failed to open {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OpenError {
    pub(crate) fn damaged(path: &Path, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), place: place.into(), what: what.into() }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::NoSpace { path: path.to_owned() };
        }
        Self::Io { path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        match Fault::of(&source) {
            Fault::Full => Self::NoSpace { path: path.to_owned() },
            Fault::Damaged(place) => Self::damaged(path, place, source.to_string()),
            Fault::Other => Self::Io { path: path.to_owned(), source: source.into() },
        }
    }
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

/// What a database is and how it begins.
#[derive(Debug)]
pub(crate) struct Kind {
    /// What it is, for messages.
    pub(crate) what: &'static str,
    /// Marks the file.
    pub(crate) application_id: i32,
    /// The format that is written; a newer one is refused.
    pub(crate) format: u32,
    /// Its tables.
    pub(crate) schema: &'static str,
    /// Bytes of a page.
    pub(crate) page_bytes: u32,
}

/// A database that was opened to be written.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    /// Its mark and what it said; none for a file that was made and never used.
    pub(crate) mark: Option<(Mark, Reading)>,
}

/// Makes the file under another name first, so that a file of the right name is always whole.
pub(crate) fn create(
    path: &Path,
    kind: &Kind,
    fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), OpenError> {
    let new = path.with_extension("new");
    for leftover in ["new", "new-wal", "new-shm"] {
        match std::fs::remove_file(path.with_extension(leftover)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(OpenError::io(path, error)),
            _ => {}
        }
    }
    make(&new, kind, fill).map_err(|source| OpenError::sqlite(path, source))?;
    std::fs::File::open(&new)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&new, path))
        .and_then(|()| sync_parent(path))
        .map_err(|source| OpenError::io(path, source))
}

fn make(
    path: &Path,
    kind: &Kind,
    fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "page_size", kind.page_bytes)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(kind.schema)?;
    transaction.pragma_update(None, "application_id", kind.application_id)?;
    transaction.pragma_update(None, "user_version", kind.format)?;
    fill(&transaction)?;
    transaction.commit()?;
    // Closing the only connection moves everything from the write-ahead log into the file.
    connection.close().map_err(|(_, error)| error)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    std::fs::File::open(path.parent().expect("the file lies in a directory"))?.sync_all()
}

/// Opens a file that exists and checks it: against its seal when it was closed, page by page when it was not.
pub(crate) fn open(path: &Path, kind: &Kind) -> Result<Opened, OpenError> {
    let mark = read_mark(path)?;
    let sealed = match &mark {
        Some((_, reading)) => check_seal(path, *reading)?,
        None => false,
    };
    let connection = connect(path, kind)?;
    if !sealed {
        check_pages(path, &connection)?;
    }
    Ok(Opened { connection, mark })
}

/// Says in the mark that the file is in use, after `last` was compared with what the mark said before.
pub(crate) fn begin(
    path: &Path,
    mark: Option<(Mark, Reading)>,
    last: u64,
    unused: bool,
) -> Result<Mark, OpenError> {
    let mark = match mark {
        Some((mark, reading)) if last >= reading.seq => mark,
        Some((_, reading)) => {
            let what = format!("it ends with event {last}, but event {} was written", reading.seq);
            return Err(OpenError::damaged(path, "its end", what));
        }
        // The process died after it made the file and before it used it.
        None if unused => Mark::create(path).map_err(|source| OpenError::io(path, source))?,
        None => return Err(OpenError::Missing { path: mark::path_of(path), beside: path.to_owned() }),
    };
    mark.open_again(last).map_err(|source| OpenError::io(mark.path(), source))?;
    Ok(mark)
}

/// Empties the write-ahead log, closes the last connection and seals the file.
pub(crate) fn close(path: &Path, connection: Connection, mark: &Mark, last: u64) {
    let sealed = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .and_then(|busy| connection.close().map(|()| busy).map_err(|(_, error)| error))
        .map_err(io::Error::other)
        .and_then(
            |busy| if busy == 0 { mark.seal(path, last) } else { Err(io::ErrorKind::ResourceBusy.into()) },
        );
    if let Err(error) = sealed {
        // Nothing is lost: the next start checks the file page by page.
        tracing::warn!(path = %path.display(), %error, "failed to seal the file");
    }
}

fn read_mark(path: &Path) -> Result<Option<(Mark, Reading)>, OpenError> {
    let mark_path = mark::path_of(path);
    match Mark::open(path) {
        Ok(mark) => Ok(Some(mark)),
        Err(mark::Error::Missing) => Ok(None),
        Err(mark::Error::Damaged) => {
            Err(OpenError::damaged(&mark_path, "its bytes", "its digest does not match"))
        }
        Err(mark::Error::Newer(found)) => {
            Err(OpenError::Newer { path: mark_path, found: found.into(), supported: mark::VERSION.into() })
        }
        Err(mark::Error::Io(source)) => Err(OpenError::io(&mark_path, source)),
    }
}

/// Compares a file that was closed with the digest it had then. Says whether it was closed.
fn check_seal(path: &Path, reading: Reading) -> Result<bool, OpenError> {
    let Left::Sealed { length, crc } = reading.left else { return Ok(false) };
    let found = mark::digest(path).map_err(|source| OpenError::io(path, source))?;
    if found.0 != length {
        let what = format!("it has {} bytes, but was closed with {length}", found.0);
        return Err(OpenError::damaged(path, "its end", what));
    }
    if found.1 != crc {
        return Err(OpenError::damaged(path, "some page", "it changed since it was closed"));
    }
    Ok(true)
}

fn connect(path: &Path, kind: &Kind) -> Result<Connection, OpenError> {
    let error = |source| OpenError::sqlite(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(error)?;
    let read = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(error);
    if read("application_id")? != i64::from(kind.application_id) {
        return Err(OpenError::damaged(path, "its header", format!("it is not {}", kind.what)));
    }
    match u32::try_from(read("user_version")?) {
        Ok(found) if found == kind.format => Ok(connection),
        Ok(found) if found > kind.format => {
            Err(OpenError::Newer { path: path.to_owned(), found, supported: kind.format })
        }
        _ => Err(OpenError::damaged(path, "its header", "its format does not exist")),
    }
}

/// Has SQLite look at every page of a file that was not closed.
fn check_pages(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let said: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|source| OpenError::sqlite(path, source))?;
    if said == "ok" { Ok(()) } else { Err(OpenError::damaged(path, "a page", said)) }
}

/// Opens a connection that only reads.
pub(crate) fn reader(path: &Path, cache_kib: i32) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    Ok(connection)
}

/// Runs `write` in a transaction, all or nothing.
pub(crate) fn transact<T>(
    connection: &Connection,
    write: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]).map(drop);
    run("BEGIN IMMEDIATE")?;
    let written = write(connection).and_then(|value| run("COMMIT").map(|()| value));
    // Some errors end the transaction by themselves; any other leaves it open.
    if written.is_err() && !connection.is_autocommit() {
        run("ROLLBACK")?;
    }
    written
}

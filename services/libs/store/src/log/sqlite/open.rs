//! Opening the log's file: made when there is none and should be none, refused when something is wrong with it.

use std::io;
use std::path::{Path, PathBuf};

use conductor_core::Seq;
use rusqlite::Connection;

use super::{Options, load, schema, snapshot};
use crate::log::{Fence, LogId, ReadError, Status};
use crate::mark::{self, Left, Mark, Reading};
use crate::reserve::Reserve;

/// Why the log cannot be opened.
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

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { path, place, what } => Self::Damaged { path, place, what },
            ReadError::Read { path, source } => Self::Io { path, source },
            ReadError::Closed => Self::Io { path: PathBuf::new(), source: error.into() },
        }
    }
}

/// What was opened.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) mark: Mark,
    pub(super) fence: Fence,
    pub(super) status: Status,
    pub(super) reserve: Reserve,
}

/// Opens the log in `dir`, or makes it.
pub(super) fn open(dir: &Path, path: &Path, options: &Options) -> Result<Opened, OpenError> {
    let mut reserve = Reserve::new(dir, options.reserve_bytes);
    match attempt(dir, path) {
        Err(OpenError::NoSpace { .. }) if reserve.release(0) => {
            tracing::warn!(path = %path.display(), "the disk is full; the reserve was released to start");
            attempt(dir, path)
        }
        result => result,
    }
    .map(|(connection, mark, fence, status)| {
        if let Err(error) = reserve.take(options.free_floor_bytes) {
            tracing::warn!(path = %dir.display(), %error, "failed to set the reserve aside");
        }
        Opened { connection, mark, fence, status, reserve }
    })
}

fn attempt(dir: &Path, path: &Path) -> Result<(Connection, Mark, Fence, Status), OpenError> {
    if !path.try_exists().map_err(|source| io_error(path, source))? {
        let traces = [mark::path_of(path), dir.join(crate::history::sqlite::FILE)];
        if let Some(beside) = traces.into_iter().find(|trace| trace.exists()) {
            return Err(OpenError::Missing { path: path.to_owned(), beside });
        }
        create(path)?;
    }
    let (mark, reading) = read_mark(path)?;
    let sealed = reading.map(|reading| check_seal(path, reading)).transpose()?.unwrap_or(false);
    let connection = connect(path)?;
    if !sealed {
        check_pages(path, &connection)?;
    }
    let meta = read_meta(path, &connection)?;
    let status = read_status(path, &connection, LogId(meta.log_id))?;
    let mark = match (mark, reading) {
        (Some(mark), Some(reading)) => {
            if status.last.0 < reading.seq {
                return Err(damaged(
                    path,
                    format!("event {}", status.last.next()),
                    format!("it ends there, but event {} was written", reading.seq),
                ));
            }
            mark
        }
        // The process died after it made the file and before it used it.
        _ if meta.fence == 0 && status.last == Seq(0) => {
            Mark::create(path).map_err(|source| io_error(path, source))?
        }
        _ => return Err(OpenError::Missing { path: mark::path_of(path), beside: path.to_owned() }),
    };
    mark.open_again(status.last.0).map_err(|source| io_error(mark.path(), source))?;
    let fence = Fence(meta.fence + 1);
    schema::write_meta(&connection, schema::Meta { fence: fence.0, ..meta })
        .map_err(|source| sqlite_error(path, source))?;
    Ok((connection, mark, fence, status))
}

/// Makes the file under another name first, so that a file of the right name is always whole.
fn create(path: &Path) -> Result<(), OpenError> {
    let mut log_id = [0; 16];
    getrandom::fill(&mut log_id).map_err(|source| io_error(path, io::Error::other(source)))?;
    let new = path.with_extension("new");
    for leftover in ["new", "new-wal", "new-shm"] {
        match std::fs::remove_file(path.with_extension(leftover)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(path, error)),
            _ => {}
        }
    }
    schema::create(&new, u128::from_be_bytes(log_id)).map_err(|source| sqlite_error(path, source))?;
    let directory = path.parent().expect("the file lies in a directory");
    std::fs::File::open(&new)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&new, path))
        .and_then(|()| std::fs::File::open(directory)?.sync_all())
        .map_err(|source| io_error(path, source))
}

fn read_mark(path: &Path) -> Result<(Option<Mark>, Option<Reading>), OpenError> {
    let mark_path = mark::path_of(path);
    match Mark::open(path) {
        Ok((mark, reading)) => Ok((Some(mark), Some(reading))),
        Err(mark::Error::Missing) => Ok((None, None)),
        Err(mark::Error::Damaged) => {
            Err(damaged(&mark_path, "its bytes".to_owned(), "its digest does not match".to_owned()))
        }
        Err(mark::Error::Newer(found)) => {
            Err(OpenError::Newer { path: mark_path, found: found.into(), supported: mark::VERSION.into() })
        }
        Err(mark::Error::Io(source)) => Err(io_error(&mark_path, source)),
    }
}

/// Compares a file that was closed with the digest it had then. Says whether it was closed.
fn check_seal(path: &Path, reading: Reading) -> Result<bool, OpenError> {
    let Left::Sealed { length, crc } = reading.left else { return Ok(false) };
    let found = mark::digest(path).map_err(|source| io_error(path, source))?;
    if found.0 != length {
        let what = format!("it has {} bytes, but was closed with {length}", found.0);
        return Err(damaged(path, "its end".to_owned(), what));
    }
    if found.1 != crc {
        return Err(damaged(path, "some page".to_owned(), "it changed since it was closed".to_owned()));
    }
    Ok(true)
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let version = |connection: &Connection, name: &str| -> rusqlite::Result<i64> {
        connection.pragma_query_value(None, name, |row| row.get(0))
    };
    let connection = schema::writer(path).map_err(|source| sqlite_error(path, source))?;
    let application = version(&connection, "application_id").map_err(|source| sqlite_error(path, source))?;
    if application != i64::from(schema::APPLICATION_ID) {
        return Err(damaged(path, "its header".to_owned(), "it is not an event log of Conductor".to_owned()));
    }
    let format = version(&connection, "user_version").map_err(|source| sqlite_error(path, source))?;
    match u32::try_from(format) {
        Ok(schema::FORMAT) => Ok(connection),
        Ok(found) if found > schema::FORMAT => {
            Err(OpenError::Newer { path: path.to_owned(), found, supported: schema::FORMAT })
        }
        _ => Err(damaged(path, "its header".to_owned(), format!("format {format} does not exist"))),
    }
}

/// Has SQLite look at every page of a file that was not closed.
fn check_pages(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let said: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|source| sqlite_error(path, source))?;
    if said == "ok" { Ok(()) } else { Err(damaged(path, "a page".to_owned(), said)) }
}

fn read_meta(path: &Path, connection: &Connection) -> Result<schema::Meta, OpenError> {
    let meta = schema::read_meta(connection).map_err(|source| sqlite_error(path, source))?;
    meta.ok_or_else(|| damaged(path, "table meta".to_owned(), "its digest does not match".to_owned()))
}

fn read_status(path: &Path, connection: &Connection, log: LogId) -> Result<Status, OpenError> {
    let bounds = load::bounds(connection).map_err(|source| sqlite_error(path, source))?;
    let snapshot = snapshot::newest(connection).map_err(|source| sqlite_error(path, source))?;
    let snapshot = snapshot.map(|manifest| manifest.seq);
    let held = snapshot.unwrap_or_default();
    let (first, last) = bounds.unwrap_or((held.next(), held));
    if first > held.next() || last < held {
        let what = format!("events {first} to {last} are there, but the snapshot ends with {held}");
        return Err(damaged(path, "table batches".to_owned(), what));
    }
    Ok(Status { log, first, last, snapshot })
}

fn damaged(path: &Path, place: String, what: String) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), place, what }
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    if source.kind() == io::ErrorKind::StorageFull {
        return OpenError::NoSpace { path: path.to_owned() };
    }
    OpenError::Io { path: path.to_owned(), source: source.into() }
}

fn sqlite_error(path: &Path, source: rusqlite::Error) -> OpenError {
    if super::writer::is_full(&source) {
        return OpenError::NoSpace { path: path.to_owned() };
    }
    load::read_error(path, source).into()
}

//! Making and opening a database.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::mark::{self, Digest, Mark, Reading};
use super::wal::{self, Wal};
use super::{Database, Fault};

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
    /// It is not there, because what it held was moved to a Redis, or always was in one.
    #[error(
        "{path} is missing, but {mark} is there: the event log is in Redis; set storage.event_log to redis, or move \
             the log back with conductor migrate sqlite"
    )]
    InRedis {
        /// The file.
        path: PathBuf,
        /// What shows where the log is.
        mark: PathBuf,
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

/// A database that was opened and checked, but for what is in it.
pub(crate) struct Checked {
    pub(crate) connection: Connection,
    /// Whether every byte of the file is what was written. If not, its pages fit together, and that is all that is known.
    pub(crate) is_known: bool,
    path: PathBuf,
    file: File,
    /// Its mark and what it said; none for a file that was made and never used.
    mark: Option<(Mark, Reading)>,
}

impl Checked {
    /// Compares where the database ends with its mark. One without a mark must be `unused`: its process died after it
    /// made the file and before it used it.
    pub(crate) fn ends_with(self, last: u64, unused: bool) -> Result<Database, OpenError> {
        let Self { connection, path, file, mark, .. } = self;
        let (mark, reading) = match mark {
            Some((mark, reading)) if last >= reading.seq => (mark, reading),
            Some((_, reading)) => {
                let what = format!("it ends with event {last}, but event {} was written", reading.seq);
                return Err(OpenError::damaged(&path, "its end", what));
            }
            None if unused => {
                let error = |source| OpenError::io(&path, source);
                let digest = Digest::of(&file).map_err(error)?;
                let reading = Reading { file: Some(digest), ..Reading::default() };
                (Mark::create(&path, reading).map_err(error)?, reading)
            }
            None => return Err(OpenError::Missing { path: mark::path_of(&path), beside: path }),
        };
        Ok(Database { connection, path, file, mark, reading, wal: None })
    }
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

/// Opens a file that exists and checks it: every byte of it where its digest is known, else page by page.
pub(crate) fn open(path: &Path, kind: &Kind) -> Result<Checked, OpenError> {
    let mark = read_mark(path)?;
    let file = File::open(path).map_err(|source| OpenError::io(path, source))?;
    let mut is_known = false;
    if let Some((_, reading)) = &mark {
        check_wal(path, reading.wal)?;
        if let Some(digest) = reading.file {
            check_file(path, &file, digest)?;
            is_known = true;
        }
    }
    let connection = connect(path, kind)?;
    if !is_known {
        check_pages(path, &connection)?;
    }
    Ok(Checked { connection, is_known, path: path.to_owned(), file, mark })
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

/// Compares a file with the digest that it had.
fn check_file(path: &Path, file: &File, digest: Digest) -> Result<(), OpenError> {
    let found = Digest::of(file).map_err(|source| OpenError::io(path, source))?;
    if found.length != digest.length {
        let what = format!("it has {} bytes, but {} were written", found.length, digest.length);
        return Err(OpenError::damaged(path, "its end", what));
    }
    if found.crc != digest.crc {
        return Err(OpenError::damaged(path, "some page", "it is not what was written"));
    }
    Ok(())
}

/// Compares the write-ahead log with how far it went. One that was begun anew since then was moved into the file before.
fn check_wal(path: &Path, end: Option<wal::End>) -> Result<(), OpenError> {
    let wal_path = wal::path_of(path);
    let found = wal::read(path).map_err(|source| OpenError::io(&wal_path, source))?;
    match (found, end) {
        (Wal::Damaged, _) => Err(OpenError::damaged(&wal_path, "its header", "its digest does not match")),
        (Wal::Empty, Some(_)) => Err(OpenError::Missing { path: wal_path, beside: path.to_owned() }),
        (Wal::Valid(found), Some(end)) if found.salt == end.salt && found.frames < end.frames => {
            let place = format!("frame {}", found.frames + 1);
            let what = format!("{} frames were written, and those from there on do not check", end.frames);
            Err(OpenError::damaged(&wal_path, place, what))
        }
        (Wal::Valid(_), Some(_)) | (Wal::Empty | Wal::Valid(_), None) => Ok(()),
    }
}

pub(super) fn connect(path: &Path, kind: &Kind) -> Result<Connection, OpenError> {
    let error = |source| OpenError::sqlite(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(error)?;
    // Whoever closes it says so; a connection that is dropped leaves everything as it is.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(error)?;
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
pub(super) fn check_pages(path: &Path, connection: &Connection) -> Result<(), OpenError> {
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

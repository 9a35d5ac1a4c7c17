//! Copies of a database: made while others use it, and made a database of their own.

use std::fs::File;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::mark::{self, Digest, Mark, Reading};
use super::open::{check_pages, connect};
use super::{Kind, OpenError};

/// How often a mark is read again that does not check.
const MARK_TRIES: usize = 8;

/// Copies a database as it is at one moment to a file that is not there yet. Its owner goes on writing meanwhile.
pub(crate) fn copy(path: &Path, to: &Path) -> Result<(), OpenError> {
    let error = |source| OpenError::sqlite(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(error)?;
    // Whoever owns the file moves its pages, also when that one does not run now.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(error)?;
    connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map_err(error)?;
    File::open(to).and_then(|file| file.sync_all()).map_err(|source| OpenError::io(to, source))
}

/// The last event that the mark beside a database knows to be durable.
pub(crate) fn written(path: &Path) -> Result<u64, OpenError> {
    let mut found = Mark::open(path);
    // Its owner may be writing it just now.
    for _ in 0..MARK_TRIES {
        if !matches!(found, Err(mark::Error::Damaged)) {
            break;
        }
        found = Mark::open(path);
    }
    match found {
        Ok((_, reading)) => Ok(reading.seq),
        Err(mark::Error::Missing) => Ok(0),
        Err(mark::Error::Damaged) => {
            Err(OpenError::damaged(&mark::path_of(path), "its bytes", "its digest does not match"))
        }
        Err(mark::Error::Newer(found)) => Err(OpenError::Newer {
            path: mark::path_of(path),
            found: found.into(),
            supported: mark::VERSION.into(),
        }),
        Err(mark::Error::Io(source)) => Err(OpenError::io(&mark::path_of(path), source)),
    }
}

/// Opens a copy and looks at every page of it.
pub(crate) fn check_copy(path: &Path, kind: &Kind) -> Result<Connection, OpenError> {
    let connection = connect(path, kind)?;
    check_pages(path, &connection)?;
    Ok(connection)
}

/// Changes a copy and writes the mark with which it is opened as a database that ends with the event `last`.
pub(crate) fn adopt(
    path: &Path,
    last: u64,
    change: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), OpenError> {
    let error = |source| OpenError::sqlite(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(error)?;
    change(&connection).map_err(error)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(error)?;
    // Closing the only connection moves everything into the file.
    connection.close().map_err(|(_, source)| error(source))?;
    let noted = File::open(path).and_then(|file| {
        file.sync_all()?;
        Mark::create(path, Reading { seq: last, wal: None, file: Some(Digest::of(&file)?) })
    });
    noted.map(drop).map_err(|source| OpenError::io(path, source))
}

//! Copies of the log's file: made while somebody writes it, checked row by row, and taken over under another name.

use std::path::Path;

use rusqlite::Connection;

use super::{load, open, schema, scrub};
use crate::database::{self, OpenError};
use crate::log::{LogId, ReadError, Status};

/// Reads a copy through: every page, and the digest of every row.
///
/// # Errors
/// Says what is damaged, and where.
pub(crate) fn check(path: &Path) -> Result<Status, OpenError> {
    let error = |source| OpenError::sqlite(path, source);
    let unread = |unread: ReadError| match unread {
        ReadError::Damaged { path, place, what } => OpenError::Damaged { path, place, what },
        ReadError::Read { path, source } => OpenError::Io { path, source },
        ReadError::Closed => OpenError::damaged(path, "its rows", "it was closed meanwhile"),
    };
    let connection = database::check_copy(path, &schema::KIND)?;
    let status = status(path, &connection)?;
    scrub::rows(&connection, status)
        .map_err(error)?
        .map_err(|bad| OpenError::damaged(path, bad.place, bad.what))?;
    let stored = load::begin(path, connection, status.last).map_err(unread)?;
    for part in stored.snapshot.into_iter().flat_map(|(_, parts)| parts) {
        part.map_err(unread)?;
    }
    for stretch in stored.tail {
        stretch.map_err(unread)?;
    }
    Ok(status)
}

fn status(path: &Path, connection: &Connection) -> Result<Status, OpenError> {
    let meta = schema::read_meta(connection)
        .map_err(|source| OpenError::sqlite(path, source))?
        .ok_or_else(|| OpenError::damaged(path, "table meta", "its digest does not match"))?;
    open::read_status(path, connection, LogId(meta.log_id))
}

/// Makes a copy the log `log`, with the mark that an opening wants to see.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn adopt(path: &Path, log: LogId) -> Result<(), OpenError> {
    let last = status(path, &database::check_copy(path, &schema::KIND)?)?.last;
    database::adopt(path, last.0, |connection| {
        // It was checked a moment ago.
        let meta = schema::read_meta(connection)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        schema::write_meta(connection, schema::Meta { log_id: log.0, ..meta })
    })
}

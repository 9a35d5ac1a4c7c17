//! Copies of the history's file: checked, and taken over with the log that they follow.

use std::path::Path;

use conductor_core::Seq;
use rusqlite::Connection;

use super::schema;
use crate::database::{self, OpenError};
use crate::log::LogId;

/// Looks at every page of a copy, and answers which log it follows and how far it got.
///
/// # Errors
/// Says what is damaged.
pub(crate) fn check(path: &Path) -> Result<(Option<LogId>, Seq), OpenError> {
    let connection = database::check_copy(path, &schema::KIND)?;
    progress(&connection).map_err(|source| OpenError::sqlite(path, source))
}

/// How far a file got that somebody else may write.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn followed(path: &Path) -> Result<Seq, OpenError> {
    let error = |source| OpenError::sqlite(path, source);
    let connection = database::reader(path, schema::READER_CACHE_KIB).map_err(error)?;
    connection
        .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(error)?;
    progress(&connection).map(|(_, applied)| applied).map_err(error)
}

/// Which log a file follows, and how far it got.
pub(crate) fn progress(connection: &Connection) -> rusqlite::Result<(Option<LogId>, Seq)> {
    connection.query_row("SELECT log_id, applied FROM progress WHERE id = 0", [], |row| {
        let log = row.get::<_, Option<[u8; 16]>>(0)?.map(|id| LogId(u128::from_be_bytes(id)));
        Ok((log, Seq(row.get::<_, i64>(1)?.cast_unsigned())))
    })
}

/// Lets a copy follow the log `log`, with the mark that an opening wants to see.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn adopt(path: &Path, log: LogId) -> Result<(), OpenError> {
    let (_, applied) = check(path)?;
    database::adopt(path, applied.0, |connection| {
        connection
            .execute("UPDATE progress SET log_id = ?1 WHERE log_id IS NOT NULL", [log.0.to_be_bytes()])
            .map(drop)
    })
}

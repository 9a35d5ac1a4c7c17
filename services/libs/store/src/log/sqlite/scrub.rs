//! Looking at every row of a file whose digest is not known: a process was killed, and the file is large.
//!
//! What is loaded at a start is checked by the one who loads it. Here is what is not: the events that are older than the
//! snapshot, and the payloads.

use rusqlite::Connection;

use super::row::{self, BATCH_COLUMNS};
use crate::log::ahead::Bad;
use crate::log::{Status, digest};

/// Checks the digest of every row that a start does not load.
pub(super) fn rows(connection: &Connection, status: Status) -> rusqlite::Result<Result<(), Bad>> {
    match older_batches(connection, status)? {
        Ok(()) => payloads(connection),
        Err(bad) => Ok(Err(bad)),
    }
}

fn older_batches(connection: &Connection, status: Status) -> rusqlite::Result<Result<(), Bad>> {
    let snapshot = status.snapshot.unwrap_or_default();
    let mut select = connection
        .prepare(&format!("SELECT {BATCH_COLUMNS} FROM batches WHERE first_seq <= ?1 ORDER BY first_seq"))?;
    let mut rows = select.query([snapshot.0.cast_signed()])?;
    let mut next = status.first;
    while let Some(row) = rows.next()? {
        match row::check_batch(row)? {
            Ok((first, last)) if first == next => next = last.next(),
            Ok(_) => return Ok(Err(Bad::missing(next))),
            Err(bad) => return Ok(Err(bad)),
        }
    }
    Ok(if next > snapshot { Ok(()) } else { Err(Bad::missing(next)) })
}

fn payloads(connection: &Connection) -> rusqlite::Result<Result<(), Bad>> {
    let mut select = connection.prepare("SELECT key, crc, body FROM payloads ORDER BY key")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let key: [u8; 16] = row.get(0)?;
        let crc: u32 = row.get(1)?;
        if digest::payload(&key, row.get_ref(2)?.as_blob()?) != crc {
            return Ok(Err(row::bad_payload(u128::from_be_bytes(key))));
        }
    }
    Ok(Ok(()))
}

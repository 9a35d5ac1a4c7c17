//! Making the log's file from a state.

use std::path::Path;

use conductor_core::Part;
use rusqlite::Connection;

use super::{FILE, OpenError, row, schema};
use crate::database;
use crate::log::chunks::Chunk;
use crate::log::transfer::{Counts, Error, Image, Sink, pour};
use crate::log::{Payload, ReadError};

/// Makes the log's file in a directory where there is none, from a state and its payloads.
///
/// # Errors
/// Nothing of the right name is there then.
pub fn make(
    dir: &Path,
    image: Image,
    parts: &mut dyn Iterator<Item = Part>,
    payloads: &mut dyn Iterator<Item = Result<Payload, ReadError>>,
) -> Result<Counts, Error> {
    let path = dir.join(FILE);
    if path.exists() {
        return Err(Error::Taken(path));
    }
    let mut poured = None;
    let created = database::create(&path, &schema::KIND, |connection| {
        schema::write_meta(connection, schema::Meta { log_id: image.log.0, fence: image.fence.0.max(1) })?;
        let mut rows = Rows { connection, path: &path, seq: image.seq.0.cast_signed() };
        let done = poured.insert(pour(image.seq, parts, payloads, &mut rows));
        // Why is told below.
        let (sum, _) = done.as_ref().map_err(|_| rusqlite::Error::ExecuteReturnedResults)?;
        connection
            .execute(
                "INSERT INTO snapshots (seq, chunks, crc) VALUES (?1, ?2, ?3)",
                (rows.seq, sum.chunks, sum.crc),
            )
            .map(drop)
    });
    let (_, counts) = poured.transpose()?.unwrap_or_default();
    created?;
    database::adopt(&path, image.seq.0, |_| Ok(()))?;
    Ok(counts)
}

struct Rows<'a> {
    connection: &'a Connection,
    path: &'a Path,
    seq: i64,
}

impl Sink for Rows<'_> {
    fn chunk(&mut self, chunk: Chunk) -> Result<(), Error> {
        let written = self
            .connection
            .prepare_cached("INSERT INTO chunks (seq, number, crc, body) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| {
                insert.execute((self.seq, chunk.number, chunk.crc, chunk.body.as_slice()))
            });
        written.map(drop).map_err(|error| OpenError::sqlite(self.path, error).into())
    }

    fn payload(&mut self, payload: Payload) -> Result<(), Error> {
        row::write_payloads(self.connection, std::slice::from_ref(&payload))
            .map_err(|error| OpenError::sqlite(self.path, error).into())
    }
}

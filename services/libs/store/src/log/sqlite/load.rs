//! Reading batches, for whoever loads and for whoever follows.

use std::path::{Path, PathBuf};

use conductor_core::{Part, Seq};
use rusqlite::Connection;

use super::row::{self, BATCH_COLUMNS};
use super::snapshot;
use crate::database::Fault;
use crate::log::ahead::{self, Bad, Manifest, STRETCH_EVENTS};
use crate::log::{ReadError, Stored, Stretch};
use crate::record::Decoder;

/// Begins to load what a file holds up to the event `last`.
pub(super) fn begin(path: &Path, connection: Connection, last: Seq) -> Result<Stored, ReadError> {
    let newest = snapshot::newest(&connection).map_err(|error| read_error(path, error))?;
    let source = Source { path: path.to_owned(), connection, decoder: Decoder::default() };
    ahead::begin(path, newest, last, move || Ok(source))
}

struct Source {
    path: PathBuf,
    connection: Connection,
    decoder: Decoder,
}

impl ahead::Source for Source {
    fn chunk(&mut self, manifest: Manifest, number: u32) -> Result<(u32, Vec<Part>), ReadError> {
        let chunk = snapshot::read_chunk(&self.connection, manifest, number, &mut self.decoder);
        checked(&self.path, chunk)
    }

    fn stretch(&mut self, next: Seq) -> Result<Option<Stretch>, ReadError> {
        checked(&self.path, read_stretch(&self.connection, next, STRETCH_EVENTS, &mut self.decoder))
    }
}

/// Reads the events from `next` on, batch by batch until there are `enough`; none when there are none.
fn read_stretch(
    connection: &Connection,
    next: Seq,
    enough: usize,
    decoder: &mut Decoder,
) -> rusqlite::Result<Result<Option<Stretch>, Bad>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {BATCH_COLUMNS} FROM batches WHERE first_seq >= \
         coalesce((SELECT max(first_seq) FROM batches WHERE first_seq <= ?1), ?1) ORDER BY first_seq"
    ))?;
    let mut rows = select.query([next.0.cast_signed()])?;
    let mut stretch: Option<Stretch> = None;
    while let Some(row) = rows.next()? {
        let batch = match row::read_batch(row, decoder)? {
            Ok(batch) => batch,
            Err(bad) => return Ok(Err(bad)),
        };
        match &mut stretch {
            None => stretch = batch.from(next),
            Some(stretch) if batch.first == stretch.last().next() => stretch.events.extend(batch.events),
            Some(stretch) => {
                return Ok(Err(Bad::missing(stretch.last().next())));
            }
        }
        if stretch.as_ref().is_some_and(|stretch| stretch.events.len() >= enough) {
            break;
        }
    }
    Ok(Ok(stretch))
}

/// Reads at most `max_events` durable events after `after`; none when there are none.
pub(super) fn read_after(
    connection: &Connection,
    after: Seq,
    max_events: usize,
) -> rusqlite::Result<Result<Option<Stretch>, Bad>> {
    let found = read_stretch(connection, after.next(), max_events, &mut Decoder::default())?;
    Ok(found.map(|stretch| {
        stretch.map(|mut stretch| {
            stretch.events.truncate(max_events);
            stretch
        })
    }))
}

/// Names the file with what is wrong in it.
pub(super) fn checked<T>(path: &Path, found: rusqlite::Result<Result<T, Bad>>) -> Result<T, ReadError> {
    match found {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(bad)) => Err(bad.at(path)),
        Err(error) => Err(read_error(path, error)),
    }
}

/// Tells damage that SQLite found from a disk that fails.
pub(super) fn read_error(path: &Path, error: rusqlite::Error) -> ReadError {
    match Fault::of(&error) {
        Fault::Damaged(place) => Bad { place: place.to_owned(), what: error.to_string() }.at(path),
        Fault::Full | Fault::Other => ReadError::Read { path: path.to_owned(), source: error.into() },
    }
}

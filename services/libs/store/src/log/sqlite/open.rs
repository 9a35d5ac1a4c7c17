//! Opening the log's file: made when there is none and should be none, refused when something is wrong with it.

use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::{Options, row, schema, scrub, snapshot};
use crate::database::{self, Database, OpenError};
use crate::log::{Fence, LogId, Status};
use crate::reserve::{self, Reserve};

/// Room that a start makes for itself when it finds less.
const START_ROOM_BYTES: u64 = 1 << 20;

/// What was opened.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) fence: Fence,
    pub(super) status: Status,
    pub(super) reserve: Reserve,
}

/// Opens the log in `dir`, or makes it.
pub(super) fn open(dir: &Path, path: &Path, options: &Options) -> Result<Opened, OpenError> {
    let mut reserve = Reserve::new(dir, options.reserve_bytes);
    let mut opened = attempt(dir, path);
    while matches!(opened, Err(OpenError::NoSpace { .. })) && reserve.release_half() {
        opened = attempt(dir, path);
    }
    let (database, fence, status) = opened?;
    // Others open files beside this one, and what ran while nobody was here has to be noted.
    let free = reserve::free_bytes(dir).map_err(|source| OpenError::io(dir, source))?;
    if free < START_ROOM_BYTES && reserve.release_half() {
        tracing::warn!(path = %dir.display(), free, "the disk is full; some of the reserve was released to start");
    }
    if let Err(error) = reserve.take(options.free_floor_bytes) {
        tracing::warn!(path = %dir.display(), %error, "failed to set the reserve aside");
    }
    Ok(Opened { database, fence, status, reserve })
}

fn attempt(dir: &Path, path: &Path) -> Result<(Database, Fence, Status), OpenError> {
    if !path.try_exists().map_err(|source| OpenError::io(path, source))? {
        let traces = [database::mark_path(path), dir.join(crate::history::sqlite::FILE)];
        if let Some(beside) = traces.into_iter().find(|trace| trace.exists()) {
            let mark = dir.join(crate::log::redis::MARK_FILE);
            return Err(match mark.exists() {
                true => OpenError::InRedis { path: path.to_owned(), mark },
                false => OpenError::Missing { path: path.to_owned(), beside },
            });
        }
        create(path)?;
    }
    let error = |source| OpenError::sqlite(path, source);
    let checked = database::open(path, &schema::KIND)?;
    schema::set_up(&checked.connection).map_err(error)?;
    let meta = schema::read_meta(&checked.connection)
        .map_err(error)?
        .ok_or_else(|| OpenError::damaged(path, "table meta", "its digest does not match"))?;
    let status = read_status(path, &checked.connection, LogId(meta.log_id))?;
    if !checked.is_known {
        scrub::rows(&checked.connection, status)
            .map_err(error)?
            .map_err(|bad| OpenError::damaged(path, bad.place, bad.what))?;
    }
    let mut database = checked.ends_with(status.last.0, meta.fence == 0)?;
    let fence = Fence(meta.fence + 1);
    database
        .transact(|connection| schema::write_meta(connection, schema::Meta { fence: fence.0, ..meta }))
        .map_err(error)?;
    database.note(status.last.0);
    Ok((database, fence, status))
}

fn create(path: &Path) -> Result<(), OpenError> {
    let mut log_id = [0; 16];
    getrandom::fill(&mut log_id).map_err(|source| OpenError::io(path, io::Error::other(source)))?;
    let meta = schema::Meta { log_id: u128::from_be_bytes(log_id), fence: 0 };
    database::create(path, &schema::KIND, |connection| schema::write_meta(connection, meta))
}

pub(super) fn read_status(path: &Path, connection: &Connection, log: LogId) -> Result<Status, OpenError> {
    let error = |source| OpenError::sqlite(path, source);
    let bounds = row::bounds(connection).map_err(error)?;
    let snapshot = snapshot::newest(connection).map_err(error)?.map(|manifest| manifest.seq);
    let held = snapshot.unwrap_or_default();
    let (first, last) = bounds.unwrap_or((held.next(), held));
    if first > held.next() || last < held {
        let what = format!("events {first} to {last} are there, but the snapshot ends with {held}");
        return Err(OpenError::damaged(path, "table batches", what));
    }
    Ok(Status { log, first, last, snapshot })
}

//! How events and snapshot parts are written down.
//!
//! The records mirror the core's types one by one and are types of their own, so that the core may change without
//! touching what lies on disks. A stretch of events or a chunk of parts is a byte for the version and then the records in
//! postcard, one after the other. A change to a record makes a new version: the old types stay beside the new ones and
//! are still read, and `fixtures/` keeps a sample of each kind in each version.

mod access;
mod actor;
mod agent;
mod context;
mod delivery;
mod event;
#[cfg(test)]
mod fixtures;
mod history;
mod id;
mod mirror;
mod part;
mod task;

use conductor_core::{Event, Part};

use crate::history::{AuditRecord, TaskRecord};
use context::Context;
use mirror::Mirror;

/// The version that is written.
pub const VERSION: u8 = 1;

/// Why bytes are not records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is not even a version.
    #[error("nothing is there")]
    Empty,
    /// A release wrote it that this one does not know.
    #[error("record version {0} is not known")]
    Version(u8),
    /// The bytes do not read as a record.
    #[error("record {index} does not read: {reason}")]
    Malformed {
        /// Which, from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There are fewer or more records than there should be.
    #[error("{left} bytes are left after {count} records")]
    Trailing {
        /// How many were read.
        count: usize,
        /// How many bytes follow.
        left: usize,
    },
}

/// Appends `events` to `out`, which gets a version byte first.
pub fn encode_events(events: &[Event], out: &mut Vec<u8>) {
    out.push(VERSION);
    for event in events {
        append(event, out);
    }
}

/// Begins a chunk of parts in `out`.
pub fn begin_parts(out: &mut Vec<u8>) {
    out.push(VERSION);
}

/// Appends a part to a chunk that was begun.
pub fn encode_part(part: &Part, out: &mut Vec<u8>) {
    append(part, out);
}

fn append<'a, T: Mirror<'a>>(value: &'a T, out: &mut Vec<u8>) {
    let buffer = std::mem::take(out);
    *out = postcard::to_extend(&value.to_record(), buffer)
        .expect("records have no type that postcard cannot write, and a vector grows");
}

/// Writes a task as History keeps it, with its version.
pub(crate) fn encode_task(task: &TaskRecord) -> Vec<u8> {
    let mut out = vec![VERSION];
    append(task, &mut out);
    out
}

/// Writes an audit record, with its version.
pub(crate) fn encode_audit(audit: &AuditRecord) -> Vec<u8> {
    let mut out = vec![VERSION];
    append(audit, &mut out);
    out
}

/// Reads records. It keeps the names and actors that it met, so that equal ones share their memory.
#[derive(Debug, Default)]
pub struct Decoder {
    context: Context,
}

impl Decoder {
    /// Reads `count` events.
    ///
    /// # Errors
    /// Says what does not read.
    pub fn events(&mut self, bytes: &[u8], count: usize) -> Result<Vec<Event>, Error> {
        let mut rest = version_1(bytes)?;
        // A wrong count must not reserve more than the bytes can hold.
        let mut events = Vec::with_capacity(count.min(rest.len()));
        for index in 0..count {
            let event;
            (event, rest) = self.take(rest, index)?;
            events.push(event);
        }
        if rest.is_empty() { Ok(events) } else { Err(Error::Trailing { count, left: rest.len() }) }
    }

    /// Reads all parts of a chunk.
    ///
    /// # Errors
    /// Says what does not read.
    pub fn parts(&mut self, bytes: &[u8]) -> Result<Vec<Part>, Error> {
        let mut rest = version_1(bytes)?;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let part;
            (part, rest) = self.take(rest, parts.len())?;
            parts.push(part);
        }
        Ok(parts)
    }

    /// Reads a task as History keeps it.
    pub(crate) fn task(&mut self, bytes: &[u8]) -> Result<TaskRecord, Error> {
        self.one(bytes)
    }

    /// Reads an audit record.
    pub(crate) fn audit(&mut self, bytes: &[u8]) -> Result<AuditRecord, Error> {
        self.one(bytes)
    }

    fn one<'a, T: Mirror<'a>>(&mut self, bytes: &'a [u8]) -> Result<T, Error> {
        let (value, rest) = self.take(version_1(bytes)?, 0)?;
        if rest.is_empty() { Ok(value) } else { Err(Error::Trailing { count: 1, left: rest.len() }) }
    }

    fn take<'a, T: Mirror<'a>>(&mut self, bytes: &'a [u8], index: usize) -> Result<(T, &'a [u8]), Error> {
        let malformed = |reason: String| Error::Malformed { index, reason };
        let (record, rest) =
            postcard::take_from_bytes::<T::Record>(bytes).map_err(|error| malformed(error.to_string()))?;
        let value =
            T::from_record(record, &mut self.context).map_err(|error| malformed(error.to_string()))?;
        Ok((value, rest))
    }
}

/// Takes the version off and checks it.
fn version_1(bytes: &[u8]) -> Result<&[u8], Error> {
    match bytes.split_first() {
        None => Err(Error::Empty),
        Some((&VERSION, rest)) => Ok(rest),
        Some((&version, _)) => Err(Error::Version(version)),
    }
}

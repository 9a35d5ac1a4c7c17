//! Looking at a log in Redis that somebody else may lead on: it is read, and neither lease nor fence is touched.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conductor_core::Seq;
use redis::{Cmd, FromRedisValue};

use super::address::Address;
use super::keys::Keys;
use super::load::{self, Source};
use super::reads::RESPONSE;
use super::wire::Wire;
use super::{OpenError, Options, row};
use crate::log::ahead::{self, Manifest};
use crate::log::{
    Appended, Batch, Done, EventLog, Fence, LogId, PayloadKey, Payloads, Read, ReadError, SnapshotError,
    SnapshotWriter, Space, Status, Stored,
};

/// The id, the first event, the last, that of the snapshot, and the fence.
type Meta = (Option<String>, Option<u64>, Option<u64>, Option<u64>, Option<u64>);

/// A log that is looked at. Its methods block, on threads that no async runtime is on.
pub(super) struct View {
    wire: Mutex<Wire>,
    address: Address,
    keys: Keys,
    /// As it was when it was looked up.
    status: Status,
    fence: Fence,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("address", &self.address.shown()).finish_non_exhaustive()
    }
}

/// Looks a log up.
pub(super) fn look(options: &Options) -> Result<View, OpenError> {
    let address = Address::parse(&options.url)?;
    let io = |source| OpenError::Io { path: address.shown().to_owned(), source };
    let mut wire = Wire::new(address.clone(), Some(RESPONSE)).map_err(io)?;
    let keys = Keys::new(&options.prefix);
    let mut command = redis::cmd("HMGET");
    command.arg(&keys.meta).arg(&["log", "first", "last", "snapshot", "fence"]);
    let found: Meta = wire.query(&command).map_err(|source| address.failed(source))?;
    let (Some(log), Some(first), Some(last), snapshot, Some(fence)) = found else {
        return Err(OpenError::Missing { address: address.shown().into(), beside: keys.meta.into() });
    };
    let log = u128::from_str_radix(&log, 16).map_err(|error| OpenError::Damaged {
        address: address.shown().to_owned(),
        place: keys.meta.clone(),
        what: error.to_string(),
    })?;
    let status = Status { log: LogId(log), first: Seq(first), last: Seq(last), snapshot: snapshot.map(Seq) };
    Ok(View { wire: Mutex::new(wire), address, keys, status, fence: Fence(fence) })
}

impl View {
    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, ReadError> {
        self.wire().query(command).map_err(|error| load::read_error(self.address.shown(), error))
    }
}

impl Payloads for View {
    fn visit_payloads(
        &self,
        keys: &[PayloadKey],
        visit: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), ReadError> {
        let at = (&*self.keys.payloads, self.address.shown());
        row::visit_payloads(at, keys, |command| self.ask(&command), visit)
    }
}

impl EventLog for View {
    fn append(&self, _: Arc<Batch>, done: Done) {
        done(Appended::Fenced);
    }

    fn fence(&self) -> Fence {
        self.fence
    }

    fn status(&self) -> Status {
        self.status
    }

    fn load(&self) -> Result<Stored, ReadError> {
        let mut command = redis::cmd("HMGET");
        command.arg(&self.keys.meta).arg(&["snapshot", "chunks", "crc", "slot"]);
        let found: (Option<u64>, Option<u32>, Option<u32>, Option<usize>) = self.ask(&command)?;
        let newest = match found {
            (Some(seq), Some(chunks), Some(crc), Some(slot @ (0 | 1))) => {
                Some((Manifest { seq: Seq(seq), chunks, crc }, slot))
            }
            _ => None,
        };
        let (address, keys) = (self.address.clone(), self.keys.clone());
        let slot = newest.map_or(0, |(_, slot)| slot);
        let manifest = newest.map(|(manifest, _)| manifest);
        let path = self.address.shown();
        ahead::begin(path, manifest, self.status.last, move || Source::open(address, keys, slot))
    }

    fn read_after(&self, _: Seq, _: usize) -> Result<Read, ReadError> {
        Err(ReadError::Closed)
    }

    fn begin_snapshot(&self, _: Seq) -> Result<Box<dyn SnapshotWriter>, SnapshotError> {
        Err(SnapshotError::Closed)
    }

    fn trim(&self, _: Seq) -> Result<Seq, SnapshotError> {
        Err(SnapshotError::Closed)
    }

    fn space(&self) -> Result<Space, ReadError> {
        Err(ReadError::Closed)
    }

    fn close(&self) {}
}

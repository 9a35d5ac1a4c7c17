//! Reading batches and snapshots, for whoever loads and for whoever follows.

use std::path::Path;

use conductor_core::{Part, Seq};
use redis::Cmd;

use super::address::Address;
use super::keys::Keys;
use super::row::{self, Entry};
use super::wire::Wire;
use crate::log::ahead::{self, Bad, Manifest, STRETCH_EVENTS};
use crate::log::{ReadError, Stretch, digest};
use crate::record::Decoder;

/// Batches that are read together.
pub(super) const BATCHES_AT_ONCE: usize = 128;

/// Where a log is loaded from, by a connection of its own that waits for as long as an answer takes.
pub(super) struct Source {
    wire: Wire,
    address: Address,
    keys: Keys,
    slot: usize,
    decoder: Decoder,
}

impl Source {
    /// Opens one on the thread that calls, for the snapshot in this slot.
    pub(super) fn open(address: Address, keys: Keys, slot: usize) -> Result<Self, ReadError> {
        let path = address.shown().to_owned();
        let wire = Wire::new(address.clone(), None)
            .map_err(|source| ReadError::Read { path, source: source.into() })?;
        Ok(Self { wire, address, keys, slot, decoder: Decoder::default() })
    }

    fn failed(&self, error: redis::RedisError) -> ReadError {
        read_error(self.address.shown(), error)
    }
}

impl ahead::Source for Source {
    fn chunk(&mut self, manifest: Manifest, number: u32) -> Result<(u32, Vec<Part>), ReadError> {
        let path = self.address.shown().to_owned();
        let bad = |what: String| {
            Bad { place: format!("chunk {number} of snapshot {}", manifest.seq), what }.at(&path)
        };
        let found: Option<Vec<u8>> = self
            .wire
            .query(redis::cmd("HGET").arg(&self.keys.snapshots[self.slot]).arg(number))
            .map_err(|error| self.failed(error))?;
        let value = found.ok_or_else(|| bad("it is missing".to_owned()))?;
        let (crc, body) = row::split_digest(&value)
            .filter(|(crc, body)| digest::chunk(manifest.seq, number, body) == *crc)
            .ok_or_else(|| bad("its digest does not match".to_owned()))?;
        let parts = self.decoder.parts(body).map_err(|error| bad(error.to_string()))?;
        Ok((crc, parts))
    }

    fn stretch(&mut self, next: Seq) -> Result<Option<Stretch>, ReadError> {
        let mut joined = Joined::new(next, STRETCH_EVENTS);
        loop {
            let entries: Vec<Entry> =
                self.wire.query(&joined.ask(&self.keys)).map_err(|error| self.failed(error))?;
            let went_on = joined.add(&entries, &mut self.decoder);
            if !went_on.map_err(|bad| bad.at(self.address.shown()))? {
                return Ok(joined.stretch);
            }
        }
    }
}

/// Batches that are joined to one stretch.
#[derive(Debug)]
pub(super) struct Joined {
    next: Seq,
    enough: usize,
    pub(super) stretch: Option<Stretch>,
}

impl Joined {
    /// Begins with the event `next`, until there are `enough`.
    pub(super) fn new(next: Seq, enough: usize) -> Self {
        Self { next, enough, stretch: None }
    }

    /// Asks for the next batches.
    pub(super) fn ask(&self, keys: &Keys) -> Cmd {
        let next = self.stretch.as_ref().map_or(self.next, |stretch| stretch.last().next());
        let mut command = redis::cmd("XRANGE");
        let count = BATCHES_AT_ONCE.min(self.enough.max(1));
        command.arg(&keys.events).arg(next.0).arg("+").arg("COUNT").arg(count);
        command
    }

    /// Takes in what was found; says whether there may be more to ask for.
    pub(super) fn add(&mut self, entries: &[Entry], decoder: &mut Decoder) -> Result<bool, Bad> {
        for entry in entries {
            let batch = entry.read(decoder)?;
            match &mut self.stretch {
                None => self.stretch = batch.from(self.next),
                Some(stretch) if batch.first == stretch.last().next() => stretch.events.extend(batch.events),
                Some(stretch) => return Err(Bad::missing(stretch.last().next())),
            }
            if self.stretch.as_ref().is_some_and(|stretch| stretch.events.len() >= self.enough) {
                return Ok(false);
            }
        }
        Ok(entries.len() >= BATCHES_AT_ONCE)
    }
}

/// Names the server with why it cannot be read.
pub(super) fn read_error(path: &Path, error: redis::RedisError) -> ReadError {
    ReadError::Read { path: path.to_owned(), source: error.into() }
}

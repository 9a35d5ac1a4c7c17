//! Making the log in Redis from a state. Its meta key is written last: without it nothing there counts as a log.

use conductor_core::Part;
use redis::{Cmd, FromRedisValue};

use super::address::Address;
use super::keys::Keys;
use super::open::FORMAT;
use super::reads::RESPONSE;
use super::wire::Wire;
use super::{OpenError, Options, row, server};
use crate::log::chunks::Chunk;
use crate::log::transfer::{Counts, Error, Image, Sink, pour};
use crate::log::{Payload, ReadError};

/// The format that a log has which was moved away.
const MOVED: &str = "moved away";
/// Bytes of payloads that are written together.
const MAX_TOGETHER_BYTES: usize = 1 << 20;
/// Payloads that are written together.
const MAX_TOGETHER: usize = 512;

/// Makes the log.
pub(super) fn make(
    options: &Options,
    image: Image,
    parts: &mut (dyn Iterator<Item = Part> + Send),
    payloads: &mut (dyn Iterator<Item = Result<Payload, ReadError>> + Send),
) -> Result<Counts, Error> {
    on_a_thread(options, |hashes| {
        server::check(&mut hashes.wire, &hashes.address, options.require_fsync)?;
        let keys = hashes.keys.clone();
        let there: u64 = hashes.ask(redis::cmd("EXISTS").arg(&keys.meta).arg(&keys.events))?;
        if there > 0 && hashes.format()?.as_deref() != Some(MOVED) {
            return Err(Error::Taken(hashes.address.shown().to_owned()));
        }
        // What another try left half way, or a log that was moved away.
        hashes.clear()?;
        let (sum, counts) = pour(image.seq, parts, payloads, hashes)?;
        hashes.flush()?;
        let mut meta = redis::cmd("HSET");
        meta.arg(&keys.meta).arg("format").arg(FORMAT).arg("log").arg(format!("{:032x}", image.log.0));
        meta.arg("fence")
            .arg(image.fence.0)
            .arg("first")
            .arg(image.seq.next().0)
            .arg("last")
            .arg(image.seq.0);
        meta.arg("slot").arg(0).arg("snapshot").arg(image.seq.0);
        meta.arg("chunks").arg(sum.chunks).arg("crc").arg(sum.crc);
        let _written: u64 = hashes.ask(&meta)?;
        Ok(counts)
    })
}

/// Marks a log as moved away.
pub(super) fn retire(options: &Options) -> Result<(), OpenError> {
    on_a_thread(options, |hashes| {
        let mut command = redis::cmd("HSET");
        command.arg(&hashes.keys.meta).arg("format").arg(MOVED);
        hashes.ask::<u64>(&command).map(drop)
    })
}

/// Removes the log.
pub(super) fn clear(options: &Options) -> Result<(), OpenError> {
    on_a_thread(options, Hashes::clear)
}

/// What waits for an answer may not do so on a thread of somebody else's runtime.
fn on_a_thread<T: Send, E: From<OpenError> + Send>(
    options: &Options,
    work: impl FnOnce(&mut Hashes) -> Result<T, E> + Send,
) -> Result<T, E> {
    let address = Address::parse(&options.url)?;
    let io = |source| OpenError::Io { path: address.shown().to_owned(), source };
    std::thread::scope(|scope| {
        let run = || {
            let wire = Wire::new(address.clone(), Some(RESPONSE)).map_err(io)?;
            let keys = Keys::new(&options.prefix);
            work(&mut Hashes { wire, address: address.clone(), keys, waiting: Vec::new(), bytes: 0 })
        };
        let thread = std::thread::Builder::new().name("log-move".to_owned()).spawn_scoped(scope, run);
        let panicked = |_| OpenError::from_panic(&address);
        thread.map_err(io)?.join().map_err(panicked)?
    })
}

impl OpenError {
    fn from_panic(address: &Address) -> Self {
        let source = std::io::Error::other("the thread that moves the log panicked");
        Self::Io { path: address.shown().to_owned(), source }
    }
}

struct Hashes {
    wire: Wire,
    address: Address,
    keys: Keys,
    /// Payloads that are written with the next command.
    waiting: Vec<([u8; 16], Vec<u8>)>,
    bytes: usize,
}

impl Hashes {
    fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, OpenError> {
        self.wire.query(command).map_err(|source| self.address.failed(source))
    }

    fn clear(&mut self) -> Result<(), OpenError> {
        let mut command = redis::cmd("UNLINK");
        // The lease too: whoever held it led on a log that is no more.
        let Keys { meta, lease, events, payloads, snapshots } = &self.keys;
        command.arg(meta).arg(lease).arg(events).arg(payloads).arg(&snapshots[..]);
        self.ask::<u64>(&command).map(drop)
    }

    fn format(&mut self) -> Result<Option<String>, OpenError> {
        let command = redis::cmd("HGET").arg(&self.keys.meta).arg("format").to_owned();
        self.ask(&command)
    }

    fn flush(&mut self) -> Result<(), OpenError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("HSET");
        command.arg(&self.keys.payloads);
        for (key, value) in self.waiting.drain(..) {
            command.arg(&key[..]).arg(value);
        }
        self.bytes = 0;
        self.ask::<u64>(&command).map(drop)
    }
}

impl Sink for Hashes {
    fn chunk(&mut self, chunk: Chunk) -> Result<(), Error> {
        let mut command = redis::cmd("HSET");
        command.arg(&self.keys.snapshots[0]).arg(chunk.number).arg(row::with_digest(chunk.crc, &chunk.body));
        Ok(self.ask::<u64>(&command).map(drop)?)
    }

    fn payload(&mut self, payload: Payload) -> Result<(), Error> {
        let (key, value) = row::payload(&payload);
        self.bytes += value.len();
        self.waiting.push((key, value));
        if self.waiting.len() >= MAX_TOGETHER || self.bytes >= MAX_TOGETHER_BYTES {
            self.flush()?;
        }
        Ok(())
    }
}

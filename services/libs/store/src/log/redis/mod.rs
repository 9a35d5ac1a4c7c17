//! The log in Redis, or in Valkey: one thread writes by scripts, any thread reads through a pool of connections.
//!
//! What lies there, under names that begin with [`PREFIX`]:
//!
//! | key | type | what |
//! |---|---|---|
//! | `meta` | hash | `format`; `log`, its id; `fence` and `opening` of who leads; `first` and `last` event; `slot`, `snapshot`, `chunks` and `crc` of the snapshot that counts: its manifest |
//! | `events` | stream | a batch an entry, called `<last event>-<number of events>`: so the batch with an event is found by its number, and trimming is `XTRIM MINID` |
//! | `payloads` | hash | digest and bytes by the id of task or schedule |
//! | `snapshot:0`, `snapshot:1` | hash | digest and bytes by chunk; one of them counts, in the other the next is written |
//! | `lease` | hash that expires | who leads, for whoever comes next |
//!
//! **Who leads.** An opening takes the lease and a new fence, and everything that is written checks that no other opening
//! came after. The lease makes a newcomer refuse while the first lives; the fence makes it safe when the lease was wrong.
//! A newcomer with the same state directory holds its lock, so it need not wait for the lease of the one that died there.
//!
//! **What may be lost.** A batch is acknowledged when its script was answered. With `appendfsync always` that is after it
//! is on the disk of Redis; with other settings Redis may come back with less. The number of the last event that was
//! acknowledged is kept in the state directory, and a log that ends before it is refused.

#[cfg(feature = "redis")]
mod address;
#[cfg(feature = "redis")]
mod call;
mod error;
mod keys;
#[cfg(feature = "redis")]
mod load;
#[cfg(feature = "redis")]
mod log;
#[cfg(feature = "redis")]
mod mark;
#[cfg(feature = "redis")]
mod open;
#[cfg(feature = "redis")]
mod reads;
#[cfg(feature = "redis")]
mod row;
#[cfg(feature = "redis")]
mod server;
#[cfg(feature = "redis")]
mod snapshot;
#[cfg(feature = "redis")]
#[cfg(test)]
mod tests;
#[cfg(feature = "redis")]
mod transfer;
#[cfg(feature = "redis")]
mod view;
#[cfg(feature = "redis")]
mod wire;
#[cfg(feature = "redis")]
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use conductor_core::Part;

use super::transfer::{Counts, Error, Image};
use super::{EventLog, Payload, ReadError};
use crate::state_dir::StateDir;

pub use error::OpenError;
pub use keys::PREFIX;

/// The name of the file in the state directory that says how far the log got.
pub const MARK_FILE: &str = "events.redis-mark";

/// How long a lease lasts unless it is renewed.
const LEASE: Duration = Duration::from_secs(15);

/// Where the log is and what is asked of it.
#[derive(Clone)]
pub struct Options {
    /// `redis://`, `rediss://` or `unix://`, with user and password; a secret.
    pub url: String,
    /// Whether a server is refused that may lose what it acknowledged.
    pub require_fsync: bool,
    /// What the keys begin with.
    pub prefix: String,
    /// How long a lease lasts unless it is renewed.
    pub lease: Duration,
}

impl Options {
    /// As it is meant for a log at this address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), require_fsync: false, prefix: PREFIX.to_owned(), lease: LEASE }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address holds a password.
        let Self { require_fsync, prefix, lease, .. } = self;
        f.debug_struct("Options")
            .field("require_fsync", require_fsync)
            .field("prefix", prefix)
            .field("lease", lease)
            .finish_non_exhaustive()
    }
}

/// Opens the log, or makes it where there was none. Blocks, on any thread, and waits a while for a Redis that comes up.
///
/// # Errors
/// Says why it cannot be opened. Nothing is ever made anew where something was.
#[cfg(feature = "redis")]
pub fn open(dir: &Arc<StateDir>, options: &Options) -> Result<Arc<dyn EventLog>, OpenError> {
    Ok(Arc::new(log::open(dir, options)?))
}

/// Makes a log where there is none, from a state and its payloads. Blocks, on any thread.
///
/// # Errors
/// Nothing that counts as a log is there then.
#[cfg(feature = "redis")]
pub fn make(
    options: &Options,
    image: Image,
    parts: &mut (dyn Iterator<Item = Part> + Send),
    payloads: &mut (dyn Iterator<Item = Result<Payload, ReadError>> + Send),
) -> Result<Counts, Error> {
    transfer::make(options, image, parts, payloads)
}

/// Looks at a log that another process may lead on. It can be loaded and its payloads be read; it takes nothing in. All of
/// it blocks, on threads that no async runtime is on.
///
/// # Errors
/// Says why it cannot be read.
#[cfg(feature = "redis")]
pub fn look(options: &Options) -> Result<Arc<dyn EventLog>, OpenError> {
    Ok(Arc::new(view::look(options)?))
}

/// Says that this build has no log in Redis.
///
/// # Errors
/// Always.
#[cfg(not(feature = "redis"))]
pub fn look(_: &Options) -> Result<Arc<dyn EventLog>, OpenError> {
    Err(OpenError::Absent)
}

/// Removes a log, whoever leads on it. Blocks, on any thread.
///
/// # Errors
/// When Redis cannot be asked.
#[cfg(feature = "redis")]
pub fn clear(options: &Options) -> Result<(), OpenError> {
    transfer::clear(options)
}

/// Says that this build has no log in Redis.
///
/// # Errors
/// Always.
#[cfg(not(feature = "redis"))]
pub fn clear(_: &Options) -> Result<(), OpenError> {
    Err(OpenError::Absent)
}

/// Says that this build has no log in Redis.
///
/// # Errors
/// Always.
#[cfg(not(feature = "redis"))]
pub fn make(
    _: &Options,
    _: Image,
    _: &mut (dyn Iterator<Item = Part> + Send),
    _: &mut (dyn Iterator<Item = Result<Payload, ReadError>> + Send),
) -> Result<Counts, Error> {
    Err(OpenError::Absent.into())
}

/// Marks a log as moved away: no release opens it any more. Blocks, on any thread.
///
/// # Errors
/// When Redis cannot be asked.
#[cfg(feature = "redis")]
pub fn retire(options: &Options) -> Result<(), OpenError> {
    transfer::retire(options)
}

/// Says that this build has no log in Redis.
///
/// # Errors
/// Always.
#[cfg(not(feature = "redis"))]
pub fn retire(_: &Options) -> Result<(), OpenError> {
    Err(OpenError::Absent)
}

/// Says that this build has no log in Redis.
///
/// # Errors
/// Always.
#[cfg(not(feature = "redis"))]
pub fn open(_: &Arc<StateDir>, _: &Options) -> Result<Arc<dyn EventLog>, OpenError> {
    Err(OpenError::Absent)
}

//! Making a log anew from a state and its payloads, under the id and the numbers of another: the way from one backend to the
//! other. The new log begins with a snapshot; older events are only in the history from then on.

use conductor_core::{Part, Seq};

use super::chunks::{Chunk, Cutter, Sum};
use super::{Fence, LogId, Payload, ReadError, SnapshotError};
use crate::database::OpenError;

/// What a new log continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// The id, which stays.
    pub log: LogId,
    /// The fence that the new log is to be above.
    pub fence: Fence,
    /// The last event, which the state holds.
    pub seq: Seq,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Parts of the state.
    pub parts: u64,
    /// Payloads.
    pub payloads: u64,
    /// Their bytes.
    pub payload_bytes: u64,
}

/// Why a log could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is one already.
    #[error("there is an event log in {0} already")]
    Taken(std::path::PathBuf),
    /// A payload cannot be read.
    #[error("failed to read what is to be moved")]
    Read(#[from] ReadError),
    /// The state has another shape than a snapshot.
    #[error("failed to write the state")]
    Shape(#[from] SnapshotError),
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] OpenError),
    /// Redis cannot be written.
    #[error(transparent)]
    Redis(#[from] super::redis::OpenError),
}

/// Where chunks and payloads go.
pub(super) trait Sink {
    /// Writes a chunk of the snapshot.
    fn chunk(&mut self, chunk: Chunk) -> Result<(), Error>;

    /// Writes a payload.
    fn payload(&mut self, payload: Payload) -> Result<(), Error>;
}

/// Cuts a state into chunks and hands them over, and then the payloads.
pub(super) fn pour(
    seq: Seq,
    parts: &mut dyn Iterator<Item = Part>,
    payloads: &mut dyn Iterator<Item = Result<Payload, ReadError>>,
    sink: &mut impl Sink,
) -> Result<(Sum, Counts), Error> {
    let mut counts = Counts::default();
    let mut cutter = Cutter::new(seq);
    for part in parts {
        counts.parts += 1;
        if let Some(chunk) = cutter.add(&part)? {
            sink.chunk(chunk)?;
        }
    }
    if let Some(chunk) = cutter.rest()? {
        sink.chunk(chunk)?;
    }
    for payload in payloads {
        let payload = payload?;
        counts.payloads += 1;
        counts.payload_bytes += payload.bytes.len() as u64;
        sink.payload(payload)?;
    }
    Ok((cutter.sum(), counts))
}

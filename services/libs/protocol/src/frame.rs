//! Binary frames: a part of a run's output, on the wire between agent, orchestrator and client.

use conductor_core::{Incarnation, Lease};

use crate::limits::MAX_OUTPUT_FRAME_BYTES;

/// Bytes of output as an agent sends them: lease, attempt and offset, each big-endian, then the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFrame<'a> {
    /// Under which lease they were written.
    pub lease: Lease,
    /// In which attempt.
    pub attempt: u32,
    /// Where in the output they stand.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Why a binary frame was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The frame ends inside its head.
    #[error("frame of {0} bytes is shorter than its head")]
    Short(usize),
    /// The frame is larger than may be.
    #[error("frame carries {0} bytes, more than {MAX_OUTPUT_FRAME_BYTES}")]
    Long(usize),
}

const OUTPUT_HEAD: usize = 8 + 8 + 4 + 8;
const CHUNK_HEAD: usize = 8 + 8;

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the head's length was checked")
}

impl<'a> OutputFrame<'a> {
    /// Writes the frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(OUTPUT_HEAD + self.bytes.len());
        frame.extend_from_slice(&self.lease.incarnation.0.to_be_bytes());
        frame.extend_from_slice(&self.lease.number.to_be_bytes());
        frame.extend_from_slice(&self.attempt.to_be_bytes());
        frame.extend_from_slice(&self.offset.to_be_bytes());
        frame.extend_from_slice(self.bytes);
        frame
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// When it is shorter than its head or longer than may be.
    pub fn decode(frame: &'a [u8]) -> Result<Self, Error> {
        if frame.len() < OUTPUT_HEAD {
            return Err(Error::Short(frame.len()));
        }
        let bytes = &frame[OUTPUT_HEAD..];
        if bytes.len() > MAX_OUTPUT_FRAME_BYTES {
            return Err(Error::Long(bytes.len()));
        }
        Ok(Self {
            lease: Lease {
                incarnation: Incarnation(u64::from_be_bytes(number(frame, 0))),
                number: u64::from_be_bytes(number(frame, 8)),
            },
            attempt: u32::from_be_bytes(number(frame, 16)),
            offset: u64::from_be_bytes(number(frame, 20)),
            bytes,
        })
    }
}

/// Bytes that answer a control request: the request's id and an offset, each big-endian, then the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkFrame<'a> {
    /// The request that they answer.
    pub id: u64,
    /// Where in the file they stand.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl<'a> ChunkFrame<'a> {
    /// Writes the frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(CHUNK_HEAD + self.bytes.len());
        frame.extend_from_slice(&self.id.to_be_bytes());
        frame.extend_from_slice(&self.offset.to_be_bytes());
        frame.extend_from_slice(self.bytes);
        frame
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// When it is shorter than its head or longer than may be.
    pub fn decode(frame: &'a [u8]) -> Result<Self, Error> {
        if frame.len() < CHUNK_HEAD {
            return Err(Error::Short(frame.len()));
        }
        let bytes = &frame[CHUNK_HEAD..];
        if bytes.len() > MAX_OUTPUT_FRAME_BYTES {
            return Err(Error::Long(bytes.len()));
        }
        Ok(Self {
            id: u64::from_be_bytes(number(frame, 0)),
            offset: u64::from_be_bytes(number(frame, 8)),
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_and_refuse_what_is_cut() {
        let lease = Lease { incarnation: Incarnation(3), number: 9 };
        let frame = OutputFrame { lease, attempt: 2, offset: 77, bytes: b"hello" };
        let bytes = frame.encode();
        assert_eq!(OutputFrame::decode(&bytes), Ok(frame));
        assert_eq!(OutputFrame::decode(&bytes[..20]), Err(Error::Short(20)));
        let chunk = ChunkFrame { id: 1, offset: 2, bytes: b"x" };
        assert_eq!(ChunkFrame::decode(&chunk.encode()), Ok(chunk));
        assert_eq!(ChunkFrame::decode(b"short"), Err(Error::Short(5)));
    }
}

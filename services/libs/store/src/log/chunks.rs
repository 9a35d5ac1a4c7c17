//! Cutting a snapshot into chunks, alike for every backend.

use conductor_core::{Part, Seq};

use super::{SnapshotError, digest};
use crate::record;

/// Bytes from which on a chunk is written. A batch waits for one chunk at most.
const CHUNK_BYTES: usize = 1 << 20;

/// A chunk that is to be written.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) number: u32,
    pub(super) crc: u32,
    pub(super) body: Vec<u8>,
}

/// What the manifest is to say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) chunks: u32,
    pub(super) crc: u32,
}

/// Collects parts into chunks.
#[derive(Debug)]
pub(super) struct Cutter {
    seq: Seq,
    buffer: Vec<u8>,
    /// The digests of the chunks that were cut.
    cut: Vec<u32>,
    has_header: bool,
}

impl Cutter {
    /// Begins a snapshot up to `seq`.
    pub(super) fn new(seq: Seq) -> Self {
        Self { seq, buffer: Vec::new(), cut: Vec::new(), has_header: false }
    }

    /// Takes in a part; gives the chunk that it fills.
    pub(super) fn add(&mut self, part: &Part) -> Result<Option<Chunk>, SnapshotError> {
        match (part, self.has_header) {
            (Part::Header(header), false) if header.seq == self.seq => self.has_header = true,
            (Part::Header(_), _) => {
                return Err(SnapshotError::Shape("has another header than was announced"));
            }
            (
                Part::Agent(_)
                | Part::Task(_)
                | Part::Key(_)
                | Part::Schedule(_)
                | Part::Token(_)
                | Part::Session(_)
                | Part::Webhook(_)
                | Part::Delivery(_)
                | Part::Lane(_)
                | Part::AgentLanes(_)
                | Part::Trouble(_)
                | Part::Secrets(_)
                | Part::Pin(_)
                | Part::Offspring(_)
                | Part::Told(_)
                | Part::Budget(_)
                | Part::Ledger(_),
                has_header,
            ) => {
                if !has_header {
                    return Err(SnapshotError::Shape("does not begin with its header"));
                }
            }
        }
        if self.buffer.is_empty() {
            record::begin_parts(&mut self.buffer);
        }
        record::encode_part(part, &mut self.buffer);
        Ok((self.buffer.len() >= CHUNK_BYTES).then(|| self.cut()))
    }

    /// Gives the chunk that is not full, if there is one. Without a header the snapshot is refused.
    pub(super) fn rest(&mut self) -> Result<Option<Chunk>, SnapshotError> {
        if !self.has_header {
            return Err(SnapshotError::Shape("has no header"));
        }
        Ok((!self.buffer.is_empty()).then(|| self.cut()))
    }

    /// Takes the room of a chunk back that was written.
    pub(super) fn reuse(&mut self, mut body: Vec<u8>) {
        body.clear();
        if self.buffer.is_empty() {
            self.buffer = body;
        }
    }

    /// Sums up the chunks that were cut.
    pub(super) fn sum(&self) -> Sum {
        let chunks = u32::try_from(self.cut.len()).unwrap_or(u32::MAX);
        let begin = digest::begin_snapshot(self.seq, chunks);
        Sum { chunks, crc: self.cut.iter().fold(begin, |crc, chunk| digest::cover(crc, *chunk)) }
    }

    fn cut(&mut self) -> Chunk {
        let body = std::mem::take(&mut self.buffer);
        let number = u32::try_from(self.cut.len()).unwrap_or(u32::MAX);
        let crc = digest::chunk(self.seq, number, &body);
        self.cut.push(crc);
        Chunk { number, crc, body }
    }
}

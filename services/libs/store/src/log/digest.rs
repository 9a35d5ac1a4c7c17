//! The digests that every backend keeps with what it writes, so that damage is noticed wherever it happens.

use conductor_core::Seq;

use super::Batch;

/// What is kept of a batch beside its events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) id: [u8; 16],
    pub(super) fence: u64,
}

impl Head {
    /// What is kept of this batch.
    pub(super) fn of(batch: &Batch) -> Self {
        Self {
            first: batch.expected_seq.next().0,
            count: batch.events.len() as u64,
            id: batch.id.0.to_be_bytes(),
            fence: batch.fence.0,
        }
    }

    /// The digest over it and its encoded events.
    pub(super) fn crc(&self, body: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.first.to_be_bytes());
        hasher.update(&self.count.to_be_bytes());
        hasher.update(&self.id);
        hasher.update(&self.fence.to_be_bytes());
        hasher.update(body);
        hasher.finalize()
    }
}

/// The digest that is kept with a payload.
pub(super) fn payload(key: &[u8; 16], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

/// The digest that is kept with a chunk of a snapshot.
pub(super) fn chunk(seq: Seq, number: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.0.to_be_bytes());
    hasher.update(&number.to_be_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// Where the digest of a snapshot begins, which covers those of its chunks in their order.
pub(super) fn begin_snapshot(seq: Seq, chunks: u32) -> u32 {
    cover(chunk(seq, chunks, &[]), 0)
}

/// Adds a chunk to what the digest of a snapshot covers.
pub(super) fn cover(crc: u32, chunk: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(&chunk.to_be_bytes());
    hasher.finalize()
}

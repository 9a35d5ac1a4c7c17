//! A mark in the state directory: whose log it is and how far it got.
//!
//! Redis may come back with less than it acknowledged, or with nothing, and it cannot know. The mark is written after each
//! append, without waiting for the disk, so it never says more than what was acknowledged.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use conductor_core::Seq;

use crate::log::{Fence, LogId};

use super::MARK_FILE as FILE;

const MAGIC: &[u8; 8] = b"cndrredi";
const VERSION: u8 = 1;
const BYTES: usize = 96;

/// What a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// Names the state directory. Its lock is held, so whoever led under this name has ended.
    pub(super) place: u128,
    /// The log; none before one was opened.
    pub(super) log: Option<LogId>,
    /// The fence of the last opening.
    pub(super) fence: Fence,
    /// Everything up to here was acknowledged.
    pub(super) seq: Seq,
}

/// An open mark.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    reading: Reading,
    warned: bool,
}

/// Where the mark of a state directory lies.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

impl Mark {
    /// Opens the mark of a state directory, or makes it.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path(dir))?;
        let mut bytes = Vec::new();
        (&file).take(BYTES as u64 + 1).read_to_end(&mut bytes)?;
        // A process that died between making the file and writing it left it empty.
        let reading = match bytes.is_empty() {
            true => Reading { place: random()?, log: None, fence: Fence(0), seq: Seq(0) },
            false => decode(&bytes).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "it is damaged, or a newer release wrote it")
            })?,
        };
        let mark = Self { file, reading, warned: false };
        if bytes.is_empty() {
            mark.write()?;
            mark.file.sync_all()?;
        }
        Ok(mark)
    }

    /// What it says.
    pub(super) fn reading(&self) -> Reading {
        self.reading
    }

    /// Says which log was opened under which fence, and waits for the disk.
    pub(super) fn opened(&mut self, log: LogId, fence: Fence, seq: Seq) -> io::Result<()> {
        self.reading = Reading { log: Some(log), fence, seq, ..self.reading };
        self.write()?;
        self.file.sync_data()
    }

    /// Says how far the log got.
    pub(super) fn note(&mut self, seq: Seq) {
        self.reading.seq = seq;
        if let Err(error) = self.write()
            && !std::mem::replace(&mut self.warned, true)
        {
            tracing::warn!(%error, "cannot note how far the event log got; a Redis that forgets is noticed later");
        }
    }

    fn write(&self) -> io::Result<()> {
        self.file.write_all_at(&encode(self.reading), 0)
    }
}

fn random() -> io::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u128::from_be_bytes(bytes))
}

fn encode(reading: Reading) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8] = VERSION;
    bytes[9] = u8::from(reading.log.is_some());
    bytes[16..32].copy_from_slice(&reading.place.to_be_bytes());
    bytes[32..48].copy_from_slice(&reading.log.map_or(0, |log| log.0).to_be_bytes());
    bytes[48..56].copy_from_slice(&reading.fence.0.to_be_bytes());
    bytes[56..64].copy_from_slice(&reading.seq.0.to_be_bytes());
    let crc = crc32fast::hash(&bytes[..BYTES - 4]);
    bytes[BYTES - 4..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Reading> {
    let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
    let (body, crc) = bytes.split_at(BYTES - 4);
    if crc != crc32fast::hash(body).to_be_bytes() || &bytes[..8] != MAGIC || bytes[8] != VERSION {
        return None;
    }
    let wide = |at: usize| u128::from_be_bytes(bytes[at..at + 16].try_into().expect("16 bytes"));
    let long = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    Some(Reading {
        place: wide(16),
        log: (bytes[9] == 1).then(|| LogId(wide(32))),
        fence: Fence(long(48)),
        seq: Seq(long(56)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_keeps_its_place_and_reads_back_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut mark = Mark::open(dir.path()).unwrap();
        let place = mark.reading().place;
        assert_eq!(mark.reading().log, None);
        mark.opened(LogId(7), Fence(3), Seq(4)).unwrap();
        mark.note(Seq(9));
        let reading = Mark::open(dir.path()).unwrap().reading();
        assert_eq!(reading, Reading { place, log: Some(LogId(7)), fence: Fence(3), seq: Seq(9) });
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_mark_is_noticed() {
        let good = encode(Reading { place: 1, log: Some(LogId(2)), fence: Fence(3), seq: Seq(4) });
        assert!(decode(&good).is_some());
        for bit in 0..BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad), None, "bit {bit}");
        }
        assert_eq!(decode(&good[1..]), None);
    }
}

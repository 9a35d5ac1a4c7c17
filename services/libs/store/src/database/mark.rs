//! A mark beside a database: how far it got.
//!
//! SQLite recovers from a torn write by leaving out what does not check, and would do the same with a bit that flipped in
//! what was durable. The mark is written after each commit, without waiting for the disk, so it never says more than what
//! was durable: a database that ends before its mark has lost something. It also holds a digest of the database's file,
//! which only changes when pages are moved into it: while they are, and after that until somebody has the time to read a
//! large file, there is none.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::wal;

const MAGIC: &[u8; 8] = b"cndrmark";
/// The version that is written.
pub(crate) const VERSION: u8 = 1;
const BYTES: usize = 64;

/// A file's length and the digest of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) length: u64,
    pub(crate) crc: u32,
}

/// What a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reading {
    /// Everything up to here was durable.
    pub(crate) seq: u64,
    /// How far the write-ahead log went; none while it is empty.
    pub(crate) wal: Option<wal::End>,
    /// The database's file; none while it changes.
    pub(crate) file: Option<Digest>,
}

/// An open mark.
#[derive(Debug)]
pub(crate) struct Mark {
    file: File,
    path: PathBuf,
}

/// Why a mark does not read.
#[derive(Debug)]
pub(crate) enum Error {
    /// It is not there.
    Missing,
    /// It is not what was written.
    Damaged,
    /// A newer release wrote it.
    Newer(u8),
    /// It cannot be read.
    Io(io::Error),
}

/// Where the mark of a database lies.
pub(crate) fn path_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-mark");
    PathBuf::from(name)
}

impl Mark {
    /// Makes a mark anew.
    pub(crate) fn create(database: &Path, reading: Reading) -> io::Result<Self> {
        let path = path_of(database);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let mark = Self { file, path };
        mark.write(reading)?;
        mark.file.sync_all()?;
        Ok(mark)
    }

    /// Opens the mark of a database and reads it.
    pub(crate) fn open(database: &Path) -> Result<(Self, Reading), Error> {
        let path = path_of(database);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Missing),
            Err(error) => return Err(Error::Io(error)),
        };
        let mut bytes = Vec::new();
        (&file).take(BYTES as u64 + 1).read_to_end(&mut bytes).map_err(Error::Io)?;
        let reading = decode(&bytes)?;
        Ok((Self { file, path }, reading))
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes it, without waiting for the disk.
    pub(crate) fn write(&self, reading: Reading) -> io::Result<()> {
        self.file.write_all_at(&encode(reading), 0)
    }

    /// Writes it and waits for the disk.
    pub(crate) fn write_through(&self, reading: Reading) -> io::Result<()> {
        self.write(reading)?;
        self.file.sync_data()
    }
}

impl Digest {
    /// Reads a whole file.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let mut hasher = crc32fast::Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        let mut length = 0;
        loop {
            match file.read_at(&mut buffer, length)? {
                0 => return Ok(Self { length, crc: hasher.finalize() }),
                read => {
                    hasher.update(&buffer[..read]);
                    length += read as u64;
                }
            }
        }
    }
}

fn encode(reading: Reading) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8] = VERSION;
    bytes[9] = u8::from(reading.wal.is_some());
    bytes[10] = u8::from(reading.file.is_some());
    bytes[16..24].copy_from_slice(&reading.seq.to_le_bytes());
    if let Some(wal) = reading.wal {
        bytes[24..32].copy_from_slice(&wal.salt.to_le_bytes());
        bytes[32..36].copy_from_slice(&wal.frames.to_le_bytes());
    }
    if let Some(file) = reading.file {
        bytes[36..40].copy_from_slice(&file.crc.to_le_bytes());
        bytes[40..48].copy_from_slice(&file.length.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes[..BYTES - 4]);
    bytes[BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<Reading, Error> {
    let bytes: &[u8; BYTES] = bytes.try_into().map_err(|_| Error::Damaged)?;
    let (body, crc) = bytes.split_at(BYTES - 4);
    if crc != crc32fast::hash(body).to_le_bytes() || &bytes[..8] != MAGIC {
        return Err(Error::Damaged);
    }
    if bytes[8] != VERSION {
        return Err(Error::Newer(bytes[8]));
    }
    let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let short = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    Ok(Reading {
        seq: long(16),
        wal: (bytes[9] == 1).then(|| wal::End { salt: long(24), frames: short(32) }),
        file: (bytes[10] == 1).then(|| Digest { length: long(40), crc: short(36) }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Reading = Reading {
        seq: 7,
        wal: Some(wal::End { salt: u64::MAX - 1, frames: 3 }),
        file: Some(Digest { length: 4096, crc: 9 }),
    };

    #[test]
    fn a_mark_reads_back_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("x.db");
        let mark = Mark::create(&database, FULL).unwrap();
        for reading in
            [Reading::default(), FULL, Reading { wal: None, ..FULL }, Reading { file: None, ..FULL }]
        {
            mark.write_through(reading).unwrap();
            assert_eq!(Mark::open(&database).unwrap().1, reading);
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_mark_is_noticed() {
        let good = encode(FULL);
        for bit in 0..BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&bad), Err(Error::Damaged)), "bit {bit}");
        }
        assert!(matches!(decode(&good[..BYTES - 1]), Err(Error::Damaged)));
        assert!(matches!(decode(&[]), Err(Error::Damaged)));
    }
}

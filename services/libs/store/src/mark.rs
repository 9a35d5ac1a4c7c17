//! A mark beside a database: how far it got, and its digest when it was closed cleanly.
//!
//! SQLite recovers from a torn write by leaving out what does not check, and would do the same with a bit that flipped in
//! what was durable. The mark is written after each commit, without waiting for the disk, so it never says more than what
//! was durable: a database that ends before its mark has lost something. A database that was closed is sealed with a
//! digest of the whole file, so that any change to it shows at the next start.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"cndrmark";
/// The version that is written.
pub(crate) const VERSION: u8 = 1;
const BYTES: usize = 48;

/// How a database was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// In use; perhaps by a process that was killed.
    Open,
    /// Closed, with this length and digest.
    Sealed {
        /// Its length in bytes.
        length: u64,
        /// The digest of its bytes.
        crc: u32,
    },
}

/// What a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Everything up to here was durable.
    pub(crate) seq: u64,
    /// How the database was left.
    pub(crate) left: Left,
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
    pub(crate) fn create(database: &Path) -> io::Result<Self> {
        let path = path_of(database);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let mark = Self { file, path };
        mark.write(Reading { seq: 0, left: Left::Open })?;
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

    /// Says how far the database got. Does not wait for the disk.
    pub(crate) fn write(&self, reading: Reading) -> io::Result<()> {
        self.file.write_all_at(&encode(reading), 0)
    }

    /// Says that the database is in use again, and waits for the disk: a seal that outlived a change would be wrong.
    pub(crate) fn open_again(&self, seq: u64) -> io::Result<()> {
        self.write(Reading { seq, left: Left::Open })?;
        self.file.sync_data()
    }

    /// Seals a database that is closed, and waits for the disk.
    pub(crate) fn seal(&self, database: &Path, seq: u64) -> io::Result<()> {
        let (length, crc) = digest(database)?;
        self.write(Reading { seq, left: Left::Sealed { length, crc } })?;
        self.file.sync_data()
    }
}

/// Length and digest of a file.
pub(crate) fn digest(path: &Path) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((length, hasher.finalize())),
            read => {
                hasher.update(&buffer[..read]);
                length += read as u64;
            }
        }
    }
}

fn encode(reading: Reading) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8] = VERSION;
    bytes[16..24].copy_from_slice(&reading.seq.to_le_bytes());
    match reading.left {
        Left::Open => {}
        Left::Sealed { length, crc } => {
            bytes[9] = 1;
            bytes[24..32].copy_from_slice(&length.to_le_bytes());
            bytes[32..36].copy_from_slice(&crc.to_le_bytes());
        }
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
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let left = match bytes[9] {
        0 => Left::Open,
        _ => Left::Sealed {
            length: number(24),
            crc: u32::from_le_bytes(bytes[32..36].try_into().expect("4 bytes")),
        },
    };
    Ok(Reading { seq: number(16), left })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("x.db");
        std::fs::write(&database, "content").unwrap();
        let mark = Mark::create(&database).unwrap();
        mark.write(Reading { seq: 7, left: Left::Open }).unwrap();
        assert_eq!(Mark::open(&database).unwrap().1, Reading { seq: 7, left: Left::Open });
        mark.seal(&database, 8).unwrap();
        let (length, crc) = digest(&database).unwrap();
        assert_eq!(Mark::open(&database).unwrap().1, Reading { seq: 8, left: Left::Sealed { length, crc } });
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_mark_is_noticed() {
        let good = encode(Reading { seq: 7, left: Left::Sealed { length: 3, crc: 9 } });
        for bit in 0..BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&bad), Err(Error::Damaged)), "bit {bit}");
        }
        assert!(matches!(decode(&good[..BYTES - 1]), Err(Error::Damaged)));
        assert!(matches!(decode(&[]), Err(Error::Damaged)));
    }
}

//! Reading SQLite's write-ahead log as far as it checks: <https://sqlite.org/fileformat2.html#walformat>.
//!
//! SQLite itself takes the first frame that does not check for the end. That is right for a write that was torn, and wrong
//! for a bit that flipped; how many frames were durable tells the two apart.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const MAGIC: u32 = 0x377f_0682;
const MAX_PAGE_BYTES: u32 = 65_536;

/// How far a write-ahead log is known to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Tells this filling of the log from the ones before.
    pub(crate) salt: u64,
    /// How many frames there are up to the last commit.
    pub(crate) frames: u32,
}

/// What a write-ahead log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wal {
    /// There is none, or it is empty.
    Empty,
    /// Its header does not check.
    Damaged,
    /// It checks up to here.
    Valid(End),
}

/// Where the write-ahead log of a database lies.
pub(crate) fn path_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// The salt of an open log.
pub(crate) fn salt(file: &File) -> io::Result<u64> {
    let mut salt = [0; 8];
    file.read_exact_at(&mut salt, 16)?;
    Ok(u64::from_be_bytes(salt))
}

/// Reads a log and checks every frame.
pub(crate) fn read(database: &Path) -> io::Result<Wal> {
    let file = match File::open(path_of(database)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Wal::Empty),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() == 0 {
        return Ok(Wal::Empty);
    }
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut reader, &mut header)? {
        return Ok(Wal::Damaged);
    }
    let page_bytes = word(&header, 8);
    let sum_is_big_endian = match word(&header, 0) {
        MAGIC => false,
        magic if magic == MAGIC | 1 => true,
        _ => return Ok(Wal::Damaged),
    };
    let mut sum = Sum { big_endian: sum_is_big_endian, ..Sum::default() };
    sum.add(&header[..24]);
    if !sum.is(&header[24..]) || !page_bytes.is_power_of_two() || page_bytes > MAX_PAGE_BYTES {
        return Ok(Wal::Damaged);
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes as usize];
    let (mut count, mut committed) = (0, 0);
    while fill(&mut reader, &mut frame)? {
        sum.add(&frame[..8]);
        sum.add(&frame[FRAME_HEADER_BYTES..]);
        if frame[8..16] != header[16..24] || !sum.is(&frame[16..24]) {
            break;
        }
        count += 1;
        // A frame that says how large the database is by then ends a transaction.
        if word(&frame, 4) != 0 {
            committed = count;
        }
    }
    let salt = u64::from_be_bytes(header[16..24].try_into().expect("8 bytes"));
    Ok(Wal::Valid(End { salt, frames: committed }))
}

/// Fills the buffer; says whether there was enough.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

/// SQLite's running checksum.
#[derive(Debug, Default)]
struct Sum {
    first: u32,
    second: u32,
    big_endian: bool,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let (one, two) = pair.split_at(4);
            let number = |bytes: &[u8]| {
                let bytes = bytes.try_into().expect("4 bytes");
                if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
            };
            let (one, two) = (number(one), number(two));
            self.first = self.first.wrapping_add(one).wrapping_add(self.second);
            self.second = self.second.wrapping_add(two).wrapping_add(self.first);
        }
    }

    fn is(&self, bytes: &[u8]) -> bool {
        word(bytes, 0) == self.first && word(bytes, 4) == self.second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(dir: &Path) -> (PathBuf, rusqlite::Connection) {
        let path = dir.join("x.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection
            .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);")
            .unwrap();
        (path, connection)
    }

    #[test]
    fn the_frames_of_a_log_are_counted_as_sqlite_counts_them() {
        let dir = tempfile::tempdir().unwrap();
        let (path, connection) = database(dir.path());
        let frames: u32 = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).unwrap();
        let file = File::open(path_of(&path)).unwrap();
        assert_eq!(read(&path).unwrap(), Wal::Valid(End { salt: salt(&file).unwrap(), frames }));
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        assert_eq!(read(&path).unwrap(), Wal::Empty);
        drop(connection);
        assert_eq!(read(&path).unwrap(), Wal::Empty);
    }

    #[test]
    fn a_flipped_bit_shortens_a_log_or_damages_its_header() {
        let dir = tempfile::tempdir().unwrap();
        let (path, connection) = database(dir.path());
        let good = std::fs::read(path_of(&path)).unwrap();
        let Wal::Valid(end) = read(&path).unwrap() else { panic!("it is valid") };
        let copy = dir.path().join("copy.db");
        for at in (0..good.len()).step_by(97).chain(0..HEADER_BYTES) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(path_of(&copy), bad).unwrap();
            match read(&copy).unwrap() {
                Wal::Valid(found) => {
                    assert!(found.salt != end.salt || found.frames < end.frames, "byte {at}")
                }
                Wal::Damaged => assert!(at < HEADER_BYTES, "byte {at}"),
                Wal::Empty => panic!("byte {at}"),
            }
        }
        drop(connection);
    }
}

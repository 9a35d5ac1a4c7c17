//! The two files of the outbox, used in turn.
//!
//! A group of results is one frame. It is written and not synced: what must be survived is the death of this process,
//! and a lost host is a crash of all that ran there. So within one boot of the host a frame that cannot be read is torn
//! when it is the last and damage when others follow; after another boot it is where the disk was left behind. Both files
//! are filled with zeros when they are made, so that a full disk does not stop a result. When a file has grown, a new
//! generation begins in the other one with all that is live and the boot that wrote it, and only when that is durable is
//! the first given up.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use conductor_core::Lease;
use conductor_protocol::text;
use serde::{Deserialize, Serialize};

use super::frame::{self, Content};
use super::{Entry, Error};
use crate::process::leftover::boot_id;

/// How large each file is made, and from where on a new generation is begun.
const FILE_BYTES: u64 = 256 << 10;
const NAMES: [&str; 2] = ["outbox.0", "outbox.1"];

/// What a frame says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// The boot of the host that wrote the generation; its first frame has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    finished: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::display_list")]
    forgotten: Vec<Lease>,
}

/// Keeps results on disk.
#[derive(Debug)]
pub(super) struct Journal {
    files: [File; 2],
    /// Which file is written.
    current: usize,
    generation: u64,
    index: u32,
    offset: u64,
    /// How long the first frame of the generation is.
    base: u64,
    /// Set when the last write failed, so that nobody knows what the current file holds behind its last good frame.
    broken: bool,
    boot: String,
    live: BTreeMap<Lease, Entry>,
    /// Forgotten since the last write.
    forgotten: Vec<Lease>,
}

impl Journal {
    /// Opens the journal in `folder`, or makes it when it is not `expected` to be there.
    pub fn open(folder: &Path, expected: bool) -> Result<Self, Error> {
        Self::open_in(folder, expected, boot_id())
    }

    /// The same in a given boot of the host.
    fn open_in(folder: &Path, expected: bool, boot: String) -> Result<Self, Error> {
        let paths = NAMES.map(|name| folder.join(name));
        let contents = [read(&paths[0], &boot)?, read(&paths[1], &boot)?];
        let current = newest(&paths, &contents, expected)?;
        let (mut generation, mut live) = (0, BTreeMap::new());
        if let Some((file, frames)) = current {
            generation = frames[0].generation;
            let (bytes, _) = contents[file].as_ref().expect("a file with frames was read");
            replay(&paths[file], bytes, frames, &mut live)?;
        }
        // The second is made first, so that a start that was cut short cannot look like a loss of the second.
        for (path, content) in paths.iter().zip(&contents).rev() {
            if content.is_none() {
                create(folder, path)?;
            }
        }
        let open = |path: &PathBuf| {
            let file = OpenOptions::new().read(true).write(true).open(path);
            file.map_err(|source| Error::Use { path: path.clone(), source })
        };
        Ok(Self {
            files: [open(&paths[0])?, open(&paths[1])?],
            current: current.map_or(0, |(file, _)| file),
            // What a torn first frame in the other file may say is passed over.
            generation: generation + 1,
            index: 0,
            offset: 0,
            base: 0,
            broken: true,
            boot,
            live,
            forgotten: Vec::new(),
        })
    }

    /// What was stored and not forgotten.
    pub fn live(&self) -> impl Iterator<Item = &Entry> {
        self.live.values()
    }

    /// Forgets at the next write.
    pub fn forget(&mut self, leases: impl IntoIterator<Item = Lease>) {
        self.forgotten.extend(leases.into_iter().filter(|lease| self.live.remove(lease).is_some()));
    }

    /// Whether something was forgotten that the file still holds.
    pub fn is_behind(&self) -> bool {
        !self.forgotten.is_empty()
    }

    /// Keeps results over the end of this process, all or none. After a failure the same call may be made again.
    pub fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        self.live.extend(entries.iter().map(|entry| (entry.lease, Entry::clone(entry))));
        if self.broken || self.offset > FILE_BYTES.max(2 * self.base) {
            return self.begin_generation();
        }
        let forgotten = std::mem::take(&mut self.forgotten);
        let record = Record { boot: None, finished: entries.to_vec(), forgotten };
        let frame = frame::encode(self.generation, self.index, &json(&record));
        let written = self.files[self.current].write_all_at(&frame, self.offset);
        self.broken = written.is_err();
        self.index += 1;
        self.offset += length(&frame);
        written
    }

    fn begin_generation(&mut self) -> io::Result<()> {
        self.broken = true;
        self.generation += 1;
        let finished = self.live.values().cloned().collect();
        let record = Record { boot: Some(self.boot.clone()), finished, forgotten: Vec::new() };
        let frame = frame::encode(self.generation, 0, &json(&record));
        let other = 1 - self.current;
        self.files[other].write_all_at(&frame, 0)?;
        self.files[other].sync_data()?;
        self.forgotten.clear();
        self.current = other;
        self.index = 1;
        self.base = length(&frame);
        self.offset = self.base;
        self.broken = false;
        Ok(())
    }
}

fn json(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record has string keys alone")
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length fits 64 bits")
}

type Read = Option<(Vec<u8>, Content)>;

fn read(path: &Path, boot: &str) -> Result<Read, Error> {
    match fs::read(path) {
        Ok(bytes) if length(&bytes) < FILE_BYTES => {
            Err(Error::Damaged { path: path.to_owned(), offset: bytes.len(), what: "it was cut off" })
        }
        Ok(bytes) => {
            let mut content = frame::scan(&bytes);
            if let Content::Damaged { offset, before } = &content
                && was_written_in_another_boot(&bytes, before, boot)
            {
                let path = path.display();
                tracing::warn!(%path, offset, "the host went down before all results were on disk; their tasks run again");
                content = Content::Frames(before.clone());
            }
            Ok(Some((bytes, content)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Use { path: path.to_owned(), source }),
    }
}

/// Says whether the host was down since a generation was written; what has no boot was synced frame by frame.
fn was_written_in_another_boot(bytes: &[u8], frames: &[frame::Frame], boot: &str) -> bool {
    let record = |frame: &frame::Frame| serde_json::from_slice::<Record>(&bytes[frame.body.clone()]).ok();
    frames.first().and_then(record).and_then(|record| record.boot).is_some_and(|written| written != boot)
}

type Newest<'a> = Option<(usize, &'a [frame::Frame])>;

/// Chooses the file to go on from, or says what cannot be true of the two.
fn newest<'a>(paths: &[PathBuf; 2], contents: &'a [Read; 2], expected: bool) -> Result<Newest<'a>, Error> {
    let damaged = |file: usize, offset, what| Error::Damaged { path: paths[file].clone(), offset, what };
    let mut newest: Newest<'a> = None;
    for (file, content) in contents.iter().enumerate() {
        match content.as_ref().map(|(_, content)| content) {
            Some(Content::Frames(frames)) => {
                if newest.is_none_or(|(_, other)| other[0].generation < frames[0].generation) {
                    newest = Some((file, frames));
                }
            }
            Some(Content::Damaged { offset, .. }) => {
                return Err(damaged(file, *offset, "a record cannot be read"));
            }
            Some(Content::Newer { version }) => {
                let version = char::from(*version);
                return Err(Error::Newer { path: paths[file].clone(), version });
            }
            Some(Content::Nothing | Content::Headless { .. }) | None => {}
        }
    }
    let readable = newest.map_or(0, |(_, frames)| frames[0].generation);
    for (file, content) in contents.iter().enumerate() {
        match content {
            Some((_, Content::Headless { generation })) if *generation > readable => {
                return Err(damaged(file, 0, "its first record cannot be read"));
            }
            None if expected || readable > 0 || (file == 1 && contents[0].is_some()) => {
                return Err(damaged(file, 0, "it is missing"));
            }
            Some(_) | None => {}
        }
    }
    Ok(newest)
}

fn replay(
    path: &Path,
    bytes: &[u8],
    frames: &[frame::Frame],
    live: &mut BTreeMap<Lease, Entry>,
) -> Result<(), Error> {
    for frame in frames {
        let record: Record = serde_json::from_slice(&bytes[frame.body.clone()]).map_err(|source| {
            Error::Unreadable { path: path.to_owned(), offset: frame.body.start, source }
        })?;
        live.extend(record.finished.into_iter().map(|entry| (entry.lease, entry)));
        for lease in record.forgotten {
            live.remove(&lease);
        }
    }
    Ok(())
}

/// Makes a file full of zeros, whole or not at all.
fn create(folder: &Path, path: &Path) -> Result<(), Error> {
    let make = || {
        let new = path.with_extension("new");
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        let zeros = vec![0; usize::try_from(FILE_BYTES).expect("the size is small")];
        file.write_all_at(&zeros, 0)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(folder)?.sync_all()
    };
    make().map_err(|source| Error::Use { path: path.to_owned(), source })
}

#[cfg(test)]
impl Journal {
    /// Opens it after the host was down.
    pub fn open_after_reboot(folder: &Path) -> Result<Self, Error> {
        Self::open_in(folder, true, "another boot".into())
    }

    /// Makes every write fail, or work again.
    pub fn break_files(&mut self, folder: &Path, broken: bool) {
        self.files = NAMES.map(|name| {
            OpenOptions::new().read(true).write(!broken).open(folder.join(name)).expect("the file is there")
        });
    }
}

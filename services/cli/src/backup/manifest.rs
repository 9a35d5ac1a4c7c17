//! What a backup says of itself, once at its beginning and once, with the digests of all parts, at its end.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The format that is written; a newer one is refused.
pub const FORMAT: u32 = 1;
/// The name of the first file in a backup.
pub const HEAD: &str = "conductor-backup.json";
/// The name of the last file in a backup.
pub const TAIL: &str = "manifest.json";
/// Bytes of a manifest.
pub const MAX_BYTES: u64 = 1 << 20;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the backup.
    pub format: u32,
    /// The release that wrote it.
    pub release: String,
    /// When it was begun.
    pub created_at: String,
    /// The id of the event log.
    pub log: String,
    /// Its last event.
    pub seq: u64,
    /// The last event that the history saw.
    pub history_seq: Option<u64>,
    /// Whether tokens and secrets are in it.
    pub secrets: bool,
    /// Whether the run folders are in it.
    pub runs: bool,
    /// What was left out because it is no file, folder or link, or is mostly holes, or went meanwhile.
    pub skipped: u64,
    /// What is in it.
    pub parts: Vec<Part>,
}

/// A folder in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Files, folders and links in it.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// The digest over all of them in their order.
    pub sha256: String,
}

/// What a file in a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
}

/// Adds parts up, on the way out and on the way in alike.
#[derive(Debug, Default)]
pub struct Sums {
    done: Vec<Part>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    name: String,
    entries: u64,
    bytes: u64,
    digest: Sha256,
}

impl Sums {
    /// Begins an entry: its path's first part names the part of the backup.
    pub fn entry(&mut self, path: &Path, kind: Kind, mode: u32, bytes: u64) {
        let name = path.iter().next().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if self.open.as_ref().is_none_or(|open| open.name != name) {
            self.close();
            self.open = Some(Open { name, entries: 0, bytes: 0, digest: Sha256::new() });
        }
        let open = self.open.as_mut().expect("it was just opened");
        open.entries += 1;
        open.bytes += bytes;
        open.digest.update((path.as_os_str().len() as u64).to_be_bytes());
        open.digest.update(path.as_os_str().as_bytes());
        open.digest.update([kind as u8]);
        open.digest.update(mode.to_be_bytes());
        open.digest.update(bytes.to_be_bytes());
    }

    /// Adds bytes of the entry that was begun last.
    pub fn content(&mut self, bytes: &[u8]) {
        if let Some(open) = &mut self.open {
            open.digest.update(bytes);
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let sha256 = hex::encode(open.digest.finalize());
            self.done.push(Part { name: open.name, entries: open.entries, bytes: open.bytes, sha256 });
        }
    }

    /// All parts.
    pub fn finish(mut self) -> Vec<Part> {
        self.close();
        self.done
    }
}

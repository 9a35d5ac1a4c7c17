//! The state that a work folder is compared with: what of each file is kept before the run.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::beneath::{self, RelativePath};
use super::super::collect::checksum;
use super::super::types::InputFile;
use super::super::walk::Listing;
use super::{MAX_TEXT_BYTES, is_binary};

/// The most bytes that are kept of all files together.
const MAX_BASE_BYTES: usize = 64 << 20;
const BASE: &str = "base";
const MANIFEST: &str = "base.json";

/// What is known of a file that was there before the run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BaseFile {
    pub path: String,
    pub bytes: u64,
    pub sha256: String,
    /// The name of the copy under `base/`, if one is kept.
    pub copy: Option<String>,
    #[serde(default)]
    pub executable: bool,
}

/// Keeps the files that a task brought, as the state to compare with.
///
/// # Errors
///
/// Fails when the disk says no.
pub(in crate::run) fn keep_base(private: BorrowedFd<'_>, files: &[InputFile]) -> io::Result<()> {
    if files.is_empty() || is_kept(private) {
        // A task's files never change.
        return Ok(());
    }
    let mut keeper = Keeper::open(private, files.len())?;
    for InputFile { path, content, executable } in files {
        let sha256 = hex::encode(Sha256::digest(content));
        keeper.keep(path, content.len() as u64, sha256, *executable, Some(content))?;
    }
    keeper.write(private)
}

/// Keeps a work folder as it is, as the state to compare with.
///
/// # Errors
///
/// Fails when a file cannot be read, or the disk says no.
pub(in crate::run) fn keep_work_as_base(private: BorrowedFd<'_>, work: BorrowedFd<'_>) -> io::Result<()> {
    if is_kept(private) {
        return Ok(());
    }
    // A descriptor of its own: one that was read through is at its end, and the run's is listed later.
    let work = beneath::open_folder(work, ".")?;
    let work = work.as_fd();
    let listing = Listing::read(work)?;
    let mut keeper = Keeper::open(private, listing.files.len())?;
    for file in &listing.files {
        let content = if file.bytes <= MAX_TEXT_BYTES { read(work, &file.path)? } else { None };
        let sha256 = match &content {
            Some(content) => Some(hex::encode(Sha256::digest(content))),
            None => checksum(work, &file.path, file.bytes)?,
        };
        if let Some(sha256) = sha256 {
            keeper.keep(&file.path, file.bytes, sha256, file.is_executable, content.as_deref())?;
        }
    }
    keeper.write(private)
}

/// Reads what was kept; nothing when nothing was.
pub(super) fn read_manifest(private: BorrowedFd<'_>) -> io::Result<Vec<BaseFile>> {
    match beneath::open_regular(private, MANIFEST.as_ref())? {
        Some(file) => Ok(serde_json::from_reader(io::BufReader::new(file))?),
        None => Ok(Vec::new()),
    }
}

/// Opens the folder of the copies.
pub(super) fn open_copies(private: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(beneath::open_folder(private, BASE)?)
}

fn is_kept(private: BorrowedFd<'_>) -> bool {
    rustix::fs::accessat(private, MANIFEST, rustix::fs::Access::EXISTS, rustix::fs::AtFlags::empty()).is_ok()
}

fn read(work: BorrowedFd<'_>, path: &str) -> io::Result<Option<Vec<u8>>> {
    let Ok(path) = RelativePath::new(path) else { return Ok(None) };
    let Some(file) = beneath::open_file(work, path)? else { return Ok(None) };
    let mut content = Vec::new();
    file.take(MAX_TEXT_BYTES).read_to_end(&mut content)?;
    Ok(Some(content))
}

struct Keeper {
    copies: OwnedFd,
    kept: usize,
    manifest: Vec<BaseFile>,
}

impl Keeper {
    fn open(private: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        match rustix::fs::mkdirat(private, BASE, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(Self { copies: open_copies(private)?, kept: 0, manifest: Vec::with_capacity(count) })
    }

    fn keep(
        &mut self,
        path: &str,
        bytes: u64,
        sha256: String,
        executable: bool,
        content: Option<&[u8]>,
    ) -> io::Result<()> {
        let fits = |content: &&[u8]| {
            bytes <= MAX_TEXT_BYTES && self.kept + content.len() <= MAX_BASE_BYTES && !is_binary(content)
        };
        let mut copy = None;
        if let Some(content) = content.filter(fits) {
            let name = self.manifest.len().to_string();
            let name_path = RelativePath::new(&name).expect("a number is a file name");
            beneath::write_file(self.copies.as_fd(), name_path, content, beneath::Existing::Replace)
                .map_err(io::Error::other)?;
            self.kept += content.len();
            copy = Some(name);
        }
        self.manifest.push(BaseFile { path: path.to_owned(), bytes, sha256, copy, executable });
        Ok(())
    }

    /// Written last, whole or not at all: without it there is no base.
    fn write(self, private: BorrowedFd<'_>) -> io::Result<()> {
        let temporary = RelativePath::new("base.json.new").expect("a plain name");
        let json = serde_json::to_vec(&self.manifest)?;
        beneath::write_file(private, temporary, &json, beneath::Existing::Replace)
            .map_err(io::Error::other)?;
        Ok(rustix::fs::renameat(private, temporary.as_str(), private, MANIFEST)?)
    }
}

//! Uploads, put where a task wants them: a file as it is, a folder unpacked from its archive.
//!
//! An archive is not trusted: it may hold regular files and folders, and nothing of it may lie outside the place that it is
//! unpacked at. Links and devices are refused, sizes and counts are bounded.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path};

use conductor_protocol::control::UploadKind;
use conductor_runtime::digest::Digesting;
use rustix::fs::Mode;
use tar::EntryType;

use super::beneath::{self, Existing, RelativePath};
use super::types::InputUpload;

/// The most files and folders of an archive.
const MAX_ENTRIES: usize = 200_000;
const EXECUTABLE: Mode = Mode::from_raw_mode(0o755);

/// Why an upload could not be put in its place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the upload {id} is not in this agent's workspace; it has to share that of the orchestrator")]
    NotHere { id: String },
    #[error("the upload {id} is not what was sent: {what}")]
    Damaged { id: String, what: &'static str },
    #[error("the upload {id} is a repository, which is a whole work folder and no file in one")]
    Repository { id: String },
    #[error("the archive {id} holds {path:?}, which is neither a file nor a folder")]
    Kind { id: String, path: String },
    #[error("the archive {id} holds the path {path:?}, which is not one below its folder")]
    BadPath { id: String, path: String },
    #[error("the archive {id} holds more than {limit} {what}")]
    TooMuch { id: String, limit: u64, what: &'static str },
    #[error("read the upload {id}")]
    Read { id: String, source: io::Error },
    #[error(transparent)]
    Place(#[from] beneath::Error),
}

/// Puts an upload where the task wants it. `private` is the workspace's private folder.
///
/// # Errors
///
/// Fails when the upload is not there, is not what was sent, or holds what may not be.
pub fn place(
    private: BorrowedFd<'_>,
    work: BorrowedFd<'_>,
    input: &InputUpload,
    max_bytes: u64,
    existing: Existing,
) -> Result<(), Error> {
    let id = input.upload.id.to_string();
    let data = open(private, &id)?;
    let mut source = Digesting::new(data);
    match input.upload.kind {
        UploadKind::Raw => {
            let mut file = beneath::create_file(work, RelativePath::new(&input.path)?, existing)?;
            copy(&mut source, &mut file, &id)?;
            if input.executable {
                allow_execution(&file, &id)?;
            }
        }
        UploadKind::Tar => {
            unpack(&mut source, work, &id, &input.path, max_bytes, existing)?;
            // What follows the archive's end belongs to what was checked, too.
            copy(&mut source, &mut io::sink(), &id)?;
        }
        UploadKind::Bundle => return Err(Error::Repository { id }),
    }
    let damaged = |what| Error::Damaged { id: id.clone(), what };
    let (bytes, digest) = source.finish();
    if bytes != input.upload.bytes {
        return Err(damaged("its length is another"));
    }
    if digest == input.upload.sha256 { Ok(()) } else { Err(damaged("its SHA-256 is another")) }
}

fn open(private: BorrowedFd<'_>, id: &str) -> Result<File, Error> {
    let not_here = || Error::NotHere { id: id.to_owned() };
    let uploads = beneath::open_folder(private, "uploads").map_err(|_| not_here())?;
    let folder = beneath::open_folder(uploads.as_fd(), id).map_err(|_| not_here())?;
    let found = beneath::open_regular(folder.as_fd(), OsStr::new("data"));
    found.map_err(|source| Error::Read { id: id.to_owned(), source })?.ok_or_else(not_here)
}

fn unpack(
    source: &mut impl Read,
    work: BorrowedFd<'_>,
    id: &str,
    below: &str,
    max_bytes: u64,
    existing: Existing,
) -> Result<(), Error> {
    let read = |source| Error::Read { id: id.to_owned(), source };
    let too_much = |limit, what| Error::TooMuch { id: id.to_owned(), limit, what };
    let mut left = max_bytes;
    let mut archive = tar::Archive::new(source);
    for (count, entry) in archive.entries().map_err(read)?.enumerate() {
        if count >= MAX_ENTRIES {
            return Err(too_much(MAX_ENTRIES as u64, "files and folders"));
        }
        let entry = entry.map_err(read)?;
        let shown = || String::from_utf8_lossy(&entry.path_bytes()).chars().take(200).collect::<String>();
        let path = path(below, &entry.path().map_err(read)?)
            .ok_or_else(|| Error::BadPath { id: id.to_owned(), path: shown() })?;
        match entry.header().entry_type() {
            EntryType::Directory if path.is_empty() => {}
            EntryType::Directory => beneath::make_folder(work, RelativePath::new(&path)?)?,
            EntryType::Regular | EntryType::Continuous => {
                let size = entry.size();
                left = left.checked_sub(size).ok_or_else(|| too_much(max_bytes, "bytes"))?;
                let executable = entry.header().mode().map_err(read)? & 0o100 != 0;
                let mut file = beneath::create_file(work, RelativePath::new(&path)?, existing)?;
                copy(&mut entry.take(size), &mut file, id)?;
                if executable {
                    allow_execution(&file, id)?;
                }
            }
            // What describes the archive as a whole.
            EntryType::XGlobalHeader => {}
            _ => return Err(Error::Kind { id: id.to_owned(), path: shown() }),
        }
    }
    Ok(())
}

/// Where an entry goes, relative to the work folder; none when it would leave its place.
fn path(below: &str, entry: &Path) -> Option<String> {
    let mut names: Vec<&str> = below.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    for component in entry.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(names.join("/"))
}

fn copy(from: &mut impl Read, to: &mut impl io::Write, id: &str) -> Result<u64, Error> {
    io::copy(from, to).map_err(|source| Error::Read { id: id.to_owned(), source })
}

fn allow_execution(file: &File, id: &str) -> Result<(), Error> {
    rustix::fs::fchmod(file, EXECUTABLE)
        .map_err(|errno| Error::Read { id: id.to_owned(), source: errno.into() })
}

#[cfg(test)]
mod tests;

//! The secrets that people keep beside Conductor: one file each, in a folder that only its owner can enter.
//!
//! Agents read them for the runners that need a credential, and the orchestrator reads those that sign a task's webhook.
//! Nothing else does: a value goes into no log, no event, no answer and no error.

mod folder;
mod name;

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use crate::credentials::Secret;
pub use name::{Name, NameError};

use crate::credentials::{self, replace_file};
use folder::Fault;

/// No value is longer.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// The most secrets of one store.
pub const MAX_SECRETS: usize = 1_000;

/// Why a secret could not be read or kept. No value is in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} is not a folder; secrets are kept in one")]
    NotAFolder { path: PathBuf },
    #[error("the secret {name} is not a regular file ({path})")]
    NotAFile { name: Name, path: PathBuf },
    #[error("{path} belongs to the user {owner}; it must belong to the one that Conductor runs as")]
    OtherOwner { path: PathBuf, owner: u32 },
    #[error("others can read {path} (mode {mode:04o}); close it with: chmod {wanted} {path}")]
    Open { path: PathBuf, mode: u32, wanted: &'static str },
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot keep the secret {name}")]
    Keep { name: Name, source: credentials::Error },
    #[error("the secret {name} {problem}")]
    BadValue { name: Name, problem: &'static str },
    #[error("{path} holds {MAX_SECRETS} secrets already")]
    Full { path: PathBuf },
}

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: Name,
    /// When it was last set.
    pub set_at: SystemTime,
}

/// The secrets in one folder.
#[derive(Clone, Debug)]
pub struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    /// Takes a folder as the store; it may not be there yet, and is then empty.
    ///
    /// # Errors
    /// When it is no folder, belongs to somebody else, or others can enter it.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let secrets = Self { folder: folder.into() };
        secrets.check_folder()?;
        Ok(secrets)
    }

    /// Where they lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads one as it is now; none when there is no such secret.
    ///
    /// # Errors
    /// When others can read it, it belongs to somebody else, or it cannot be a secret.
    pub fn get(&self, name: &Name) -> Result<Option<Secret>, Error> {
        if !self.check_folder()? {
            return Ok(None);
        }
        let path = self.path(name);
        let read = |source| Error::Read { path: path.clone(), source };
        let file = match folder::open_file(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(read(source)),
        };
        let metadata = file.metadata().map_err(read)?;
        if !metadata.is_file() {
            return Err(Error::NotAFile { name: name.clone(), path });
        }
        folder::check(&metadata).map_err(|fault| self.refused(&path, fault, "600"))?;
        // Read into what is wiped, however it ends.
        let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(MAX_VALUE_BYTES + 3));
        file.take(MAX_VALUE_BYTES as u64 + 3).read_to_end(&mut bytes).map_err(read)?;
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text.strip_suffix('\n').unwrap_or(text),
            Err(_) => return Err(bad(name, "is not text")),
        };
        checked(name, text.strip_suffix('\r').unwrap_or(text)).map(Some)
    }

    /// Keeps a value under a name, in place of the one that was there; tells whether there was one. One line end at the
    /// end of the value is left out.
    ///
    /// # Errors
    /// When the value cannot be a secret, or cannot be written.
    pub fn set(&self, name: &Name, value: &Secret) -> Result<bool, Error> {
        let text = value.reveal();
        let text = text.strip_suffix('\n').unwrap_or(text);
        let value = checked(name, text.strip_suffix('\r').unwrap_or(text))?;
        let path = self.path(name);
        let keep = |source| Error::Keep { name: name.clone(), source };
        folder::make(&self.folder).map_err(|source| Error::Write { path: self.folder.clone(), source })?;
        self.check_folder()?;
        let was_there = path.symlink_metadata().is_ok();
        if !was_there && self.list()?.len() >= MAX_SECRETS {
            return Err(Error::Full { path: self.folder.clone() });
        }
        replace_file(&path, value.reveal()).map_err(keep)?;
        Ok(was_there)
    }

    /// Lists what is kept, by name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        if !self.check_folder()? {
            return Ok(Vec::new());
        }
        let read = |source| Error::Read { path: self.folder.clone(), source };
        let mut listed = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            // Other files, as one that is just being written, have names that no secret has.
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() {
                listed.push(Listed { name, set_at: metadata.modified().map_err(read)? });
            }
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// Removes one; tells whether it was there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, name: &Name) -> Result<bool, Error> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.folder.join(name.as_str())
    }

    /// Tells whether the folder is there; one that is not fit is refused.
    fn check_folder(&self) -> Result<bool, Error> {
        let path = &self.folder;
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(Error::Read { path: path.clone(), source }),
        };
        if !metadata.is_dir() {
            return Err(Error::NotAFolder { path: path.clone() });
        }
        folder::check(&metadata).map_err(|fault| self.refused(path, fault, "700"))?;
        Ok(true)
    }

    fn refused(&self, path: &Path, fault: Fault, wanted: &'static str) -> Error {
        let path = path.to_owned();
        match fault {
            Fault::OtherOwner(owner) => Error::OtherOwner { path, owner },
            Fault::Open(mode) => Error::Open { path, mode, wanted },
        }
    }
}

fn checked(name: &Name, text: &str) -> Result<Secret, Error> {
    if text.is_empty() {
        Err(bad(name, "is empty"))
    } else if text.len() > MAX_VALUE_BYTES {
        Err(bad(name, "is longer than 65536 bytes"))
    } else if text.contains('\0') {
        Err(bad(name, "holds a NUL, which no environment variable can"))
    } else {
        Ok(Secret::new(text))
    }
}

fn bad(name: &Name, problem: &'static str) -> Error {
    Error::BadValue { name: name.clone(), problem }
}

#[cfg(test)]
mod tests;

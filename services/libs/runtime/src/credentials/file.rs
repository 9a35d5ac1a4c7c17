//! Files that hold a secret: mode 0600, whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Error, random_hex};

/// No secret is longer; a file that is was named by mistake.
const MAX_BYTES: u64 = 4096;

/// Puts `content` at `path` in one step, in place of what was there.
pub(crate) fn replace(path: &Path, content: &str) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let temporary = write_beside(path, content)?;
    fs::rename(&temporary, path).and_then(|()| sync_folder(path)).map_err(|error| {
        remove(&temporary);
        failed(error)
    })
}

/// Puts `content` at `path` in one step unless something is there; tells whether it did.
pub(super) fn create_new(path: &Path, content: &str) -> Result<bool, Error> {
    let temporary = write_beside(path, content)?;
    let linked = fs::hard_link(&temporary, path).and_then(|()| sync_folder(path));
    remove(&temporary);
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(Error::Write { path: path.to_owned(), source }),
    }
}

/// Reads a secret's file, without the white space around it.
pub(super) fn read(path: &Path) -> io::Result<String> {
    use std::io::Read;

    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long to be a secret"));
    }
    Ok(text.trim().to_owned())
}

fn write_beside(path: &Path, content: &str) -> Result<PathBuf, Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", &random_hex()?[..16]));
    let temporary = path.with_file_name(name);
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).and_then(|mut file| {
            file.write_all(content.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
    match written {
        Ok(()) => Ok(temporary),
        Err(source) => {
            remove(&temporary);
            Err(Error::Write { path: path.to_owned(), source })
        }
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes a temporary file; one that stays behind is harmless.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(path = %path.display(), %error, "a temporary file stayed behind");
    }
}

//! The format of a state directory as a whole.
//!
//! A release writes the format that it finds, as long as it is one that the release before writes too, so that one may go
//! back. Only [`finalize`] raises it to [`CURRENT`]. There has been one format so far; a release that brings the next raises
//! `CURRENT` and reads [`Format::number`] where it writes what the release before could not read.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The newest format that this release reads and, once it is finalized, writes.
pub const CURRENT: u32 = 1;
/// The first release that reads it.
pub const SINCE: &str = "0.1.0";

/// The file's name in the state directory.
const FILE: &str = "format.json";

/// What the state directory says of its format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// The number, which only grows.
    pub number: u32,
    /// The first release that reads it.
    pub since: String,
    /// The release that was started here last.
    pub release: String,
}

/// Why the format does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A newer release wrote it and was finalized.
    #[error(
        "{path} has format {found}, and this release reads up to {CURRENT}; start release {since} or a newer one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The first release that reads it.
        since: String,
    },
    /// What is there is not what was written.
    #[error("{path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The file cannot be read or written.
    #[error("failed to use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Reads the format of a state directory; none where nothing was started yet.
///
/// # Errors
/// When the file is damaged or cannot be read.
pub fn read(state: &Path) -> Result<Option<Format>, Error> {
    let path = state.join(FILE);
    match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|source| Error::Damaged { path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { path, source }),
    }
}

/// Refuses a format that this release does not know, notes that this release was started here, and answers which format is
/// to be written: the one that is there, or `CURRENT` where there is none.
///
/// # Errors
/// Names the file and the release that reads it.
pub fn open(state: &Path, release: &str) -> Result<Format, Error> {
    let current = || Format { number: CURRENT, since: SINCE.to_owned(), release: String::new() };
    let found = read(state)?;
    if let Some(Format { number, since, .. }) = found.as_ref().filter(|found| found.number > CURRENT) {
        return Err(Error::Newer { path: state.join(FILE), found: *number, since: since.clone() });
    }
    let format = Format { release: release.to_owned(), ..found.clone().unwrap_or_else(current) };
    if found.as_ref() == Some(&format) {
        return Ok(format);
    }
    match write(state, &format) {
        // On a full disk it is noted at a later start.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull => {}
        written => written?,
    }
    Ok(format)
}

/// Raises the format to `CURRENT`. No orchestrator runs meanwhile.
///
/// # Errors
/// When it cannot be written.
pub fn finalize(state: &Path) -> Result<Format, Error> {
    let release = read(state)?.map_or_else(String::new, |format| format.release);
    let format = Format { number: CURRENT, since: SINCE.to_owned(), release };
    write(state, &format)?;
    Ok(format)
}

fn write(state: &Path, format: &Format) -> Result<(), Error> {
    let (path, new) = (state.join(FILE), state.join("format.json.new"));
    let text = serde_json::to_vec(format).expect("it is plain text");
    std::fs::write(&new, text)
        .and_then(|()| std::fs::File::open(&new)?.sync_all())
        .and_then(|()| std::fs::rename(&new, &path))
        .map_err(|source| Error::Io { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_is_there_is_kept_until_it_is_finalized() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let older = Format { number: 0, since: "0.0.9".to_owned(), release: "0.0.9".to_owned() };
        write(dir.path(), &older).unwrap();
        assert_eq!(open(dir.path(), "0.1.0").unwrap(), Format { release: "0.1.0".to_owned(), ..older });
        assert_eq!(finalize(dir.path()).unwrap().number, CURRENT);
        assert_eq!(open(dir.path(), "0.1.0").unwrap().number, CURRENT);
    }

    #[test]
    fn a_format_of_a_newer_release_is_refused_with_the_release_that_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let newer = Format { number: CURRENT + 1, since: "9.9.9".to_owned(), release: "9.9.9".to_owned() };
        write(dir.path(), &newer).unwrap();
        let refused = open(dir.path(), "0.1.0").unwrap_err().to_string();
        assert!(refused.contains("format.json") && refused.contains("9.9.9"), "{refused}");
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(open(dir.path(), "0.1.0").unwrap_err().to_string().contains("damaged"));
    }
}

//! Copies of a state directory's log and history that fit together, made while an orchestrator writes both.
//!
//! The history is copied first: it follows the log, so a log that is copied later holds all that the history saw. Only when
//! the log was trimmed between the two beyond what the copied history saw are both copied again.

use std::io;
use std::path::{Path, PathBuf};

use conductor_core::Seq;
use serde::{Deserialize, Serialize};

use crate::database::{self, OpenError};
use crate::log::LogId;
use crate::{history, log};

/// How often both are copied when the log is trimmed meanwhile.
const TRIES: usize = 5;

/// The file of the log in a directory of copies.
pub const LOG: &str = log::sqlite::FILE;
/// The file of the history in a directory of copies.
pub const HISTORY: &str = history::sqlite::FILE;

/// The file that says what a state directory was restored from.
const RESTORED: &str = "restored.json";

/// Why a state directory cannot be copied, or a copy not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of the files is damaged, of a newer format, or cannot be read or written.
    #[error(transparent)]
    File(#[from] OpenError),
    /// There is nothing to copy.
    #[error("there is no event log in {path}")]
    Nothing {
        /// The state directory.
        path: PathBuf,
    },
    /// The log lacks what was acknowledged.
    #[error("{path} ends with event {last}, but event {written} was written")]
    Short {
        /// The log's file.
        path: PathBuf,
        /// The last event that it holds.
        last: u64,
        /// The last one that was acknowledged.
        written: u64,
    },
    /// The two do not belong together.
    #[error("{history} does not follow {log}: {why}")]
    Apart {
        /// The history's file.
        history: PathBuf,
        /// The log's file.
        log: PathBuf,
        /// What stands between them.
        why: String,
    },
    /// The log is trimmed faster than it is copied.
    #[error("the event log in {path} was trimmed while it was copied, {TRIES} times")]
    Busy {
        /// The state directory.
        path: PathBuf,
    },
    /// A file cannot be moved or removed.
    #[error("failed to use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a directory of copies holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The log.
    pub log: LogId,
    /// The first event that it keeps.
    pub first: Seq,
    /// The last event that it holds.
    pub last: Seq,
    /// The last event that the history saw; none where there is no history.
    pub history: Option<Seq>,
}

/// Copies log and history of the state directory `state` to `into`, where neither is yet, and checks the copies.
///
/// # Errors
/// Says which file is damaged or cannot be copied. What was copied by then stays in `into`.
pub fn take(state: &Path, into: &Path) -> Result<Copied, Error> {
    let path = state.join(LOG);
    if !path.exists() {
        return Err(Error::Nothing { path: state.to_owned() });
    }
    let written = database::written(&path)?;
    for _ in 0..TRIES {
        for file in [HISTORY, LOG] {
            let to = into.join(file);
            remove(&to)?;
            if state.join(file).exists() {
                database::copy(&state.join(file), &to)?;
            }
        }
        match check(into) {
            Ok(copied) if copied.last.0 < written => {
                return Err(Error::Short { path, last: copied.last.0, written });
            }
            Ok(copied) if copied.history.is_some_and(|seen| seen.next() < copied.first) => {}
            checked => return checked,
        }
    }
    Err(Error::Busy { path: state.to_owned() })
}

/// Copies the history alone of the state directory `state` to `into`, ready to be opened there, and answers which log it
/// follows and how far it got.
///
/// # Errors
/// Says why it cannot be copied.
pub fn take_history(state: &Path, into: &Path) -> Result<(Option<LogId>, Seq), Error> {
    let to = into.join(HISTORY);
    for suffix in ["", "-wal", "-shm", "-mark"] {
        remove(&into.join(format!("{HISTORY}{suffix}")))?;
    }
    database::copy(&state.join(HISTORY), &to)?;
    let (log, applied) = history::sqlite::check_copy(&to)?;
    database::adopt(&to, applied.0, |_| Ok(()))?;
    Ok((log, applied))
}

/// How far the history of a state directory got, whoever writes it.
///
/// # Errors
/// When it cannot be read.
pub fn followed(state: &Path) -> Result<Seq, Error> {
    Ok(history::sqlite::followed(&state.join(HISTORY))?)
}

/// Reads copies through and compares them.
///
/// # Errors
/// Says what is damaged, or why the two do not belong together.
pub fn check(dir: &Path) -> Result<Copied, Error> {
    let (log, history) = (dir.join(LOG), dir.join(HISTORY));
    let status = log::sqlite::check_copy(&log)?;
    let mut copied = Copied { log: status.log, first: status.first, last: status.last, history: None };
    if !history.exists() {
        return Ok(copied);
    }
    let (followed, applied) = history::sqlite::check_copy(&history)?;
    let apart = |why: String| Error::Apart { history: history.clone(), log: log.clone(), why };
    if followed.is_some_and(|followed| followed != status.log) {
        return Err(apart("it followed another one".to_owned()));
    }
    if applied > status.last {
        return Err(apart(format!("it saw event {applied}, and the log ends with {}", status.last)));
    }
    copied.history = Some(applied);
    Ok(copied)
}

/// Makes the copies in a directory a log and a history of their own, under the name `log`. What followed the log that was
/// copied notices by the name that this is not the same one any more.
///
/// # Errors
/// When they cannot be written.
pub fn adopt(dir: &Path, log: LogId) -> Result<(), Error> {
    if dir.join(HISTORY).exists() {
        history::sqlite::adopt(&dir.join(HISTORY), log)?;
    }
    log::sqlite::adopt(&dir.join(LOG), log)?;
    Ok(())
}

/// Moves adopted copies into a state directory, the log last: a directory with a history and without a log is refused at a
/// start, so that one that was left half way is never started.
///
/// # Errors
/// When they cannot be moved.
pub fn move_into(from: &Path, state: &Path) -> Result<(), Error> {
    for file in [HISTORY, LOG] {
        let (from, to) = (from.join(file), state.join(file));
        for (from, to) in [(database::mark_path(&from), database::mark_path(&to)), (from, to)] {
            if !from.exists() {
                continue;
            }
            std::fs::rename(&from, &to).map_err(|source| Error::Io { path: to, source })?;
        }
    }
    std::fs::File::open(state)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| Error::Io { path: state.to_owned(), source })
}

/// Removes log and history from a state directory, the log first.
///
/// # Errors
/// When one cannot be removed.
pub fn clear(state: &Path) -> Result<(), Error> {
    for file in [LOG, HISTORY] {
        let path = state.join(file);
        for suffix in ["", "-wal", "-shm", "-mark"] {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            remove(Path::new(&name))?;
        }
    }
    remove(&state.join(log::redis::MARK_FILE))
}

/// What shows that a state directory was used: its log, its history, or the mark of a log elsewhere.
#[must_use]
pub fn trace(state: &Path) -> Option<PathBuf> {
    [LOG, HISTORY, log::redis::MARK_FILE].into_iter().map(|file| state.join(file)).find(|path| path.exists())
}

/// What a state directory was restored from, so that whoever saw more of that log can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The log that was copied.
    pub log: String,
    /// The last event of the copy.
    pub seq: u64,
    /// The log that was made of it.
    pub became: String,
}

impl Restored {
    /// Reads it; none where nothing was restored, or where it does not read.
    #[must_use]
    pub fn read(state: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(state.join(RESTORED)).ok()?).ok()
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, state: &Path) -> Result<(), Error> {
        let path = state.join(RESTORED);
        let text = serde_json::to_vec(self).expect("it is plain text");
        std::fs::write(&path, text).map_err(|source| Error::Io { path, source })
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

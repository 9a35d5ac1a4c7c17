//! What an agent keeps of itself over its restarts, in a folder that one worker at a time may use.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use conductor_core::AgentId;
use conductor_protocol::agent::LogPosition;
use conductor_protocol::text;
use rustix::fs::FlockOperation;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::process::table;

/// Why an agent cannot use its folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("another agent named {name} uses {path}{}", holder(*pid))]
    Locked {
        name: String,
        path: PathBuf,
        pid: Option<u32>,
        /// Whether it says so itself or has lost its monitor, and is about to end.
        leaving: bool,
    },
    #[error("use {path}")]
    Use { path: PathBuf, source: io::Error },
    #[error("{path} is damaged; move it away, and the agent comes back as a new one")]
    Damaged { path: PathBuf, source: serde_json::Error },
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

/// The folder of one agent, locked.
#[derive(Debug)]
pub struct Identity {
    folder: PathBuf,
    kept: Kept,
    /// Whether the agent was here before, and left more than who it is.
    known: bool,
    lock: File,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    version: u32,
    #[serde(with = "text::display")]
    agent_id: AgentId,
    /// The furthest log position the orchestrator told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<LogPosition>,
    /// Whether it comes from a backup, which holds nothing else of this folder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    restored: bool,
}

const VERSION: u32 = 1;

impl Kept {
    fn fresh() -> Self {
        let agent_id = AgentId(uuid::Uuid::now_v7().as_u128());
        Self { version: VERSION, agent_id, seen: None, restored: false }
    }
}

/// What a log position says when it is compared with the furthest one seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is as far or further.
    Ahead,
    /// The orchestrator has lost what it said before.
    Behind { seen: u64 },
    /// It is another log.
    Other { seen: LogPosition },
}

impl Identity {
    /// Locks the folder of the agent named `name` below `agents`, made when it is not there. The id is written only with
    /// [`Identity::keep`].
    ///
    /// # Errors
    /// When another agent holds it, or it cannot be used.
    pub fn open(agents: &Path, name: &str) -> Result<Self, Error> {
        let folder = agents.join(folder_name(name));
        let used = |source| Error::Use { path: folder.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(used)?;
        let lock = lock(&folder, name)?;
        let path = folder.join("agent.json");
        let (kept, known) = match fs::read(&path) {
            Ok(bytes) => {
                let kept: Kept = serde_json::from_slice(&bytes)
                    .map_err(|source| Error::Damaged { path: path.clone(), source })?;
                let known = !kept.restored;
                (Kept { restored: false, ..kept }, known)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Kept::fresh(), false),
            Err(source) => return Err(Error::Use { path, source }),
        };
        Ok(Self { folder, kept, known, lock })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The id, the same in every life.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        self.kept.agent_id
    }

    /// The furthest log position that was seen.
    #[must_use]
    pub fn seen(&self) -> Option<&LogPosition> {
        self.kept.seen.as_ref()
    }

    /// Tells who wants the folder that it is soon to be had.
    pub fn leave(&mut self) {
        // Without the note the successor waits less long.
        let _ = note(&mut self.lock, 0);
    }

    /// Whether the agent was here in an earlier life; one that was restored from a backup begins anew under its old id.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Writes the id down.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn keep(&mut self) -> Result<(), Error> {
        let path = self.folder.join("agent.json");
        write(&self.folder, &path, &self.kept).map_err(|source| Error::Use { path, source })?;
        self.known = true;
        Ok(())
    }

    /// Compares a log position with the furthest one seen, and keeps it when it is further.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn see(&mut self, position: &LogPosition) -> Result<Seen, Error> {
        let seen = match &self.kept.seen {
            Some(seen) if seen.id == position.id && seen.seq > position.seq => {
                return Ok(Seen::Behind { seen: seen.seq });
            }
            Some(seen) if seen == position => return Ok(Seen::Ahead),
            Some(seen) if seen.id != position.id => Seen::Other { seen: seen.clone() },
            Some(_) | None => Seen::Ahead,
        };
        self.kept.seen = Some(position.clone());
        self.keep()?;
        Ok(seen)
    }
}

/// A name as the name of a folder: what is special in a path is written as `%` and its hexadecimal code.
fn folder_name(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-@+=".contains(&byte);
    name.bytes().fold(String::new(), |mut text, byte| {
        if plain(byte) || (byte == b'.' && !text.is_empty()) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
        text
    })
}

fn lock(folder: &Path, name: &str) -> Result<File, Error> {
    let path = folder.join("lock");
    let used = |source| Error::Use { path: path.clone(), source };
    let mut options = OpenOptions::new();
    let mut file =
        options.create(true).truncate(false).read(true).write(true).mode(0o600).open(&path).map_err(used)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let mut pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
            let (pid, monitor) = (pids.next(), pids.next());
            let leaving = pid.zip(monitor).is_some_and(|(pid, monitor)| has_lost(pid, monitor));
            let pid = pid.and_then(|pid| u32::try_from(pid).ok());
            return Err(Error::Locked { name: name.to_owned(), path: folder.to_owned(), pid, leaving });
        }
        Err(error) => return Err(used(error.into())),
    }
    let monitor = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    note(&mut file, monitor).map_err(used)?;
    Ok(file)
}

/// Writes down who holds the lock, and below which monitor.
fn note(file: &mut File, monitor: i32) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{} {monitor}", std::process::id())
}

/// Whether a worker lives without the monitor that started it.
fn has_lost(worker: i32, monitor: i32) -> bool {
    let stat = Pid::from_raw(worker).and_then(table::stat);
    stat.is_some_and(|stat| stat.parent.is_none_or(|parent| parent.as_raw_nonzero().get() != monitor))
}

fn write(folder: &Path, path: &Path, kept: &Kept) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(kept).expect("the record has string keys alone"))?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(id: &str, seq: u64) -> LogPosition {
        LogPosition { id: id.into(), seq }
    }

    #[test]
    fn the_id_stays_and_a_second_agent_of_the_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Identity::open(folder.path(), "a").unwrap();
        assert!(!first.is_known());
        first.keep().unwrap();
        let id = first.agent_id();
        let error = Identity::open(folder.path(), "a").unwrap_err().to_string();
        assert!(error.contains("named a") && error.contains(&std::process::id().to_string()), "{error}");
        assert_ne!(Identity::open(folder.path(), "b").unwrap().agent_id(), id);
        drop(first);
        let again = Identity::open(folder.path(), "a").unwrap();
        assert!(again.is_known());
        assert_eq!(again.agent_id(), id);
    }

    #[test]
    fn a_worker_that_lost_its_monitor_is_told_from_one_that_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Identity::open(folder.path(), "a").unwrap();
        let leaving = || match Identity::open(folder.path(), "a").unwrap_err() {
            Error::Locked { leaving, .. } => leaving,
            other => panic!("{other}"),
        };
        assert!(!leaving());
        fs::write(folder.path().join("a/lock"), format!("{} {}\n", std::process::id(), i32::MAX)).unwrap();
        assert!(leaving());
        fs::write(folder.path().join("a/lock"), "").unwrap();
        assert!(!leaving());
        first.leave();
        assert!(leaving());
    }

    #[test]
    fn an_orchestrator_that_comes_back_behind_is_noticed_even_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut identity = Identity::open(folder.path(), "a").unwrap();
        assert_eq!(identity.see(&position("x", 7)).unwrap(), Seen::Ahead);
        assert_eq!(identity.see(&position("x", 9)).unwrap(), Seen::Ahead);
        drop(identity);
        let mut identity = Identity::open(folder.path(), "a").unwrap();
        assert_eq!(identity.see(&position("x", 8)).unwrap(), Seen::Behind { seen: 9 });
        assert_eq!(identity.seen(), Some(&position("x", 9)));
        assert_eq!(identity.see(&position("y", 1)).unwrap(), Seen::Other { seen: position("x", 9) });
        assert_eq!(identity.seen(), Some(&position("y", 1)));
    }

    #[test]
    fn one_from_a_backup_keeps_its_id_and_has_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        Identity::open(folder.path(), "a").unwrap().keep().unwrap();
        let path = folder.path().join("a/agent.json");
        let mut kept: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        kept["restored"] = true.into();
        fs::write(&path, kept.to_string()).unwrap();
        let mut restored = Identity::open(folder.path(), "a").unwrap();
        assert!(!restored.is_known(), "no outbox came with it");
        restored.keep().unwrap();
        let id = restored.agent_id();
        drop(restored);
        let again = Identity::open(folder.path(), "a").unwrap();
        assert_eq!((again.is_known(), again.agent_id()), (true, id));
        assert_eq!(id.to_string(), kept["agent_id"]);
    }

    #[test]
    fn a_name_never_leaves_the_folder() {
        for (name, folder) in
            [("gpu/a:1", "gpu%2fa%3a1"), ("..", "%2e."), (".hidden", "%2ehidden"), ("a.b", "a.b")]
        {
            assert_eq!(folder_name(name), folder);
        }
    }

    #[test]
    fn a_damaged_identity_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        Identity::open(folder.path(), "a").unwrap().keep().unwrap();
        fs::write(folder.path().join("a/agent.json"), "{").unwrap();
        let error = Identity::open(folder.path(), "a").unwrap_err().to_string();
        assert!(error.contains("agent.json"), "{error}");
    }
}

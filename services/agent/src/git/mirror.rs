//! The mirror of a repository: what is fetched once, and borrowed by every run.
//!
//! It is changed under a lock alone, which every step of git holds as its standard input, so that not even one that outlives
//! its agent is overtaken. Objects are only ever added: packs are rolled together, and nothing that a run may borrow is
//! thrown away. A mirror goes as a whole, when room is needed and no run borrows from it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use conductor_protocol::submit::GitWorkspace;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};

use super::program::{Error, Git, Step};
use super::remote::Remote;
use super::{large, objects};
use crate::process::{boot_ms, leftover};
use crate::runner::wait;

mod bundle;
mod fetch;
mod room;

pub(super) use room::{bytes_below, make_room};

/// The folder of the mirrors, below the private one.
pub(super) const FOLDER: &str = "git-mirrors";
/// The most refs that a run is told of, and the most bytes of their list.
const MAX_REFS_BYTES: usize = 16 << 20;
/// The pause between two looks at a lock that somebody else holds.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Where the commit of a ref that has no place of its own is kept.
const WANTED: &str = "refs/conductor/wanted";
const HEAD: &str = "refs/conductor/head";

/// A mirror and the right to change it.
#[derive(Debug)]
pub(super) struct Mirror {
    folder: PathBuf,
    lock: File,
}

/// What a run starts from.
#[derive(Debug, Clone, Default)]
pub(super) struct Start {
    /// The commit whose files the run finds.
    pub commit: String,
    /// The commit that its branch begins at: the same, but where somebody sent what was not committed.
    pub head: String,
    /// The name of the branch that the commit was found under.
    pub branch: Option<String>,
    /// The branches and tags of the repository, by their full names.
    pub refs: BTreeMap<String, String>,
}

impl Mirror {
    /// Waits until nobody else changes the mirror of this repository, and makes it where it is missing.
    pub fn lock(git: &Git<'_>, mirrors: &Path, remote: &Remote, depth: Option<u32>) -> Result<Self, Error> {
        let name = name(&format!("{} {}", remote.url, depth.unwrap_or_default()));
        Self::lock_named(git, mirrors, &name, &remote.url)
    }

    /// The same for a mirror whose name is known.
    pub fn lock_named(git: &Git<'_>, mirrors: &Path, name: &str, url: &str) -> Result<Self, Error> {
        make(mirrors)?;
        let folder = mirrors.join(name);
        loop {
            make(&folder)?;
            let path = folder.join("lock");
            let lock = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            let lock = lock.map_err(Error::disk("open the lock of a mirror"))?;
            wait_for(git, &lock)?;
            // A mirror that was removed meanwhile has another file there, or none.
            let is_current = fs::metadata(&path)
                .is_ok_and(|now| lock.metadata().is_ok_and(|ours| now.ino() == ours.ino()));
            if is_current {
                let mirror = Self { folder, lock };
                mirror.begin(url)?;
                return Ok(mirror);
            }
        }
    }

    pub fn repository(&self) -> PathBuf {
        self.folder.join("repo.git")
    }

    fn begin(&self, url: &str) -> Result<(), Error> {
        let repository = self.repository();
        if !repository.join("HEAD").exists() {
            objects::make_repository(&repository, None)?;
            fs::write(self.folder.join("url"), url).map_err(Error::disk("name a mirror"))?;
        }
        make(&self.folder.join("borrowers"))?;
        // What a step of git that was killed left behind; nobody else is at work here.
        for lock in ["packed-refs.lock", "shallow.lock", "config.lock", "HEAD.lock"] {
            let _ = fs::remove_file(repository.join(lock));
        }
        remove_below(&repository.join("refs"), 8, &|name| name.as_encoded_bytes().ends_with(b".lock"));
        remove_below(&repository.join("objects/pack"), 1, &|name| {
            name.as_encoded_bytes().starts_with(b"tmp_")
        });
        large::sweep(&repository);
        Ok(())
    }

    /// Notes that a task borrows from it.
    pub fn lend(&self, task: &str) -> Result<(), Error> {
        let noted = File::create(self.folder.join("borrowers").join(task));
        noted.map(drop).map_err(Error::disk("note a borrower"))
    }

    /// Brings what the task asks for, and finds the commit to start from. A fetch that began after `asked_ms` serves too.
    pub fn start(
        &self,
        git: &Git<'_>,
        remote: &Remote,
        asked: &GitWorkspace,
        asked_ms: u64,
    ) -> Result<Start, Error> {
        let reference = asked.reference.as_deref();
        let commit_id = reference.filter(|text| is_commit_id(text));
        if let Some(id) = commit_id
            && self.has(git, id)?
        {
            let commit = id.to_ascii_lowercase();
            return Ok(Start { head: commit.clone(), commit, branch: None, refs: self.refs(git)? });
        }
        let extra = reference.filter(|text| text.starts_with("refs/")).map(|text| format!("+{text}:{text}"));
        if extra.is_some() || asked.depth.is_some() || !self.was_fetched_since(asked_ms) {
            let began_ms = boot_ms();
            self.fetch(git, remote, asked, extra)?;
            if asked.depth.is_none() {
                let mark = format!("{} {began_ms}", leftover::boot_id());
                fs::write(self.folder.join("fetched"), mark).map_err(Error::disk("note a fetch"))?;
            }
        }
        let refs = self.refs(git)?;
        let at = |name: &str| refs.get(name).cloned();
        let (found, branch) = match reference {
            _ if asked.depth.is_some() => (at(WANTED), reference.map(str::to_owned)),
            None => (at(HEAD), None),
            Some(text) if commit_id.is_some() => {
                let spec = format!("+{text}:{WANTED}");
                self.fetch(git, remote, asked, Some(spec))?;
                (self.has(git, text)?.then(|| text.to_ascii_lowercase()), None)
            }
            Some(text) if text.starts_with("refs/") => {
                (at(text), text.strip_prefix("refs/heads/").map(str::to_owned))
            }
            Some(text) => match at(&format!("refs/heads/{text}")) {
                Some(found) => (Some(found), Some(text.to_owned())),
                None => (at(&format!("refs/tags/{text}")), None),
            },
        };
        let commit = found.ok_or_else(|| Error::Workspace {
            why: format!("{} has no {}", remote.shown(), reference.unwrap_or("commit at its head")),
            hint: "give a branch, a tag, a full name below refs/ or a whole commit id",
        })?;
        let branch = branch.filter(|_| commit_id.is_none());
        let refs = refs.into_iter().filter(|(name, _)| !name.starts_with("refs/conductor/")).collect();
        Ok(Start { head: commit.clone(), commit, branch, refs })
    }

    fn was_fetched_since(&self, asked_ms: u64) -> bool {
        let Ok(mark) = fs::read_to_string(self.folder.join("fetched")) else { return false };
        let began = mark.strip_prefix(&leftover::boot_id()).and_then(|ms| ms.trim().parse::<u64>().ok());
        began.is_some_and(|began| began >= asked_ms)
    }

    fn has(&self, git: &Git<'_>, commit: &str) -> Result<bool, Error> {
        let object = format!("{commit}^{{commit}}");
        let printed = git.ask(&Step::new(&self.repository(), &["cat-file", "-e", &object]))?;
        Ok(printed.code == Some(0))
    }

    /// All refs with the commits that they lead to; tags of anything else are left out.
    fn refs(&self, git: &Git<'_>) -> Result<BTreeMap<String, String>, Error> {
        let repository = self.repository();
        let format = "--format=%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname)";
        let mut step = Step::new(&repository, &["for-each-ref", format]);
        step.max_output = MAX_REFS_BYTES;
        let listed = git.run(&step)?;
        let mut refs = BTreeMap::new();
        for line in String::from_utf8_lossy(&listed).lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let found = match fields.as_slice() {
                ["commit", id, .., name] => Some((name, id)),
                ["tag", _, "commit", id, name] => Some((name, id)),
                _ => None,
            };
            if let Some((name, id)) = found {
                refs.insert((*name).to_owned(), (*id).to_owned());
            }
        }
        Ok(refs)
    }
}

/// Whether a text is a whole commit id.
pub(super) fn is_commit_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn name(what: &str) -> String {
    hex::encode(&Sha256::digest(what)[..16])
}

pub(super) fn make(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::disk(format!("make {}", folder.display())))
}

fn wait_for(git: &Git<'_>, lock: &File) -> Result<(), Error> {
    loop {
        match rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::disk("lock a mirror")(errno.into())),
        }
        if let Some(end) = git.inbox.ends() {
            return Err(Error::Ended(end));
        }
        wait(&mut [PollFd::new(git.inbox, PollFlags::IN)], LOCK_PAUSE);
    }
}

fn remove_below(folder: &Path, depth: usize, unwanted: &dyn Fn(&OsStr) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 1 => remove_below(&entry.path(), depth - 1, unwanted),
            Ok(kind) if kind.is_file() && unwanted(&entry.file_name()) => {
                let _ = fs::remove_file(entry.path());
            }
            Ok(_) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_id_is_whole() {
        assert!(is_commit_id(&"a1".repeat(20)) && is_commit_id(&"F".repeat(64)));
        assert!(!is_commit_id("abc1234") && !is_commit_id(&"g".repeat(40)));
    }
}

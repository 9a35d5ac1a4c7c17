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

use super::objects;
use super::program::{Error, Git, Step};
use super::remote::Remote;
use super::spare;
use crate::process::{boot_ms, leftover};
use crate::runner::wait;

/// The folder of the mirrors, below the private one.
pub(super) const FOLDER: &str = "git-mirrors";
/// The most refs that a run is told of, and the most bytes of their list.
const MAX_REFS_BYTES: usize = 16 << 20;
/// With so many packs they are rolled together.
const MAX_PACKS: usize = 40;
/// The pause between two looks at a lock that somebody else holds.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// The deepest folder and the most files that are counted for a size.
const MAX_COUNTED: usize = 1_000_000;
/// How often a fetch is tried when the way to the server seems to be the trouble, and the pause between.
const FETCH_TRIES: u32 = 3;
const FETCH_PAUSE: Duration = Duration::from_secs(2);
/// What git says then.
const PASSING: [&str; 7] = [
    "early EOF",
    "timed out",
    "Connection reset",
    "Connection refused",
    "unexpected disconnect",
    "returned error: 5",
    "Could not resolve host",
];
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
    pub commit: String,
    /// The name of the branch that the commit was found under.
    pub branch: Option<String>,
    /// The branches and tags of the repository, by their full names.
    pub refs: BTreeMap<String, String>,
}

impl Mirror {
    /// Waits until nobody else changes the mirror of this repository, and makes it where it is missing.
    pub fn lock(git: &Git<'_>, mirrors: &Path, remote: &Remote, depth: Option<u32>) -> Result<Self, Error> {
        make(mirrors)?;
        let name = name(&remote.url, depth);
        let folder = mirrors.join(&name);
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
                mirror.begin(remote)?;
                return Ok(mirror);
            }
        }
    }

    pub fn repository(&self) -> PathBuf {
        self.folder.join("repo.git")
    }

    fn begin(&self, remote: &Remote) -> Result<(), Error> {
        let repository = self.repository();
        if !repository.join("HEAD").exists() {
            objects::make_repository(&repository, None)?;
            fs::write(self.folder.join("url"), &remote.url).map_err(Error::disk("name a mirror"))?;
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
            return Ok(Start { commit: id.to_ascii_lowercase(), branch: None, refs: self.refs(git)? });
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
        Ok(Start { commit, branch, refs })
    }

    fn was_fetched_since(&self, asked_ms: u64) -> bool {
        let Ok(mark) = fs::read_to_string(self.folder.join("fetched")) else { return false };
        let began = mark.strip_prefix(&leftover::boot_id()).and_then(|ms| ms.trim().parse::<u64>().ok());
        began.is_some_and(|began| began >= asked_ms)
    }

    fn fetch(
        &self,
        git: &Git<'_>,
        remote: &Remote,
        asked: &GitWorkspace,
        extra: Option<String>,
    ) -> Result<(), Error> {
        let repository = self.repository();
        let pinned = remote.pin(git.settings)?;
        let login = git.settings.login(&remote.host())?;
        let limit = git.settings.config.max_repository_bytes;
        let mut step = Step::new(
            &repository,
            &["fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"],
        );
        step.config = super::push::network(git, remote, &pinned, &self.folder)?;
        step.config.push(("fetch.unpackLimit".into(), "1".into()));
        step.env.extend(pinned.ssh_command.map(|command| ("GIT_SSH_COMMAND", command.into())));
        step.login = login.as_ref();
        step.timeout = git.settings.config.timeout;
        step.input = Some(&self.lock);
        step.bound = Some((&repository, limit));
        match (asked.depth, extra) {
            (Some(depth), extra) => {
                let wanted = asked.reference.as_deref().unwrap_or("HEAD");
                let spec = extra.unwrap_or_else(|| format!("+{wanted}:{WANTED}"));
                let spec = spec.split(':').next().map(|from| format!("{from}:{WANTED}")).unwrap_or(spec);
                step.args.push(format!("--depth={depth}").into());
                step.args.extend(["--".into(), remote.url.clone().into(), spec.into()]);
            }
            (None, Some(spec)) => step.args.extend(["--".into(), remote.url.clone().into(), spec.into()]),
            (None, None) => {
                step.args.extend(["--prune".into(), "--".into(), remote.url.clone().into()]);
                step.args.extend(
                    [
                        format!("+HEAD:{HEAD}"),
                        "+refs/heads/*:refs/heads/*".into(),
                        "+refs/tags/*:refs/tags/*".into(),
                    ]
                    .map(Into::into),
                );
            }
        }
        let mut tries = 1..FETCH_TRIES;
        loop {
            match git.run(&step) {
                Ok(_) => return self.roll_packs(git),
                Err(Error::Git { words, .. }) if is_passing(&words) && tries.next().is_some() => {
                    tracing::warn!(%words, "a fetch failed and is tried again");
                    wait(&mut [PollFd::new(git.inbox, PollFlags::IN)], FETCH_PAUSE);
                }
                Err(Error::Git { what, words }) => {
                    return Err(Error::Git { what: format!("{what} of {}", remote.shown()), words });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Rolls many packs into few; what is in them stays, reachable or not.
    fn roll_packs(&self, git: &Git<'_>) -> Result<(), Error> {
        let repository = self.repository();
        let packs = fs::read_dir(repository.join("objects/pack"))
            .map_err(Error::disk("list the packs of a mirror"))?;
        let count =
            packs.flatten().filter(|entry| entry.file_name().as_encoded_bytes().ends_with(b".pack")).count();
        if count <= MAX_PACKS {
            return Ok(());
        }
        let mut step = Step::new(&repository, &["repack", "-d", "--geometric=2", "--quiet"]);
        step.input = Some(&self.lock);
        step.config = vec![("repack.writeBitmaps".into(), "false".into())];
        git.run(&step).map(drop)
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

/// Makes room when all mirrors together have too much: those that no run borrows from go, the longest unused first.
pub(super) fn make_room(mirrors: &Path, most: u64, is_there: impl Fn(&str) -> bool) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(mirrors) else { return Ok(()) };
    let mut known: Vec<(std::time::SystemTime, PathBuf, u64)> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| {
            let used = fs::metadata(entry.path().join("borrowers")).and_then(|meta| meta.modified()).ok()?;
            let folder = entry.path();
            let bytes = bytes_below(&folder.join("repo.git")) + spare::bytes(&folder);
            Some((used, folder, bytes))
        })
        .collect();
    let mut sum: u64 = known.iter().map(|(_, _, bytes)| bytes).sum();
    known.sort();
    for (_, folder, bytes) in known {
        if sum <= most {
            return Ok(());
        }
        let Ok(lock) = File::options().read(true).write(true).open(folder.join("lock")) else { continue };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let Some(_no_spare) = spare::hold(&folder) else { continue };
        let borrowers = fs::read_dir(folder.join("borrowers")).map_err(Error::disk("list borrowers"))?;
        let mut lent = false;
        for borrower in borrowers.flatten() {
            if borrower.file_name().to_str().is_some_and(&is_there) {
                lent = true;
            } else {
                let _ = fs::remove_file(borrower.path());
            }
        }
        if !lent {
            fs::remove_dir_all(&folder).map_err(Error::disk("remove a mirror"))?;
            tracing::info!(mirror = %folder.display(), bytes, "removed a mirror that no run borrows from");
            sum -= bytes;
        }
    }
    Ok(())
}

/// How many bytes lie below a folder, as far as they are counted.
pub(super) fn bytes_below(folder: &Path) -> u64 {
    let (mut bytes, mut count, mut folders) = (0, 0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            count += 1;
            if count > MAX_COUNTED {
                return bytes;
            }
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => bytes += meta.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

fn is_passing(words: &str) -> bool {
    PASSING.iter().any(|passing| words.contains(passing))
}

/// Whether a text is a whole commit id.
pub(super) fn is_commit_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn name(url: &str, depth: Option<u32>) -> String {
    let digest = Sha256::digest(format!("{url} {}", depth.unwrap_or_default()));
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
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

    fn mirror(folder: &Path, name: &str, borrower: Option<&str>) -> PathBuf {
        let folder = folder.join(name);
        fs::create_dir_all(folder.join("borrowers")).unwrap();
        fs::write(folder.join("lock"), "").unwrap();
        fs::create_dir(folder.join("repo.git")).unwrap();
        fs::write(folder.join("repo.git/data"), [0; 1_000]).unwrap();
        if let Some(borrower) = borrower {
            fs::write(folder.join("borrowers").join(borrower), "").unwrap();
        }
        folder
    }

    #[test]
    fn room_is_made_by_mirrors_that_no_run_borrows_from() {
        let all = tempfile::tempdir().unwrap();
        let lent = mirror(all.path(), "lent", Some("here"));
        let held = mirror(all.path(), "held", None);
        let free = mirror(all.path(), "free", Some("gone"));
        let lock = File::open(held.join("lock")).unwrap();
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
        make_room(all.path(), 10_000, |_| false).unwrap();
        assert!(free.exists(), "there is room enough");
        make_room(all.path(), 100, |task| task == "here").unwrap();
        assert!(lent.exists() && held.exists() && !free.exists());
    }

    #[test]
    fn a_commit_id_is_whole() {
        assert!(is_commit_id(&"a1".repeat(20)) && is_commit_id(&"F".repeat(64)));
        assert!(!is_commit_id("abc1234") && !is_commit_id(&"g".repeat(40)));
    }
}

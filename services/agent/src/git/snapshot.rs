//! What a run left in its checkout, as a commit: its own commits, and one more for what it did not commit.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::large;
use super::mirror::is_commit_id;
use super::modules::found_in;
use super::objects::alternates;
use super::program::{Error, Git, Step};
use super::tree::Place;
use crate::run::beneath::{self, RelativePath};

/// The largest file that is committed, the most bytes and the most files of one commit.
const MAX_FILE_BYTES: u64 = 100 << 20;
const MAX_BYTES: u64 = 2 << 30;
const MAX_PATHS: usize = 200_000;
const MAX_PATHS_BYTES: usize = 32 << 20;
/// The most commits of a run that are kept as they are; more become one.
const MAX_COMMITS: usize = 1_000;
/// The most bytes of the task's files that are read to find its last commit.
const MAX_REF_FILE_BYTES: u64 = 16 << 20;
/// The most entries of the task's objects that are looked at.
const MAX_OBJECT_FILES: usize = 200_000;

/// What a run left.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// The last commit; none when nothing changed.
    pub commit: Option<String>,
    /// The variable by which git finds the objects that the task made.
    pub objects: Option<OsString>,
    /// What is not in the commit, and why.
    pub left_out: Vec<LeftOut>,
}

/// What is not in a commit, and why.
#[derive(Debug)]
pub(super) struct LeftOut {
    pub path: String,
    pub why: String,
}

/// Where a run started, and the repository of Conductor's own that knows it.
#[derive(Debug)]
pub(super) struct Source {
    pub own: PathBuf,
    /// Where lists and messages are written.
    pub scratch: PathBuf,
    pub mirror: PathBuf,
    /// The commit that is compared with.
    pub base: String,
    /// The commit that the run's own commits come after.
    pub root: String,
    pub title: String,
    /// Whether large files were fetched.
    pub lfs: bool,
}

/// Makes the commit, after `mend` had a look at the index. Nothing of the run may be at work any more.
pub(super) fn take(
    git: &Git<'_>,
    place: &Place<'_>,
    source: &Source,
    mend: impl Fn(&dyn Fn(&[&str]) -> Result<String, Error>) -> Result<Vec<LeftOut>, Error>,
) -> Result<Snapshot, Error> {
    let Source { own, scratch, mirror, base, root, title, lfs } = source;
    let mut snapshot = Snapshot::default();
    let mut parent = base.clone();
    if let Some(objects) = their_objects(place, mirror)
        && let Some(head) = their_head(place)
        && head != *base
        && head != *root
        && follows(git, own, &objects, root, &head)?
    {
        let mut step = Step::new(own, &["read-tree", "-i", "-m", &head]);
        step.env = vec![("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects.clone())];
        step.work_tree = Some(&place.work_path);
        if git.ask(&step)?.code == Some(0) {
            parent = head;
            snapshot.objects = Some(objects);
        }
    }
    let filters = if *lfs { large::config(mirror)? } else { Vec::new() };
    let step = |args: &[&str]| {
        let mut step = Step::new(own, args);
        step.config.clone_from(&filters);
        step.work_tree = Some(&place.work_path);
        step.env.extend(found_in(snapshot.objects.as_ref()));
        step
    };
    let list = |of: &[&str]| {
        let mut list = step(&["ls-files", "-z", "--modified", "--others", "--exclude-standard"]);
        list.args.extend(of.iter().map(OsString::from));
        list.max_output = MAX_PATHS_BYTES;
        git.run(&list)
    };
    let listed = list(&[])?;
    let large = if *lfs { list(&["--", large::PATHS])? } else { Vec::new() };
    let (paths, mut left_out) = choose(&place.work_path, &listed, &large)?;
    if !paths.is_empty() {
        let file = scratch.join("paths");
        let written = fs::write(&file, &paths).and_then(|()| File::open(&file));
        let input = written.map_err(Error::disk("write the list of changed files"))?;
        let mut add = step(&["update-index", "-z", "--add", "--remove", "--replace", "--stdin"]);
        add.input = Some(&input);
        git.run(&add)?;
    }
    left_out.extend(mend(&|args| git.line(&step(args)))?);
    let made = git.line(&step(&["write-tree"]))?;
    let before = git.line(&step(&["rev-parse", "--verify", &format!("{parent}^{{tree}}")]))?;
    let commit = if made == before {
        parent
    } else {
        let message = scratch.join("message");
        let text = message_of(title, place.task_id);
        let written = fs::write(&message, text).and_then(|()| File::open(&message));
        let input = written.map_err(Error::disk("write the message of a commit"))?;
        let mut commit = step(&["commit-tree", &made, "-p", &parent, "-F", "-"]);
        commit.input = Some(&input);
        git.line(&commit)?
    };
    snapshot.commit = Some(commit).filter(|commit| commit != base);
    snapshot.left_out = left_out;
    Ok(snapshot)
}

fn message_of(title: &str, task_id: &str) -> String {
    format!("{title}\n\nConductor-Task: {task_id}\n")
}

/// The paths that can be committed, as git reads them, and what is left out. Of a large one the commit has its pointer.
fn choose(work: &Path, listed: &[u8], large: &[u8]) -> Result<(Vec<u8>, Vec<LeftOut>), Error> {
    let (mut paths, mut left_out, mut bytes, mut last) = (Vec::new(), Vec::new(), 0u64, &b""[..]);
    let large: BTreeSet<&[u8]> = large.split(|byte| *byte == 0).collect();
    for (count, path) in listed.split(|byte| *byte == 0).filter(|path| !path.is_empty()).enumerate() {
        if count == MAX_PATHS {
            return Err(Error::Workspace {
                why: format!("more than {MAX_PATHS} files changed"),
                hint: "name what is built in a .gitignore",
            });
        }
        if path == last {
            continue;
        }
        last = path;
        let mut leave_out = |why: String| {
            let path = String::from_utf8_lossy(path).into_owned();
            left_out.push(LeftOut { path, why });
        };
        if path.ends_with(b"/") {
            leave_out("a repository of its own".to_owned());
            continue;
        }
        let found = fs::symlink_metadata(work.join(std::ffi::OsStr::from_bytes(path))).ok();
        if found.as_ref().is_some_and(fs::Metadata::is_dir) {
            // A submodule at another commit, which is nowhere but here.
            leave_out("a submodule".to_owned());
            continue;
        }
        let size = found.filter(fs::Metadata::is_file).map_or(0, |meta| meta.len());
        if (size > MAX_FILE_BYTES && !large.contains(path)) || bytes + size > MAX_BYTES {
            leave_out(format!("too large, {size} bytes"));
            continue;
        }
        bytes += size;
        let _ = paths.write_all(path);
        paths.push(0);
    }
    Ok((paths, left_out))
}

/// The commit that the task's own repository is at, read as a file and without asking git.
fn their_head(place: &Place<'_>) -> Option<String> {
    let read = |path: &str| {
        let file = beneath::open_file(place.work, RelativePath::new(path).ok()?).ok()??;
        let mut text = String::new();
        file.take(MAX_REF_FILE_BYTES).read_to_string(&mut text).ok()?;
        Some(text)
    };
    let head = read(".git/HEAD")?;
    let Some(name) = head.trim().strip_prefix("ref: ") else {
        return Some(head.trim().to_owned()).filter(|id| is_commit_id(id));
    };
    if !name.starts_with("refs/heads/") {
        return None;
    }
    let found = match read(&format!(".git/{name}")) {
        Some(id) => id.trim().to_owned(),
        None => read(".git/packed-refs")?
            .lines()
            .find_map(|line| line.split_once(' ').filter(|(_, known)| *known == name))
            .map(|(id, _)| id.to_owned())?,
    };
    Some(found).filter(|id| is_commit_id(id))
}

/// The folder of the objects that the task made; none when it leads anywhere else than to them and to the mirror.
fn their_objects(place: &Place<'_>, mirror: &Path) -> Option<OsString> {
    let git = beneath::open_folder(place.work, ".git").ok()?;
    let objects = beneath::open_folder(git.as_fd(), "objects").ok()?;
    let mut borrowed = Vec::new();
    let info = beneath::open_folder(objects.as_fd(), "info").ok()?;
    let file = beneath::open_regular(info.as_fd(), "alternates".as_ref()).ok()??;
    file.take(64 << 10).read_to_end(&mut borrowed).ok()?;
    if borrowed != alternates(mirror) {
        return None;
    }
    let path = place.work_path.join(".git/objects");
    let mut count = 0;
    let mut folders = vec![path.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()? {
            let entry = entry.ok()?;
            count += 1;
            let kind = entry.file_type().ok()?;
            if count > MAX_OBJECT_FILES || !(kind.is_dir() || kind.is_file()) {
                return None;
            }
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    let text = path.into_os_string();
    (!text.as_bytes().iter().any(|byte| matches!(byte, b':' | b'"'))).then_some(text)
}

/// Whether a commit of the task is whole and comes after the start, by not too many steps.
fn follows(git: &Git<'_>, own: &Path, objects: &OsString, base: &str, head: &str) -> Result<bool, Error> {
    let range = format!("{base}..{head}");
    let asks: [&[&str]; 2] =
        [&["merge-base", "--is-ancestor", base, head], &["rev-list", "--objects", "--quiet", &range]];
    for args in asks {
        let mut step = Step::new(own, args);
        step.env = vec![("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects.clone())];
        if git.ask(&step)?.code != Some(0) {
            return Ok(false);
        }
    }
    let mut step = Step::new(own, &["rev-list", "--count", &range]);
    step.env = vec![("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects.clone())];
    Ok(git.line(&step)?.parse::<usize>().is_ok_and(|count| count <= MAX_COMMITS))
}

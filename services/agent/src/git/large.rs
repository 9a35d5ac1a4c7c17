//! Large files, as git-lfs has them: in a commit stands a pointer, and the content lies in a store beside the repository.
//!
//! ```text
//! git-mirrors/<digest>/repo.git/lfs/objects/   the store: what the server has, fetched once for all runs
//! private/<id>/git/own.git/lfs/objects/        what a run added to it, until it is pushed
//! tasks/<id>/work/.git/lfs/objects/            the same of what the task itself committed
//! ```
//!
//! Conductor speaks to the server itself and needs no git-lfs. Git turns content into pointers by a filter that is given
//! on the command line, for files whose attributes say `filter=lfs`: whatever attributes a task writes, they can choose
//! this filter and no other. The task's own repository has the same filter, so that its git calls these files unchanged.

mod incoming;
mod pointer;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use conductor_runtime::digest;

use self::pointer::Pointer;
use self::server::Server;
use super::program::{Error, Git, Step};
use super::remote::Remote;
use super::task_config::quoted;
use super::tree::{Place, Tree};
use crate::run::beneath::{self, Existing, RelativePath};

/// The folder of contents in a repository.
const FOLDER: &str = "lfs/objects";
/// The files whose attributes say that they are large ones.
pub(super) const PATHS: &str = ":(top,attr:filter=lfs)";
/// The most bytes of a list of files or objects.
const MAX_LIST_BYTES: usize = 256 << 20;

/// Turns content into its pointer and keeps what the store has not. A pointer stays as it is, and so does nothing.
const CLEAN: &str = r#"f() { d=${GIT_DIR:-.git}/lfs && mkdir -p "$d/tmp" && t=$(mktemp "$d/tmp/XXXXXX") && cat > "$t" || return 1;
n=$(($(wc -c < "$t")));
if test $n -eq 0 || { test $n -le 1024 && head -n 1 "$t" | grep -aq '^version https://git-lfs.github.com/spec/v1$'; };
then cat "$t" && rm -f "$t"; return; fi;
h=$(sha256sum < "$t" | cut -c 1-64) && test ${#h} -eq 64 && r=${h#????} && a=${h%"$r"} && p=${a%??}/${a#??}/$h || return 1;
if test -e 'STORE/'"$p" || test -e "$d/objects/$p"; then rm -f "$t";
else mkdir -p "$d/objects/${p%/*}" && mv "$t" "$d/objects/$p"; fi || return 1;
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %s\n' "$h" "$n"; }; f"#;
/// Turns a pointer into its content, where that is at hand.
const SMUDGE: &str = r#"f() { d=${GIT_DIR:-.git}/lfs && mkdir -p "$d/tmp" && t=$(mktemp "$d/tmp/XXXXXX") && cat > "$t" || return 1;
if test $(($(wc -c < "$t"))) -le 1024 && h=$(sed -n 's/^oid sha256:\([0-9a-f]*\)$/\1/p' "$t") && test ${#h} -eq 64;
then r=${h#????} && a=${h%"$r"} && p=${a%??}/${a#??}/$h;
for s in 'STORE' "$d/objects"; do if test -e "$s/$p"; then cp "$s/$p" "$t"; break; fi; done; fi;
cat "$t" && rm -f "$t"; }; f"#;

/// The folder of contents in a repository.
pub(super) fn store(repository: &Path) -> PathBuf {
    repository.join(FOLDER)
}

/// Removes what agents that were killed left of large files in a mirror.
pub(super) fn sweep(mirror: &Path) {
    incoming::sweep(&store(mirror));
}

/// The configuration of a step of Conductor's that looks at files which may be large ones.
pub(super) fn config(mirror: &Path) -> Result<Vec<(String, String)>, Error> {
    let clean = command(CLEAN, mirror)?;
    Ok(vec![("filter.lfs.clean".into(), clean), ("filter.lfs.required".into(), "true".into())])
}

/// The same for the repository of a task, which may check files out besides. Where the machine has git-lfs, its process
/// comes first; it finds the same contents, by what is borrowed.
pub(super) fn config_of_task(mirror: &Path) -> Result<String, Error> {
    let (clean, smudge) = (command(CLEAN, mirror)?, command(SMUDGE, mirror)?);
    Ok(format!(
        "[filter \"lfs\"]\n\tclean = {}\n\tsmudge = {}\n\trequired = true\n",
        quoted(&clean),
        quoted(&smudge)
    ))
}

fn command(script: &str, mirror: &Path) -> Result<String, Error> {
    let store = store(mirror);
    let Some(path) = store.to_str().filter(|path| !path.contains(['\'', '\n', '%'])) else {
        let why = format!("{}: a workspace with such characters cannot hold large files", store.display());
        return Err(Error::Workspace { why, hint: "give the agent another workspace" });
    };
    Ok(script.replace("STORE", path).replace('\n', " "))
}

/// Fetches the large files of a fresh checkout and puts them in the place of their pointers.
pub(super) fn fill(
    git: &Git<'_>,
    work_path: &Path,
    own: &Path,
    mirror: &Path,
    url: &str,
) -> Result<(), Error> {
    let found = large_files(git, work_path, own)?;
    if found.is_empty() {
        return Ok(());
    }
    let ids: BTreeSet<&String> = found.iter().map(|file| &file.blob).collect();
    let ids: Vec<String> = ids.into_iter().cloned().collect();
    let scratch = own.parent().expect("it lies in the folder of the run's repositories");
    let pointers = pointer::read(git, own, scratch, &ids)?;
    let store = store(mirror);
    let wanted: BTreeSet<&Pointer> = pointers.values().filter(|pointer| pointer.size > 0).collect();
    let limit = git.settings.config.max_repository_bytes;
    if wanted.iter().map(|pointer| pointer.size).fold(0, u64::saturating_add) > limit {
        return Err(Error::TooLarge { limit });
    }
    let missing: Vec<Pointer> =
        wanted.into_iter().filter(|pointer| !pointer.below(&store).exists()).cloned().collect();
    if !missing.is_empty() {
        Server::of(git, &Remote::parse(url)?)?.fetch(&missing, &store)?;
    }
    let work = File::open(work_path).map_err(Error::disk("open the work folder"))?;
    for file in &found {
        if let Some(pointer) = pointers.get(&file.blob) {
            file.put(&work, pointer, &store)?;
        }
    }
    // Git tells by its size alone that a file was changed, so they are told to it again.
    let list = scratch.join("paths");
    let paths: String = found.iter().map(|file| format!("{}\0", file.path)).collect();
    let written = fs::write(&list, paths).and_then(|()| File::open(&list));
    let input = written.map_err(Error::disk("write the list of large files"))?;
    let mut step = Step::new(own, &["update-index", "-z", "--stdin"]);
    step.input = Some(&input);
    step.work_tree = Some(work_path);
    step.config = config(mirror)?;
    git.run(&step).map(drop)
}

/// A file of a checkout whose attributes say that it may be a large one.
struct Large {
    blob: String,
    path: String,
    is_program: bool,
}

impl Large {
    fn put(&self, work: &File, pointer: &Pointer, store: &Path) -> Result<(), Error> {
        let disk = || Error::disk(format!("put the large file {}", self.path));
        let bad = |error: beneath::Error| {
            Error::disk(format!("put the large file: {error}"))(io::ErrorKind::Other.into())
        };
        let path = RelativePath::new(&self.path).map_err(bad)?;
        let mut to = beneath::create_file(work.as_fd(), path, Existing::Replace).map_err(bad)?;
        if pointer.size > 0 {
            let mut from = File::open(pointer.below(store)).map_err(disk())?;
            // The kernel copies it, without the bytes where the file system can.
            io::copy(&mut from, &mut to).map_err(disk())?;
        }
        let mode = if self.is_program { 0o755 } else { 0o644 };
        to.set_permissions(fs::Permissions::from_mode(mode)).map_err(disk())
    }
}

fn large_files(git: &Git<'_>, work_path: &Path, own: &Path) -> Result<Vec<Large>, Error> {
    let mut list = Step::new(own, &["ls-files", "-z", "--stage", "--", PATHS]);
    list.work_tree = Some(work_path);
    list.max_output = MAX_LIST_BYTES;
    let listed = git.run(&list)?;
    let lines = listed.split(|byte| *byte == 0).filter_map(|line| std::str::from_utf8(line).ok());
    let files = lines.filter_map(|line| {
        let (stage, path) = line.split_once('\t')?;
        let mut fields = stage.split(' ');
        let (mode, blob) = (fields.next()?, fields.next()?);
        let is_program = mode == "100755";
        let is_file = is_program || mode == "100644";
        is_file.then(|| Large { blob: blob.to_owned(), path: path.to_owned(), is_program })
    });
    Ok(files.collect())
}

/// The large files that the commits of a run name, each with a path at which one of them does.
fn named(
    git: &Git<'_>,
    tree: &Tree,
    repository: &Path,
    tip: &str,
) -> Result<BTreeMap<Pointer, String>, Error> {
    let range = format!("{}..{tip}", tree.plan.origin);
    let mut list = Step::new(repository, &["rev-list", "--objects", &range]);
    list.max_output = MAX_LIST_BYTES;
    let listed = git.run(&list)?;
    let listed = String::from_utf8_lossy(&listed);
    let paths: BTreeMap<&str, &str> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    let ids: Vec<String> = paths.keys().map(|id| (*id).to_owned()).collect();
    let pointers = pointer::read(git, repository, &tree.folder, &ids)?;
    let large = pointers.into_iter().filter(|(_, pointer)| pointer.size > 0);
    Ok(large.map(|(id, pointer)| (pointer, paths[id.as_str()].to_owned())).collect())
}

impl Tree {
    /// Keeps the large files that a run's commits name, as far as they are in its work folder.
    pub(super) fn keep_large(&self, git: &Git<'_>, place: &Place<'_>, tip: &str) -> Result<(), Error> {
        if !self.plan.workspace.lfs {
            return Ok(());
        }
        let (own, mirrored) = (store(&self.own()), store(&self.mirror()));
        for pointer in named(git, self, &self.clean(), tip)?.into_keys() {
            if pointer.below(&own).exists() || pointer.below(&mirrored).exists() {
                continue;
            }
            let theirs = pointer.below(&Path::new(".git").join(FOLDER));
            let path = theirs.to_str().and_then(|path| RelativePath::new(path).ok());
            let found = path.and_then(|path| beneath::open_file(place.work, path).ok().flatten());
            if let Some(file) = found {
                take(file, &pointer, &own)?;
            }
        }
        Ok(())
    }

    /// Brings the large files that a run's commits name to the server, before their branch.
    pub(super) fn push_large(&self, git: &Git<'_>, remote: &Remote) -> Result<(), Error> {
        let Some(tip) = self.plan.tip.as_ref().filter(|_| self.plan.workspace.lfs) else { return Ok(()) };
        let named = named(git, self, &self.clean(), tip)?;
        if named.is_empty() {
            return Ok(());
        }
        let stores = [store(&self.own()), store(&self.mirror())];
        let pointers: Vec<Pointer> = named.keys().cloned().collect();
        Server::of(git, remote)?.bring(&pointers, |pointer| {
            let at = stores.iter().map(|store| pointer.below(store)).find(|path| path.exists());
            let path = at.ok_or_else(|| Error::Workspace {
                why: format!("the content of the large file {} is neither here nor there", named[pointer]),
                hint: "the run committed its pointer alone; commit the file itself, with git add",
            })?;
            File::open(path).map_err(Error::disk("read a large file"))
        })
    }
}

/// Copies what a task left, if it is what its name says; nobody can write to it after.
fn take(from: File, pointer: &Pointer, store: &Path) -> Result<(), Error> {
    let path = pointer.below(store);
    let disk = || Error::disk("keep a large file");
    fs::create_dir_all(path.parent().expect("it lies in a folder")).map_err(disk())?;
    let new = store.join("new");
    let to = File::create(&new).map_err(disk())?;
    let (bytes, digest) = digest::copy(from.take(pointer.size + 1), to).map_err(disk())?;
    match bytes == pointer.size && digest == pointer.oid {
        true => fs::rename(&new, &path).map_err(disk()),
        false => fs::remove_file(&new).map_err(disk()),
    }
}

/// Takes over what another run added and has not pushed.
pub(super) fn take_over(old: &Path, own: &Path) -> Result<(), Error> {
    let (from, to) = (store(old), store(own));
    let disk = || Error::disk("take over large files");
    let folders = |at: &Path| fs::read_dir(at).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in folders(&from).flat_map(|at| folders(&at)).flat_map(|at| folders(&at)) {
        let Ok(below) = path.strip_prefix(&from) else { continue };
        let new = to.join(below);
        fs::create_dir_all(new.parent().expect("it lies in a folder")).map_err(disk())?;
        // Neither run changes what is there, so they can share it.
        fs::hard_link(&path, &new).or_else(|_| fs::copy(&path, &new).map(drop)).map_err(disk())?;
    }
    Ok(())
}

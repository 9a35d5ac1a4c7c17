//! A folder that is a git repository as the work folder of a task: its history, and what is not committed as one commit more.
//!
//! All of it becomes a bundle in a scratch repository that borrows the objects of the real one, so that nothing is written
//! there. A bundle holds commits and files: no configuration, no hooks, no credentials, no other branches.

mod cut;
mod git;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use conductor_protocol::submit::GitWorkspace;
use url::Url;

use super::files::Gathered;
use super::folder::{MAX_FILES, largest, some};
use crate::exit::Failure;
use cut::Cut;
use git::Repository;

/// What is sent in place of a folder's own files, by the name in the work folder.
pub type Instead = BTreeMap<String, (PathBuf, File)>;

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n";
const HEAD: &str = "refs/conductor/head";
const START: &str = "refs/conductor/start";
const SHALLOW: &str = "refs/conductor/shallow";

/// Gathers a folder as a repository, when it is one with a commit and there is a git to ask; says whether it was gathered.
pub fn read(
    dir: &Path,
    instead: &Instead,
    notes: &mut Vec<String>,
    gathered: &mut Gathered,
) -> Result<bool, Failure> {
    let mut without = |why: String| {
        notes.push(format!("note: the folder is sent without its history: {why}"));
        Ok(false)
    };
    if !dir.join(".git").exists() {
        if is_bare(dir) {
            let why =
                "is a bare repository, which has no files; name a clone of it, or give its address to --git";
            return Err(Failure::Usage(format!("--dir {}: {why}", dir.display())));
        }
        let above = dir.canonicalize().ok().and_then(|dir| {
            dir.ancestors().skip(1).find(|above| above.join(".git").exists()).map(Path::to_owned)
        });
        return match above {
            Some(above) => without(format!("it is a part of the repository {}", above.display())),
            None => Ok(false),
        };
    }
    let Some(repository) = Repository::open(dir)? else {
        return without("there is no git here".to_owned());
    };
    if repository.object_format != "sha1" {
        return without(format!("its objects are named by {}", repository.object_format));
    }
    let Some(head) = repository.head()? else {
        return without("it has no commit yet".to_owned());
    };
    let cut = cut::cut(&repository, &head)?;
    let bundle = Scratch::make(&repository)?.bundle(&head, cut, instead, notes)?;
    let length = bundle.file.metadata()?.len();
    gathered.add_bundle(bundle.file, length, bundle.largest);
    Ok(true)
}

/// The address of the server that a folder's repository is from, as anybody may know it.
///
/// # Errors
/// When it has none, or one that Conductor does not push to.
pub fn origin(dir: &Path) -> Result<String, Failure> {
    let fault = |why: &str| {
        Failure::Usage(format!("--dir {}: {why}; give --git URL as where to push to", dir.display()))
    };
    let none = || fault("it has no remote named origin");
    if !dir.join(".git").exists() {
        return Err(fault("it is not the top of a git repository"));
    }
    let repository = Repository::open(dir)?.ok_or_else(|| fault("there is no git here"))?;
    if repository.maybe(&["config", "--get", "remote.origin.url"])?.is_none() {
        return Err(none());
    }
    let named = repository.line(&["ls-remote", "--get-url", "origin"])?;
    // What lets this person in is neither sent nor shown.
    let url = match Url::parse(&named) {
        Ok(mut url) if url.scheme() == "https" => {
            let cleared = url.set_username("").and_then(|()| url.set_password(None));
            cleared.map_err(|()| none())?;
            url.to_string()
        }
        Ok(_) | Err(_) => named,
    };
    let target = GitWorkspace { url: url.clone(), ..GitWorkspace::default() };
    match target.faults().first() {
        None => Ok(url),
        Some((_, why)) => Err(fault(&format!("its origin cannot be pushed to: {why}"))),
    }
}

fn is_bare(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && dir.join("objects").is_dir() && dir.join("refs").is_dir()
}

/// What is sent.
struct Bundle {
    file: File,
    /// The largest of what is not committed.
    largest: Vec<String>,
}

/// A repository beside the real one.
struct Scratch<'a> {
    repository: &'a Repository,
    folder: tempfile::TempDir,
}

impl<'a> Scratch<'a> {
    fn make(repository: &'a Repository) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("conductor-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        for inner in ["objects/info", "objects/pack", "refs/heads"] {
            fs::create_dir_all(at(inner))?;
        }
        let mut borrowed = repository.objects.as_os_str().as_bytes().to_vec();
        if borrowed.contains(&b'\n') {
            return Err(repository.fault("a path with a line break is not taken"));
        }
        borrowed.push(b'\n');
        fs::write(at("objects/info/alternates"), borrowed)?;
        fs::write(at("config"), CONFIG)?;
        fs::write(at("HEAD"), "ref: refs/heads/none\n")?;
        match fs::copy(&repository.index, at("index")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
        Ok(Self { repository, folder })
    }

    fn bundle(
        &self,
        head: &str,
        cut: Cut,
        instead: &Instead,
        notes: &mut Vec<String>,
    ) -> Result<Bundle, Failure> {
        let repository = self.repository;
        let largest = self.stage(instead, notes)?;
        let tree = self.line(&["write-tree"])?;
        let mut refs = BTreeMap::from([(HEAD.to_owned(), head.to_owned())]);
        if tree != repository.line(&["rev-parse", &format!("{head}^{{tree}}")])? {
            refs.insert(START.to_owned(), self.commit(head, &tree)?);
        }
        if let Some(branch) = repository.branch()? {
            refs.insert(branch, head.to_owned());
        }
        notes.extend(cut.note);
        let ends: String = cut.ends.iter().map(|commit| format!("{commit}\n")).collect();
        if !ends.is_empty() {
            fs::write(self.folder.path().join("shallow"), ends)?;
        }
        let ends = cut.ends.into_iter().enumerate();
        refs.extend(ends.map(|(number, commit)| (format!("{SHALLOW}/{number}"), commit)));
        let packed: String = refs.iter().map(|(name, commit)| format!("{commit} {name}\n")).collect();
        fs::write(self.folder.path().join("packed-refs"), packed)?;
        let path = self.folder.path().join("bundle");
        // One thread, so that the same repository makes the same bytes, which are not sent twice.
        let mut make = repository.in_folder(self.folder.path());
        make.env("GIT_DIR", self.folder.path()).args(["-c", "pack.threads=1", "bundle", "create", "--quiet"]);
        make.arg(&path).arg("--all");
        repository.run(&mut make)?;
        // It stays while it is open, though its folder goes.
        Ok(Bundle { file: File::open(&path)?, largest })
    }

    /// Puts all that is not committed into the scratch index.
    fn stage(&self, instead: &Instead, notes: &mut Vec<String>) -> Result<Vec<String>, Failure> {
        let repository = self.repository;
        let list = ["ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard"];
        let listed = repository.run(self.git().args(list))?;
        let (mut paths, mut nested, mut sizes, mut last) = (Vec::new(), Vec::new(), Vec::new(), &b""[..]);
        let mut count = 0;
        for path in listed.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
            if std::mem::replace(&mut last, path) == path {
                continue;
            }
            let shown = || String::from_utf8_lossy(path).into_owned();
            if path.ends_with(b"/") {
                nested.push(shown());
                continue;
            }
            count += 1;
            if let Ok(metadata) = fs::symlink_metadata(repository.top.join(std::ffi::OsStr::from_bytes(path)))
            {
                sizes.push((metadata.len(), shown()));
            }
            paths.extend_from_slice(path);
            paths.push(0);
        }
        if count > MAX_FILES {
            let why = format!("has {count} files that are not committed, a task may have {MAX_FILES}");
            return Err(repository.fault(&why));
        }
        if !nested.is_empty() {
            notes.push(format!("note: repositories within are not sent: {}", some(&nested)));
        }
        if repository.top.join(".gitmodules").exists() {
            notes.push("note: submodules are sent without their files".to_owned());
        }
        if fs::read_to_string(repository.top.join(".gitattributes"))
            .is_ok_and(|text| text.contains("filter=lfs"))
        {
            notes.push("note: files that git-lfs keeps are sent as their pointers".to_owned());
        }
        if !paths.is_empty() {
            let mut input = tempfile::tempfile()?;
            input.write_all(&paths)?;
            std::io::Seek::rewind(&mut input)?;
            let mut add = self.git();
            add.args(["update-index", "-z", "--add", "--remove", "--replace", "--stdin"]).stdin(input);
            repository.run(&mut add)?;
        }
        for (name, (path, file)) in instead {
            let mode = if file.metadata()?.mode() & 0o100 != 0 { "100755" } else { "100644" };
            let mut hash = self.git();
            hash.args(["hash-object", "-w", "--stdin", "--no-filters"]).stdin(file.try_clone()?);
            let object = repository
                .run(&mut hash)
                .map_err(|failure| Failure::Usage(format!("--file {}: {failure}", path.display())))?;
            let object = String::from_utf8_lossy(&object).trim().to_owned();
            let entry = format!("{mode},{object},{name}");
            repository.run(self.git().args(["update-index", "--add", "--replace", "--cacheinfo", &entry]))?;
        }
        Ok(largest(sizes))
    }

    /// Commits what is in the scratch index. The same files make the same commit.
    fn commit(&self, head: &str, tree: &str) -> Result<String, Failure> {
        let date =
            self.repository.line(&["show", "--no-patch", "--no-show-signature", "--format=%ct", head])?;
        let mut commit = self.git();
        for who in ["AUTHOR", "COMMITTER"] {
            commit.env(format!("GIT_{who}_NAME"), "Conductor");
            commit.env(format!("GIT_{who}_EMAIL"), "conductor@localhost");
            commit.env(format!("GIT_{who}_DATE"), format!("@{date} +0000"));
        }
        commit.args(["commit-tree", "--no-gpg-sign", "-m", "What was not committed", "-p", head, tree]);
        let made = self.repository.run(&mut commit)?;
        Ok(String::from_utf8_lossy(&made).trim().to_owned())
    }

    fn line(&self, args: &[&str]) -> Result<String, Failure> {
        let output = self.repository.run(self.git().args(args))?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    /// A call of git in the folder of the person, with the scratch index, that writes its objects to the scratch repository.
    fn git(&self) -> std::process::Command {
        let mut command = self.repository.in_folder(&self.repository.top);
        command.env("GIT_INDEX_FILE", self.folder.path().join("index"));
        command.env("GIT_OBJECT_DIRECTORY", self.folder.path().join("objects"));
        command
    }
}

#[cfg(test)]
mod tests;

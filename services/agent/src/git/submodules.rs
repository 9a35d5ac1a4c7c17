//! Submodules of a checkout: each is a repository with a mirror of its own, reached by the same rules as the one that names it.
//!
//! Where they are is said by `.gitmodules` of the commit, which is somebody else's text: every address is checked like one
//! that a task gives, and every path has to be one where the commit has a submodule.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use conductor_protocol::submit::GitWorkspace;
use url::Url;

use super::checkout::config;
use super::large;
use super::mirror::{Mirror, is_commit_id};
use super::objects;
use super::plan::{Module, Plan};
use super::program::{Error, Git, Step};
use super::remote::Remote;
use super::tree::Place;
use crate::process::boot_ms;

/// The most submodules of a checkout, also of submodules, and how deep they may nest.
const MAX_SUBMODULES: usize = 100;
const MAX_DEPTH: usize = 5;
/// The most bytes of a list of files and of `.gitmodules`.
const MAX_FILES_BYTES: usize = 256 << 20;
const MAX_CONFIG_BYTES: usize = 1 << 20;
const HINT: &str = "look at .gitmodules of the repository";

/// A checkout whose submodules are wanted.
struct Within<'a> {
    /// A repository that has its commit.
    repository: &'a Path,
    commit: &'a str,
    url: &'a str,
    /// Where it lies in the work folder; empty for the whole.
    path: String,
    depth: usize,
}

/// Makes the checkouts of all submodules.
#[derive(Debug)]
pub(super) struct Submodules<'a> {
    pub git: &'a Git<'a>,
    pub place: &'a Place<'a>,
    /// The folder of the run's repositories.
    pub folder: &'a Path,
    pub mirrors: &'a Path,
    /// Whether their large files are wanted.
    pub lfs: bool,
    /// What was checked out.
    pub modules: Vec<Module>,
}

impl Submodules<'_> {
    /// Checks the submodules of a commit out, and theirs.
    pub fn check_out(&mut self, repository: &Path, commit: &str, url: &str) -> Result<(), Error> {
        self.within(&Within { repository, commit, url, path: String::new(), depth: 0 })
    }

    fn within(&mut self, outer: &Within<'_>) -> Result<(), Error> {
        let links = self.links(outer)?;
        if links.is_empty() {
            return Ok(());
        }
        let bad = |path: &str, why: &str| Error::Workspace {
            why: format!("the submodule {}{path} {why}", outer.path),
            hint: HINT,
        };
        if outer.depth == MAX_DEPTH {
            return Err(bad(&links[0].0, "lies too deep in others"));
        }
        let urls = self.urls(outer)?;
        for (path, commit) in links {
            if self.modules.len() == MAX_SUBMODULES {
                return Err(bad(&path, &format!("is one more than {MAX_SUBMODULES}")));
            }
            let named = urls.get(&path).ok_or_else(|| bad(&path, "has no address"))?;
            let url =
                resolved(outer.url, named).ok_or_else(|| bad(&path, "has an address that leads nowhere"))?;
            let asked = GitWorkspace { url, reference: Some(commit.clone()), ..GitWorkspace::default() };
            if let Some((_, why)) = asked.faults().first() {
                return Err(bad(&path, &format!("has no address that is fetched: {why}")));
            }
            let inner = self.one(&asked, &commit, &format!("{}{path}", outer.path))?;
            self.within(&Within {
                repository: &inner,
                commit: &commit,
                url: &asked.url,
                path: format!("{}{path}/", outer.path),
                depth: outer.depth + 1,
            })?;
        }
        Ok(())
    }

    /// Checks one out, and gives the repository that has its commit.
    fn one(&mut self, asked: &GitWorkspace, commit: &str, path: &str) -> Result<PathBuf, Error> {
        let remote = Remote::parse(&asked.url)?;
        let mirror = Mirror::lock(self.git, self.mirrors, &remote, None)?;
        mirror.start(self.git, &remote, asked, boot_ms())?;
        mirror.lend(self.place.task_id)?;
        let repository = mirror.repository();
        drop(mirror);
        let work = self.place.work_path.join(path);
        // Git made it with the checkout around it.
        if !is_folder(&self.place.work_path, path) {
            let why = format!("where the submodule {path} belongs is no folder");
            return Err(Error::Workspace { why, hint: HINT });
        }
        let own = own_of(self.folder, self.modules.len());
        let mirror = mirror_name(&repository);
        self.modules.push(Module { path: path.to_owned(), commit: commit.to_owned(), mirror });
        objects::make_repository(&own, Some(&repository))?;
        let mut step = Step::new(&own, &["read-tree", "--reset", "-u", commit]);
        step.work_tree = Some(&work);
        self.git.run(&step)?;
        if self.lfs {
            large::fill(self.git, &work, &own, &repository, &asked.url)?;
        }
        let theirs = work.join(".git");
        let config = config(self.git, &asked.url, self.lfs.then_some(&repository))?;
        objects::make_for_task(&theirs, &config, &format!("{commit}\n"), &repository)?;
        fs::copy(own.join("index"), theirs.join("index"))
            .map_err(Error::disk("make the repository of a submodule"))?;
        Ok(own)
    }

    /// The paths at which a commit has submodules, and their commits.
    fn links(&self, outer: &Within<'_>) -> Result<Vec<(String, String)>, Error> {
        let mut list = Step::new(outer.repository, &["ls-tree", "-r", "-z", "--full-tree", outer.commit]);
        list.max_output = MAX_FILES_BYTES;
        Ok(links(&self.git.run(&list)?))
    }

    /// The addresses that `.gitmodules` of a commit gives, by path.
    fn urls(&self, outer: &Within<'_>) -> Result<BTreeMap<String, String>, Error> {
        let blob = format!("--blob={}:.gitmodules", outer.commit);
        let mut ask = Step::new(outer.repository, &["config", &blob, "--no-includes", "--null", "--list"]);
        ask.max_output = MAX_CONFIG_BYTES;
        let printed = self.git.ask(&ask)?;
        Ok(if printed.code == Some(0) && !printed.cut { urls(&printed.output) } else { BTreeMap::new() })
    }
}

fn links(listed: &[u8]) -> Vec<(String, String)> {
    let lines = listed.split(|byte| *byte == 0);
    let found = lines.filter_map(|line| {
        let (commit, path) =
            std::str::from_utf8(line).ok()?.strip_prefix("160000 commit ")?.split_once('\t')?;
        is_commit_id(commit).then(|| (path.to_owned(), commit.to_owned()))
    });
    found.collect()
}

fn urls(listed: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(listed);
    let mut modules: BTreeMap<&str, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for entry in text.split('\0') {
        let Some((key, value)) = entry.split_once('\n') else { continue };
        let Some((name, field)) = key.strip_prefix("submodule.").and_then(|key| key.rsplit_once('.')) else {
            continue;
        };
        let module = modules.entry(name).or_default();
        match field {
            "path" => module.0 = Some(value),
            "url" => module.1 = Some(value),
            _ => {}
        }
    }
    let pairs = modules.into_values().filter_map(|(path, url)| Some((path?.to_owned(), url?.to_owned())));
    pairs.collect()
}

/// The whole address: one that begins with `./` or `../` is relative to that of the repository around it.
fn resolved(around: &str, named: &str) -> Option<String> {
    if !named.starts_with("./") && !named.starts_with("../") {
        return Some(named.to_owned());
    }
    let mut url = Url::parse(around).ok()?;
    let mut parts: Vec<&str> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    for part in named.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    let path = format!("/{}", parts.join("/"));
    url.set_path(&path);
    Some(url.into())
}

/// Conductor's own repository for a submodule of a run, by its number.
pub(super) fn own_of(folder: &Path, number: usize) -> PathBuf {
    folder.join("modules").join(number.to_string()).join("own.git")
}

/// Whether all of a path below a folder are folders and none a link.
pub(super) fn is_folder(below: &Path, path: &str) -> bool {
    let mut at = below.to_owned();
    path.split('/').all(|name| {
        at.push(name);
        !matches!(name, "" | "." | "..") && fs::symlink_metadata(&at).is_ok_and(|found| found.is_dir())
    })
}

pub(super) fn mirror_name(repository: &Path) -> String {
    let folder = repository.parent().and_then(Path::file_name).expect("a mirror lies in a folder of its own");
    folder.to_string_lossy().into_owned()
}

/// Makes Conductor's own repositories for the submodules of work that was copied from another run.
pub(super) fn take_over(
    git: &Git<'_>,
    place: &Place<'_>,
    folder: &Path,
    mirrors: &Path,
    plan: &Plan,
) -> Result<(), Error> {
    for (number, module) in plan.modules.iter().enumerate() {
        let own = own_of(folder, number);
        objects::make_repository(&own, Some(&module.repository(mirrors)))?;
        if is_folder(&place.work_path, &module.path) {
            let work = place.work_path.join(&module.path);
            let mut step = Step::new(&own, &["read-tree", &module.commit]);
            step.work_tree = Some(&work);
            git.run(&step)?;
        }
    }
    Ok(())
}

/// Notes that a task borrows from the mirrors of submodules, as another did whose work it goes on with.
pub(super) fn lend(git: &Git<'_>, mirrors: &Path, modules: &[Module], task: &str) -> Result<(), Error> {
    for Module { mirror, .. } in modules {
        let url = fs::read_to_string(mirrors.join(mirror).join("url")).unwrap_or_default();
        Mirror::lock_named(git, mirrors, mirror, &url)?.lend(task)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_whole_or_relative_to_the_one_around_it() {
        for (around, named, whole) in [
            ("https://h.example/a/b.git", "../c.git", Some("https://h.example/a/c.git")),
            ("https://h.example/a/b", "./c", Some("https://h.example/a/b/c")),
            ("ssh://git@h.example/a/b.git", "../../x/y.git", Some("ssh://git@h.example/x/y.git")),
            ("https://h.example/a/b", "../../../c", None),
            ("https://h.example/a", "git@o.example:c.git", Some("git@o.example:c.git")),
        ] {
            assert_eq!(resolved(around, named).as_deref(), whole, "{around} {named}");
        }
    }

    #[test]
    fn what_a_repository_says_of_its_submodules_is_read_by_path() {
        let id = "a1".repeat(20);
        let listed =
            format!("100644 blob {id}\ta.txt\0160000 commit {id}\tdeps/x y\0120000 blob {id}\tlink\0");
        assert_eq!(links(listed.as_bytes()), [("deps/x y".to_owned(), id)]);
        let config = b"submodule.a.b.path\ndeps/x\0submodule.a.b.url\nhttps://h/x\0submodule.c.url\nhttps://h/c\0core.x\ny\0";
        assert_eq!(urls(config), BTreeMap::from([("deps/x".to_owned(), "https://h/x".to_owned())]));
    }
}

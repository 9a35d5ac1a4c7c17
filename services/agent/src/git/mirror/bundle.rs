//! A repository that somebody sent, as a bundle of git: kept like a mirror, under the digest of its bytes.
//!
//! ```text
//! refs/conductor/head       the commit that the sender was at; without it, HEAD or the only ref
//! refs/conductor/start      the same with what was not committed; without it, there was nothing
//! refs/conductor/shallow/N  the commits whose parents were not sent
//! refs/heads/NAME           a branch that the sender has at one of the commits that were sent
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use conductor_protocol::agent::AssignedUpload;

use super::super::program::{Error, Git, Step, arg};
use super::{HEAD, Mirror, Start, is_commit_id, name};
use conductor_runtime::digest;

const START: &str = "refs/conductor/start";
const SHALLOW: &str = "refs/conductor/shallow/";
/// The most refs of a bundle, and the most bytes of their list.
const MAX_REFS: usize = 10_000;
const MAX_REFS_BYTES: usize = 4 << 20;
/// The most branches that a task is told of.
const MAX_BRANCHES: usize = 100;
const HINT: &str = "send it again";

impl Mirror {
    /// Takes in what was sent, unless it is there already, and says what a run starts from.
    pub fn of_bundle(
        git: &Git<'_>,
        mirrors: &Path,
        bundle: &Path,
        sent: &AssignedUpload,
    ) -> Result<(Self, Start), Error> {
        let mirror = Self::lock_named(git, mirrors, &name(&format!("bundle {}", sent.sha256)), "")?;
        let taken = mirror.folder.join("taken");
        if !taken.exists() {
            let copy = mirror.folder.join("sent.bundle");
            let result = copy_checked(bundle, &copy, sent).and_then(|()| mirror.take_in(git, &copy));
            // It is in the mirror now, or of no use.
            let removed = fs::remove_file(&copy).map_err(Error::disk("remove the copy of a bundle"));
            result.and(removed)?;
            fs::write(&taken, "").map_err(Error::disk("note that a bundle is taken in"))?;
        }
        let mut refs = mirror.refs(git)?;
        let nothing = || Error::Workspace { why: "the bundle leads to no commit".to_owned(), hint: HINT };
        let head = refs.get(HEAD).cloned().ok_or_else(nothing)?;
        let commit = refs.get(START).unwrap_or(&head).clone();
        refs.retain(|name, _| name.starts_with("refs/heads/"));
        Ok((mirror, Start { commit, head, branch: None, refs }))
    }

    fn take_in(&self, git: &Git<'_>, bundle: &Path) -> Result<(), Error> {
        let repository = self.repository();
        let mut list = Step::new(&repository, &["bundle", "list-heads"]);
        list.args.push(arg(bundle));
        list.max_output = MAX_REFS_BYTES;
        let heads = heads(&git.run(&list)?)?;
        let cut: String = heads
            .iter()
            .filter(|(name, _)| name.starts_with(SHALLOW))
            .map(|(_, commit)| format!("{commit}\n"))
            .collect();
        if !cut.is_empty() {
            fs::write(repository.join("shallow"), cut).map_err(Error::disk("say where a history ends"))?;
        }
        let mut fetch = Step::new(
            &repository,
            &[
                "fetch",
                "--quiet",
                "--force",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--",
            ],
        );
        fetch.args.push(arg(bundle));
        fetch.args.extend(wanted(&heads)?.into_iter().map(Into::into));
        fetch.config = vec![
            ("protocol.file.allow".into(), "always".into()),
            ("fetch.fsckObjects".into(), "true".into()),
            ("fetch.unpackLimit".into(), "1".into()),
        ];
        fetch.timeout = git.settings.config.timeout;
        fetch.input = Some(&self.lock);
        fetch.bound = Some((&repository, git.settings.config.max_repository_bytes));
        git.run(&fetch).map(drop)
    }
}

/// The refs of a bundle, as git lists them.
fn heads(listed: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    let text = String::from_utf8_lossy(listed);
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    let heads: BTreeMap<String, String> = pairs
        .filter(|(commit, _)| is_commit_id(commit))
        .map(|(commit, name)| (name.to_owned(), commit.to_owned()))
        .take(MAX_REFS + 1)
        .collect();
    match heads.len() {
        0 => Err(Error::Workspace { why: "the bundle names no commit".to_owned(), hint: HINT }),
        count if count > MAX_REFS => Err(Error::Workspace {
            why: format!("the bundle has more than {MAX_REFS} refs"),
            hint: "send one",
        }),
        _ => Ok(heads),
    }
}

/// What is fetched of a bundle, and what it is called then.
fn wanted(heads: &BTreeMap<String, String>) -> Result<Vec<String>, Error> {
    let others = || heads.keys().filter(|name| !name.starts_with("refs/conductor/"));
    let head = match (heads.contains_key(HEAD), heads.contains_key("HEAD"), others().count()) {
        (true, _, _) => HEAD,
        (false, true, _) => "HEAD",
        (false, false, 1) => others().next().expect("there is one"),
        (false, false, _) => {
            let why = "the bundle does not say which of its refs is meant".to_owned();
            return Err(Error::Workspace { why, hint: "make it of HEAD: git bundle create FILE HEAD" });
        }
    };
    let mut specs = vec![format!("+{head}:{HEAD}")];
    specs.extend(heads.contains_key(START).then(|| format!("+{START}:{START}")));
    let branches = others().filter(|name| name.starts_with("refs/heads/")).take(MAX_BRANCHES);
    specs.extend(branches.map(|name| format!("+{name}:{name}")));
    Ok(specs)
}

/// Copies a bundle, if it is what was sent.
fn copy_checked(from: &Path, to: &Path, sent: &AssignedUpload) -> Result<(), Error> {
    let lost = |error: io::Error| Error::Workspace {
        why: format!("the upload {} is not in this agent's workspace: {error}", sent.id),
        hint: "the agent has to share the workspace of the orchestrator",
    };
    let from = File::open(from).map_err(lost)?;
    let disk = || Error::disk("copy a bundle");
    let (bytes, digest) = digest::copy(from, File::create(to).map_err(disk())?).map_err(disk())?;
    if bytes == sent.bytes && digest == sent.sha256 {
        return Ok(());
    }
    Err(Error::Workspace { why: format!("the upload {} is not what was sent", sent.id), hint: HINT })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> BTreeMap<String, String> {
        names.iter().map(|name| ((*name).to_owned(), "a1".repeat(20))).collect()
    }

    #[test]
    fn a_bundle_says_which_of_its_commits_is_meant() {
        let all = wanted(&of(&["HEAD", "refs/conductor/head", "refs/conductor/start", "refs/heads/main"]));
        assert_eq!(
            all.unwrap(),
            [
                "+refs/conductor/head:refs/conductor/head",
                "+refs/conductor/start:refs/conductor/start",
                "+refs/heads/main:refs/heads/main"
            ]
        );
        assert_eq!(wanted(&of(&["HEAD"])).unwrap(), ["+HEAD:refs/conductor/head"]);
        assert_eq!(wanted(&of(&["refs/tags/v1"])).unwrap(), ["+refs/tags/v1:refs/conductor/head"]);
        assert!(wanted(&of(&["refs/heads/a", "refs/heads/b"])).is_err());
    }

    #[test]
    fn a_list_of_refs_without_a_commit_is_refused() {
        assert!(heads(b"").is_err() && heads(b"xyz refs/heads/a\n").is_err());
        let listed = format!("{} refs/heads/a\n", "a1".repeat(20));
        assert_eq!(heads(listed.as_bytes()).unwrap(), of(&["refs/heads/a"]));
    }
}

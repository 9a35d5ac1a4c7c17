//! How much of a history is sent: all of it, or the newest commits where it is large.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::git::Repository;
use crate::exit::Failure;
use crate::screen::bytes;

/// A repository whose objects have no more than so many bytes is sent with all of its history.
const MAX_HISTORY_BYTES: u64 = 64 << 20;
/// Of a larger one the history is sent so many commits deep, counted from the newest over all parents.
const DEPTH: usize = 50;
/// The most commits that are looked at for that.
const MAX_LOOKED_AT: usize = 20_000;
/// The most files of objects that are counted; a repository with more is a large one.
const MAX_COUNTED: usize = 200_000;
/// The most repositories that one borrows from, and that are looked at.
const MAX_BORROWED: usize = 16;

/// Where a history ends.
#[derive(Debug, Default)]
pub struct Cut {
    /// The commits whose parents are not sent.
    pub ends: Vec<String>,
    /// What the person should know.
    pub note: Option<String>,
}

/// Says where the history before a commit is cut.
pub fn cut(repository: &Repository, head: &str) -> Result<Cut, Failure> {
    let size = objects_bytes(&repository.objects);
    // What a partial clone has not is not fetched for this.
    let is_partial = repository.maybe(&["config", "--get", "extensions.partialClone"])?.is_some();
    let (most, why) = match (is_partial, size) {
        (true, _) => (Some(1), "the repository is a partial clone".to_owned()),
        (false, Some(size)) if size <= MAX_HISTORY_BYTES => (None, String::new()),
        (false, Some(size)) => (Some(DEPTH), format!("the repository has {}", bytes(size))),
        (false, None) => (Some(DEPTH), format!("the repository has more than {MAX_COUNTED} objects")),
    };
    newest(repository, head, most, &why)
}

/// Cuts it after so many commits, if it is to be cut at all.
pub fn newest(repository: &Repository, head: &str, most: Option<usize>, why: &str) -> Result<Cut, Failure> {
    let own = own_ends(repository)?;
    if most.is_none() && own.is_empty() {
        return Ok(Cut::default());
    }
    let count = most.map(|_| format!("--max-count={MAX_LOOKED_AT}"));
    let args = ["rev-list", "--parents"].into_iter().chain(count.as_deref()).chain([head]);
    let listed = repository.line(&args.collect::<Vec<_>>())?;
    Ok(Cut { ends: ends(&listed, &own, most.unwrap_or(usize::MAX)), note: most.map(|most| note(most, why)) })
}

fn note(most: usize, why: &str) -> String {
    let kept = if most == 1 { "one commit".to_owned() } else { format!("{most} commits") };
    format!("note: the history is sent {kept} deep: {why}")
}

/// The commits of `rev-list --parents`, the newest first, whose parents lie deeper than is sent, or are not there.
fn ends(listed: &str, own: &BTreeSet<String>, depth: usize) -> Vec<String> {
    let parents: HashMap<&str, Vec<&str>> = listed
        .lines()
        .filter_map(|line| {
            let mut ids = line.split(' ');
            Some((ids.next()?, ids.collect()))
        })
        .collect();
    let head = listed.lines().next().and_then(|line| line.split(' ').next());
    let (mut sent, mut level) = (HashSet::new(), Vec::from_iter(head));
    for _ in 0..depth {
        if level.is_empty() {
            break;
        }
        level.retain(|commit| parents.contains_key(commit) && sent.insert(*commit));
        level = level.iter().flat_map(|commit| parents[commit].iter().copied()).collect();
    }
    let is_end =
        |commit: &&&str| own.contains(**commit) || parents[**commit].iter().any(|up| !sent.contains(up));
    let mut ends: Vec<String> = sent.iter().filter(is_end).map(|commit| (*commit).to_owned()).collect();
    ends.sort_unstable();
    ends
}

/// The commits at which the repository's own history was cut when it was cloned.
fn own_ends(repository: &Repository) -> Result<BTreeSet<String>, Failure> {
    match fs::read_to_string(&repository.shallow) {
        Ok(text) => Ok(text.lines().map(|line| line.trim().to_owned()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}

/// The bytes of all objects, also of those that are borrowed; none when they are too many to be counted.
fn objects_bytes(objects: &Path) -> Option<u64> {
    let mut repositories = vec![objects.to_owned()];
    let (mut looked_at, mut sum, mut count) = (0, 0, 0);
    while let Some(objects) = repositories.pop() {
        looked_at += 1;
        if looked_at > MAX_BORROWED {
            return None;
        }
        let borrowed = fs::read_to_string(objects.join("info/alternates")).unwrap_or_default();
        repositories.extend(borrowed.lines().map(|line| objects.join(line)));
        let mut folders: Vec<PathBuf> = vec![objects];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                count += 1;
                if count > MAX_COUNTED {
                    return None;
                }
                match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                    Ok(metadata) => sum += metadata.len(),
                    Err(_) => {}
                }
            }
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_ends_where_a_parent_is_not_sent() {
        let none = BTreeSet::new();
        assert_eq!(ends("c b\nb a\na", &none, 3), [""; 0], "all of it is there");
        assert_eq!(ends("c b\nb a\na", &none, 2), ["b"]);
        assert_eq!(ends("c b\nb a", &none, 9), ["b"], "no more was looked at");
        // A merge whose one parent is old keeps the other's history.
        let merged = "m x y\nx w\nw v\nv u\nu r\ny r\nr";
        assert_eq!(ends(merged, &none, 3), ["w"], "the root is reached by the short way");
        assert_eq!(ends(merged, &none, 1), ["m"]);
        assert_eq!(ends("c b\nb", &BTreeSet::from(["b".to_owned(), "x".to_owned()]), usize::MAX), ["b"]);
    }
}

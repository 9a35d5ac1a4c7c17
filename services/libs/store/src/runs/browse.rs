//! Looking at one place below a folder, and at the names in it page by page. A task may have made any number of them: a page
//! costs one reading of the names and no more memory than its own entries.

use std::collections::BinaryHeap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::str::FromStr;

use rustix::fs::{AtFlags, Dir, FileType, Stat};

use super::beneath;

/// Names of one folder that are read; beyond, a page says that there are more.
const MAX_NAMES: u64 = 5_000_000;
/// Folders that hold no result, wherever they lie.
const HIDDEN: [&str; 1] = [".git"];

/// What a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceKind {
    /// A folder.
    Folder,
    /// A regular file with this one name.
    File,
    /// A regular file with another name, which may lie elsewhere.
    Linked,
    /// A symbolic link.
    Link,
    /// A pipe, a socket or a device.
    Other,
}

/// A place and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it is.
    pub kind: PlaceKind,
    /// Its length, when it is a file.
    pub bytes: u64,
    /// When it was last changed, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// What it stands for.
    pub place: Place,
}

/// Some of the names in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Folders first, each kind by name.
    pub items: Vec<Named>,
    /// How many names the folder has.
    pub total: u64,
    /// Whether there are more names than were read.
    pub more: bool,
    /// After which the next page begins, when there is one.
    pub next: Option<After>,
}

/// The last name of a page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct After {
    is_file: bool,
    name: String,
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", if self.is_file { "f" } else { "d" }, self.name)
    }
}

impl FromStr for After {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, name) = text.split_once('/').ok_or(())?;
        let is_file = match kind {
            "d" => false,
            "f" => true,
            _ => return Err(()),
        };
        Ok(Self { is_file, name: name.to_owned() })
    }
}

/// Looks at a path below a folder without following any link; none when nothing that may be seen is there. An empty path
/// is the folder itself.
///
/// # Errors
/// The disk failed.
pub fn look(root: &Path, path: &str) -> io::Result<Option<Place>> {
    let looked = || {
        let root = beneath::open_root(root)?;
        if path.is_empty() {
            return rustix::fs::fstat(&root);
        }
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        rustix::fs::statat(descend(root, above)?, name, AtFlags::SYMLINK_NOFOLLOW)
    };
    if !may_be_seen(path) {
        return Ok(None);
    }
    match looked() {
        Ok(stat) => Ok(Some(place(&stat))),
        Err(errno) if beneath::is_absent(errno) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Lists names of a folder below a folder, after one and at most so many; none when there is no such folder.
///
/// # Errors
/// The disk failed.
pub fn page(root: &Path, path: &str, after: Option<&After>, most: usize) -> io::Result<Option<Page>> {
    if !may_be_seen(path) {
        return Ok(None);
    }
    match beneath::open_root(root).and_then(|root| descend(root, path)) {
        Ok(folder) => list(&folder, after, most.max(1)).map(Some),
        Err(errno) if beneath::is_absent(errno) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn descend(root: OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.into_iter().try_fold(root, |folder, name| beneath::open_folder(folder.as_fd(), name))
}

/// Whether a path leads on from a folder by plain names, none of them hidden.
fn may_be_seen(path: &str) -> bool {
    let fits =
        |name: &str| !matches!(name, "" | "." | "..") && !HIDDEN.contains(&name) && !name.contains('\0');
    path.is_empty() || path.split('/').all(fits)
}

fn list(folder: &OwnedFd, after: Option<&After>, most: usize) -> io::Result<Page> {
    let mut page = Page::default();
    // The greatest on top, so that it makes room for a lesser one.
    let mut kept: BinaryHeap<After> = BinaryHeap::with_capacity(most + 2);
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if matches!(name, "." | "..") || HIDDEN.contains(&name) {
            continue;
        }
        if page.total == MAX_NAMES {
            page.more = true;
            break;
        }
        page.total += 1;
        let Some(is_file) = is_file(folder, name, entry.file_type())? else { continue };
        let key = (is_file, name);
        let is_before = |other: &After| key < (other.is_file, other.name.as_str());
        let is_shown = after.is_some_and(|after| key <= (after.is_file, after.name.as_str()));
        if is_shown || (kept.len() > most && !kept.peek().is_some_and(is_before)) {
            continue;
        }
        kept.push(After { is_file, name: name.to_owned() });
        if kept.len() > most + 1 {
            kept.pop();
        }
    }
    let mut kept = kept.into_sorted_vec();
    if kept.len() > most {
        kept.truncate(most);
        page.next = kept.last().cloned();
    }
    for After { name, .. } in kept {
        match rustix::fs::statat(folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => page.items.push(Named { name, place: place(&stat) }),
            // A task that runs may remove it meanwhile.
            Err(errno) if beneath::is_absent(errno) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(page)
}

/// Whether a name is no folder; none when it has gone. Some file systems do not tell without being asked.
fn is_file(folder: &OwnedFd, name: &str, kind: FileType) -> io::Result<Option<bool>> {
    if kind != FileType::Unknown {
        return Ok(Some(kind != FileType::Directory));
    }
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode) != FileType::Directory)),
        Err(errno) if beneath::is_absent(errno) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn place(stat: &Stat) -> Place {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => PlaceKind::Folder,
        FileType::RegularFile if stat.st_nlink == 1 => PlaceKind::File,
        FileType::RegularFile => PlaceKind::Linked,
        FileType::Symlink => PlaceKind::Link,
        _ => PlaceKind::Other,
    };
    let is_file = matches!(kind, PlaceKind::File | PlaceKind::Linked);
    let bytes = if is_file { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
    let modified_ms = stat.st_mtime.saturating_mul(1_000);
    Place { kind, bytes, modified_ms }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(page: &Page) -> Vec<&str> {
        page.items.iter().map(|item| item.name.as_str()).collect()
    }

    fn pages(root: &Path, most: usize) -> Vec<Page> {
        let mut pages: Vec<Page> = Vec::new();
        loop {
            let after = pages.last().and_then(|page| page.next.clone());
            // What stands in a link is read back.
            let after = after.map(|after| after.to_string().parse::<After>().unwrap());
            let next = page(root, "", after.as_ref(), most).unwrap().unwrap();
            let is_last = next.next.is_none();
            pages.push(next);
            if is_last {
                return pages;
            }
        }
    }

    #[test]
    fn folders_come_first_then_files_by_name_and_pages_hold_each_once() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b", "a", "ä", "z"] {
            fs::write(root.path().join(format!("{name}.txt")), name).unwrap();
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let whole = page(root.path(), "", None, 100).unwrap().unwrap();
        assert_eq!(names(&whole), ["a", "b", "z", "ä", "a.txt", "b.txt", "z.txt", "ä.txt"]);
        assert_eq!((whole.total, whole.next.clone(), whole.more), (8, None, false));
        for most in 1..=9 {
            let pages = pages(root.path(), most);
            let all: Vec<&str> = pages.iter().flat_map(names).collect();
            assert_eq!(all, names(&whole), "{most} a page");
            assert!(pages.iter().all(|page| page.items.len() <= most && page.total == 8));
        }
    }

    #[test]
    fn links_pipes_and_second_names_are_told_apart_and_repositories_are_hidden() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("sub/.git")).unwrap();
        fs::write(at("file"), "12345").unwrap();
        fs::write(at("one"), "").unwrap();
        fs::hard_link(at("one"), at("two")).unwrap();
        symlink("/etc/passwd", at("link")).unwrap();
        symlink("/etc", at("way")).unwrap();
        let kind = |path: &str| look(root.path(), path).unwrap().map(|place| place.kind);
        assert_eq!(kind(""), Some(PlaceKind::Folder));
        assert_eq!(kind("file"), Some(PlaceKind::File));
        assert_eq!(look(root.path(), "file").unwrap().unwrap().bytes, 5);
        assert_eq!((kind("one"), kind("two")), (Some(PlaceKind::Linked), Some(PlaceKind::Linked)));
        assert_eq!(kind("link"), Some(PlaceKind::Link));
        for nothing in
            ["way/passwd", "none", "sub/.git", "sub/.git/config", "../x", "sub//x", "file/x", "a\0"]
        {
            assert_eq!(kind(nothing), None, "{nothing:?}");
        }
        let sub = page(root.path(), "sub", None, 10).unwrap().unwrap();
        assert_eq!((sub.items.len(), sub.total), (0, 0));
        for nothing in ["way", "file", "none", "sub/.git"] {
            assert_eq!(page(root.path(), nothing, None, 10).unwrap(), None, "{nothing}");
        }
    }
}

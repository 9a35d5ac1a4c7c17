//! A folder as the work folder of a task: `--dir` and `--here`.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ignore::WalkBuilder;

use super::archive;
use super::files::{Gathered, MAX_INLINE_BYTES, MAX_SMALL_BYTES};
use crate::exit::Failure;
use crate::screen::{bytes, clean};

/// The most files of a folder; as many as an agent unpacks.
pub const MAX_FILES: usize = 200_000;
/// The most files that go one by one with the task; of more an archive is made.
const MAX_SINGLE_FILES: usize = 1_000;
/// How many of a kind are named one by one.
const NAMED: usize = 5;

/// A file to send: its path, its name in the work folder and its size.
#[derive(Debug)]
pub struct Found {
    path: std::path::PathBuf,
    /// Its name in the work folder.
    pub name: String,
    bytes: u64,
}

impl Found {
    /// Opens it. A link that took the file's place since is not followed.
    pub fn open(&self) -> std::io::Result<File> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(&self.path)?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(std::io::Error::other("it is no regular file any more")),
        }
    }
}

/// What stays behind, for the notes.
#[derive(Debug, Default)]
struct Skipped {
    links: Vec<String>,
    others: Vec<String>,
    names: Vec<String>,
    unreadable: Vec<String>,
    has_git: bool,
}

/// Gathers a folder, but for what `.gitignore` names, links, devices, `.git` itself and what is sent in place of its own.
pub fn read(
    dir: &Path,
    except: &BTreeSet<String>,
    notes: &mut Vec<String>,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let usage = |why: String| Failure::Usage(format!("--dir {}: {why}", dir.display()));
    let metadata = std::fs::metadata(dir).map_err(|error| usage(format!("cannot be read: {error}")))?;
    if !metadata.is_dir() {
        return Err(usage("is not a folder; --file sends files".to_owned()));
    }
    let (mut found, skipped) = walk(dir);
    skipped.tell(notes);
    found.retain(|file| !except.contains(&file.name));
    if found.len() > MAX_FILES {
        return Err(usage(format!("has {} files, a task may have {MAX_FILES}", found.len())));
    }
    let unread = |file: &Found, error: std::io::Error| usage(format!("{}: {error}", file.path.display()));
    let sum: u64 = found.iter().map(|file| file.bytes).sum();
    let is_small = |file: &Found| file.bytes <= MAX_SMALL_BYTES;
    if sum <= MAX_INLINE_BYTES && found.len() <= MAX_SINGLE_FILES && found.iter().all(is_small) {
        for file in found {
            let open = file.open().map_err(|error| unread(&file, error))?;
            gathered.add(file.name.clone(), open).map_err(|error| unread(&file, error))?;
        }
        return Ok(());
    }
    let (archive, length) =
        archive::of(&found).map_err(|error| usage(format!("cannot be packed: {error}")))?;
    let sizes = found.into_iter().map(|file| (file.bytes, file.name)).collect();
    gathered.add_archive(archive, length, largest(sizes));
    Ok(())
}

fn walk(dir: &Path) -> (Vec<Found>, Skipped) {
    let mut found = Vec::new();
    let mut skipped = Skipped::default();
    let walk = WalkBuilder::new(dir)
        .hidden(false)
        .ignore(false)
        .require_git(false)
        .follow_links(false)
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git")
        .build();
    skipped.has_git = dir.join(".git").exists();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                skipped.unreadable.push(error.to_string());
                continue;
            }
        };
        let path = entry.path();
        let shown = || path.strip_prefix(dir).unwrap_or(path).display().to_string();
        let Some(kind) = entry.file_type().filter(|_| entry.depth() > 0) else { continue };
        if kind.is_dir() {
            continue;
        }
        if kind.is_symlink() {
            skipped.links.push(shown());
            continue;
        }
        if !kind.is_file() {
            skipped.others.push(shown());
            continue;
        }
        match (path.strip_prefix(dir).ok().and_then(Path::to_str), entry.metadata()) {
            (None, _) => skipped.names.push(shown()),
            (_, Err(error)) => skipped.unreadable.push(error.to_string()),
            (Some(name), Ok(metadata)) => {
                found.push(Found { path: path.to_owned(), name: name.to_owned(), bytes: metadata.len() });
            }
        }
    }
    (found, skipped)
}

impl Skipped {
    fn tell(&self, notes: &mut Vec<String>) {
        for (what, names) in [
            ("symbolic links are not sent", &self.links),
            ("pipes, sockets and devices are not sent", &self.others),
            ("names that are not UTF-8 are not sent", &self.names),
            ("could not be read and is not sent", &self.unreadable),
        ] {
            if !names.is_empty() {
                notes.push(format!("note: {what}: {}", some(names)));
            }
        }
        if self.has_git {
            notes.push("note: the folder is sent without its .git".to_owned());
        }
    }
}

/// The first of some names, and how many there are more.
pub fn some(names: &[String]) -> String {
    let mut text = names.iter().take(NAMED).map(|name| clean(name)).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    text
}

/// The largest of some files, for who has to make it smaller.
pub fn largest(mut sizes: Vec<(u64, String)>) -> Vec<String> {
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.iter().take(NAMED).map(|(size, name)| format!("{}  {}", bytes(*size), clean(name))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use conductor_protocol::submit::InputFile;

    fn names(files: &[InputFile]) -> Vec<&str> {
        files.iter().map(|file| file.path.as_str()).collect()
    }

    fn gathered(dir: &Path, notes: &mut Vec<String>) -> Gathered {
        let mut gathered = Gathered::default();
        read(dir, &BTreeSet::new(), notes, &mut gathered).unwrap();
        gathered
    }

    #[test]
    fn a_folder_is_its_files_without_what_gitignore_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at(".git")).unwrap();
        fs::create_dir_all(at("src")).unwrap();
        fs::create_dir_all(at("target")).unwrap();
        for (name, content) in [
            (".git/config", "x"),
            (".gitignore", "target/\n*.log\n"),
            (".env.example", "A=1"),
            ("src/main.rs", "fn main() {}"),
            ("target/big", "y"),
            ("run.log", "z"),
        ] {
            fs::write(at(name), content).unwrap();
        }
        fs::set_permissions(at("src/main.rs"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut notes = Vec::new();
        let files = gathered(folder.path(), &mut notes).files;
        assert_eq!(names(&files), [".env.example", ".gitignore", "src/main.rs"]);
        assert!(files[2].executable && !files[0].executable);
        assert!(notes.iter().any(|note| note.contains(".git")), "{notes:?}");
    }

    #[test]
    fn gitignore_holds_without_a_repository_too() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".gitignore"), "secret\n").unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        let files = gathered(folder.path(), &mut Vec::new()).files;
        assert_eq!(names(&files), [".gitignore"]);
    }

    #[test]
    fn links_and_pipes_stay_behind_and_are_named() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", folder.path().join("link")).unwrap();
        symlink("/etc", folder.path().join("links")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::Mode::RUSR).unwrap();
        fs::write(folder.path().join("a"), "x").unwrap();
        let mut notes = Vec::new();
        let files = gathered(folder.path(), &mut notes).files;
        assert_eq!(names(&files), ["a"]);
        let all = notes.join("\n");
        assert!(all.contains("link, links") && all.contains("pipe"), "{all}");
    }

    #[test]
    fn a_large_folder_becomes_an_archive_that_names_its_largest() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("big.bin", 3_u64 << 20), ("bigger.bin", 5 << 20), ("small", 3)] {
            File::create(folder.path().join(name)).unwrap().set_len(bytes).unwrap();
        }
        let mut gathered = Gathered::default();
        let except = BTreeSet::from(["small".to_owned()]);
        read(folder.path(), &except, &mut Vec::new(), &mut gathered).unwrap();
        assert_eq!(names(&gathered.files), ["."]);
        let archive = &gathered.ahead[0];
        assert_eq!(archive.largest[0], "5.0 MiB  bigger.bin");
        let mut read = tar::Archive::new(&archive.file);
        let entries =
            read.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
        assert_eq!(entries.collect::<Vec<_>>(), ["big.bin", "bigger.bin"]);
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = |path: &Path| {
            read(path, &BTreeSet::new(), &mut Vec::new(), &mut Gathered::default()).unwrap_err()
        };
        let error = refused(file.path());
        assert!(matches!(&error, Failure::Usage(text) if text.contains("--file")), "{error:?}");
        assert!(matches!(refused(Path::new("/absent")), Failure::Usage(_)));
    }
}

//! A folder as files of a task: `--dir` and `--here`.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use conductor_protocol::limits::{MAX_FILES, MAX_MESSAGE_BYTES};
use conductor_protocol::submit::InputFile;
use ignore::WalkBuilder;

use super::files;
use crate::exit::Failure;
use crate::screen::{bytes, clean};

/// How many of a kind are named one by one.
const NAMED: usize = 5;

/// A file to send: its path, its name in the work folder and its size.
#[derive(Debug)]
struct Found {
    path: std::path::PathBuf,
    name: String,
    bytes: u64,
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

/// Reads a folder, but for what `.gitignore` names, links, devices and `.git` itself.
pub fn read(dir: &Path, notes: &mut Vec<String>) -> Result<Vec<InputFile>, Failure> {
    let usage = |why: String| Failure::Usage(format!("--dir {}: {why}", dir.display()));
    let metadata = std::fs::metadata(dir).map_err(|error| usage(format!("cannot be read: {error}")))?;
    if !metadata.is_dir() {
        return Err(usage("is not a folder; --file sends files".to_owned()));
    }
    let (found, skipped) = walk(dir);
    skipped.tell(notes);
    if found.len() > MAX_FILES {
        return Err(usage(format!("has {} files, a task may have {MAX_FILES}", found.len())));
    }
    let sum: u64 = found.iter().map(|file| file.bytes).sum();
    if sum > MAX_MESSAGE_BYTES as u64 {
        return Err(usage(too_large(&found, sum)));
    }
    let mut read = Vec::with_capacity(found.len());
    for file in found {
        // A link that took the file's place since is not followed.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let open = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(&file.path);
        let input = open.and_then(|open| files::content(file.name, &open));
        read.push(input.map_err(|error| usage(format!("{}: {error}", file.path.display())))?);
    }
    Ok(read)
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

fn some(names: &[String]) -> String {
    let mut text = names.iter().take(NAMED).map(|name| clean(name)).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    text
}

fn too_large(found: &[Found], sum: u64) -> String {
    let mut text = format!(
        "has {} files with {} together, a request may have {}; name what is not needed in a .gitignore",
        found.len(),
        bytes(sum),
        bytes(MAX_MESSAGE_BYTES as u64)
    );
    let sizes = found.iter().map(|file| (file.bytes, file.name.as_str())).collect();
    for line in largest(sizes) {
        text.push_str("\n  ");
        text.push_str(&line);
    }
    text
}

/// The largest files of a request that is too large.
pub fn what_is_large(files: &[InputFile]) -> Vec<String> {
    let length =
        |file: &InputFile| file.content.as_deref().or(file.base64.as_deref()).map_or(0, str::len) as u64;
    largest(files.iter().map(|file| (length(file), file.path.as_str())).collect())
}

fn largest(mut sizes: Vec<(u64, &str)>) -> Vec<String> {
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.iter().take(NAMED).map(|(size, name)| format!("{}  {}", bytes(*size), clean(name))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn names(files: &[InputFile]) -> Vec<&str> {
        files.iter().map(|file| file.path.as_str()).collect()
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
        let files = read(folder.path(), &mut notes).unwrap();
        assert_eq!(names(&files), [".env.example", ".gitignore", "src/main.rs"]);
        assert!(files[2].executable && !files[0].executable);
        assert!(notes.iter().any(|note| note.contains(".git")), "{notes:?}");
    }

    #[test]
    fn gitignore_holds_without_a_repository_too() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".gitignore"), "secret\n").unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        let files = read(folder.path(), &mut Vec::new()).unwrap();
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
        let files = read(folder.path(), &mut notes).unwrap();
        assert_eq!(names(&files), ["a"]);
        let all = notes.join("\n");
        assert!(all.contains("link, links") && all.contains("pipe"), "{all}");
    }

    #[test]
    fn a_folder_that_is_too_large_names_the_sum_and_the_largest() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("big.bin", 12_u64 << 20), ("bigger.bin", 20 << 20), ("small", 3)] {
            File::create(folder.path().join(name)).unwrap().set_len(bytes).unwrap();
        }
        let error = read(folder.path(), &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("3 files with 32.0 MiB") && error.contains("16.0 MiB"), "{error}");
        assert!(error.contains("20.0 MiB  bigger.bin"), "{error}");
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = read(file.path(), &mut Vec::new()).unwrap_err();
        assert!(matches!(&error, Failure::Usage(text) if text.contains("--file")), "{error:?}");
        assert!(matches!(read(Path::new("/absent"), &mut Vec::new()), Err(Failure::Usage(_))));
    }
}

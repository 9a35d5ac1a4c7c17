//! What goes into a backup, and from where. Links are kept as links and never followed.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use conductor_runtime::paths::Home;
use conductor_store::copy;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, readlinkat, statat};

use super::write::{About, Archive};
use crate::args;
use crate::exit::Failure;
use crate::screen::bytes;

/// Folders below each other.
const MAX_DEPTH: usize = 128;
/// A file of which the disk holds less than this share is mostly holes, and left out when it is large.
const SMALLEST_SHARE: u64 = 16;
/// The size from which a file with holes is left out.
const LARGE_BYTES: u64 = 64 << 20;
/// Files between two lines about the progress.
const TELL_EVERY: u64 = 256;

/// Writes all parts.
pub fn write<W: Write>(
    archive: &mut Archive<W>,
    home: &Home,
    copies: &Path,
    args: &args::Backup,
    tell: &mut dyn FnMut(String),
) -> Result<(), Failure> {
    let mut parts = Parts { archive, tell, entries: 0, bytes: 0 };
    for name in [copy::LOG, copy::HISTORY] {
        parts.one(copies, Path::new(name), &Path::new("state").join(name))?;
    }
    parts.agents(&home.state.join("agents"))?;
    parts.one(&home.config, Path::new("conductor.yaml"), Path::new("config/conductor.yaml"))?;
    if args.with_secrets {
        parts.tree(&home.config, "secrets", &|path| path == Path::new("conductor.yaml"))?;
    }
    let uploads = home.private().join("uploads");
    parts.tree(&uploads, "uploads", &|_| false)?;
    if !args.no_runs {
        parts.tree(&home.tasks(), "tasks", &|_| false)?;
        parts.tree(&home.private(), "private", &|path| path == Path::new("uploads"))?;
    }
    Ok(())
}

struct Parts<'a, W: Write> {
    archive: &'a mut Archive<W>,
    tell: &'a mut dyn FnMut(String),
    entries: u64,
    bytes: u64,
}

impl<W: Write> Parts<'_, W> {
    /// Who the agents are, so that the tasks that they ran are known to be lost at once; what they saw stays behind.
    fn agents(&mut self, agents: &Path) -> Result<(), Failure> {
        let Ok(folders) = std::fs::read_dir(agents) else { return Ok(()) };
        for folder in folders.flatten() {
            let name = folder.file_name();
            let file = Path::new(&name).join("agent.json");
            self.one(agents, &file, &Path::new("agents").join(&file))?;
        }
        Ok(())
    }

    /// One file, where it is there.
    fn one(&mut self, root: &Path, name: &Path, to: &Path) -> Result<(), Failure> {
        let path = root.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(CWD, &path, flags, Mode::empty()) {
            Ok(file) => self.file(file, to, &path),
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(failed(&path, error.into())),
        }
    }

    /// All that is in a folder, but for what is `left` out by its path in it.
    fn tree(&mut self, root: &Path, part: &str, left: &dyn Fn(&Path) -> bool) -> Result<(), Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(CWD, root, flags, Mode::empty()) {
            Ok(folder) => self.folder(&folder, Path::new(part), Path::new(""), root, left, 0),
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(failed(root, error.into())),
        }
    }

    fn folder(
        &mut self,
        folder: &OwnedFd,
        part: &Path,
        below: &Path,
        root: &Path,
        left: &dyn Fn(&Path) -> bool,
        depth: usize,
    ) -> Result<(), Failure> {
        let here = root.join(below);
        let list = Dir::read_from(folder).map_err(|error| failed(&here, error.into()))?;
        for entry in list {
            let entry = entry.map_err(|error| failed(&here, error.into()))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let below = below.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            if left(&below) {
                continue;
            }
            let (to, path) = (part.join(&below), root.join(&below));
            // What went since the folder was read is left out, like a run that is deleted just now.
            let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                self.archive.skip();
                continue;
            };
            let about = about(&stat);
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if depth < MAX_DEPTH => {
                    let Ok(inner) = openat(folder, name, flags | OFlags::DIRECTORY, Mode::empty()) else {
                        self.archive.skip();
                        continue;
                    };
                    self.archive.folder(&to, about).map_err(|error| failed(&path, error))?;
                    self.count(0);
                    self.folder(&inner, part, &below, root, left, depth + 1)?;
                }
                FileType::Symlink => match readlinkat(folder, name, Vec::new()) {
                    Ok(target) => {
                        let target = PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes()));
                        self.archive.link(&to, &target, about).map_err(|error| failed(&path, error))?;
                        self.count(0);
                    }
                    Err(_) => self.archive.skip(),
                },
                FileType::RegularFile => match openat(folder, name, flags, Mode::empty()) {
                    Ok(file) => self.file(file, &to, &path)?,
                    Err(_) => self.archive.skip(),
                },
                // Sockets, pipes and devices hold nothing.
                _ => self.archive.skip(),
            }
        }
        Ok(())
    }

    fn file(&mut self, file: OwnedFd, to: &Path, path: &Path) -> Result<(), Failure> {
        let stat = rustix::fs::fstat(file.as_fd()).map_err(|error| failed(path, error.into()))?;
        let about = about(&stat);
        let held = u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512);
        let is_hollow = about.bytes >= LARGE_BYTES && held < about.bytes / SMALLEST_SHARE;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || is_hollow {
            self.archive.skip();
            return Ok(());
        }
        self.archive.file(to, &File::from(file), about).map_err(|error| failed(path, error))?;
        self.count(about.bytes);
        Ok(())
    }

    fn count(&mut self, count: u64) {
        self.entries += 1;
        self.bytes += count;
        if self.entries.is_multiple_of(TELL_EVERY) {
            (self.tell)(format!("{} files, {}", self.entries, bytes(self.bytes)));
        }
    }
}

fn about(stat: &rustix::fs::Stat) -> About {
    About {
        mode: stat.st_mode & 0o777,
        modified: u64::try_from(stat.st_mtime).unwrap_or_default(),
        bytes: u64::try_from(stat.st_size).unwrap_or_default(),
    }
}

fn failed(path: &Path, error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::Failed(format!("failed to copy {}: {error}", path.display())),
    }
}

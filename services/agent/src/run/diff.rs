//! `diff.patch`: what a run changed in its work folder, against what the task found there, as `git apply` takes it.
//!
//! The files that were there before the run are kept under `private/<task-id>/base/`, text up to a limit. Above the first
//! `diff --git` stand lines that `git apply` skips: they name what changed and is not in the patch.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

mod base;

use super::beneath::{self, RelativePath};
use super::collect::checksum;
use super::walk::Listing;
use base::BaseFile;
pub(super) use base::{keep_base, keep_work_as_base};

/// The largest file that is compared.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// The longest patch, the most files that are looked at for it, and the most that are named as not in it.
const MAX_PATCH_BYTES: usize = 32 << 20;
const MAX_FILES: usize = 20_000;
const MAX_NAMED: usize = 200;
/// Beyond so many lines, old and new together, a changed file is written as removed and added: finding the
/// smallest difference would take too long.
const MAX_COMPARED_LINES: usize = 30_000;
/// Where git looks for a NUL byte to tell a binary file.
const BINARY_PREFIX: usize = 8_000;

/// Compares a work folder with what the task brought; empty when nothing changed.
///
/// # Errors
///
/// Fails when a file cannot be read.
pub fn diff(work: BorrowedFd<'_>, private: BorrowedFd<'_>, listing: &Listing) -> io::Result<Vec<u8>> {
    let base = base::read_manifest(private)?;
    if base.is_empty() && listing.files.is_empty() {
        return Ok(Vec::new());
    }
    let copies = if base.is_empty() { None } else { Some(base::open_copies(private)?) };
    let mut patch = Patch::default();
    let mut paths: BTreeMap<&str, Option<&BaseFile>> =
        listing.files.iter().map(|file| (file.path.as_str(), None)).collect();
    // A file that the task brought is compared whatever `.gitignore` says.
    paths.extend(base.iter().map(|file| (file.path.as_str(), Some(file))));
    let count = paths.len();
    for (done, (path, base)) in paths.into_iter().enumerate() {
        if done == MAX_FILES || patch.hunks.len() > MAX_PATCH_BYTES {
            patch.cut = count - done;
            break;
        }
        let old = match base {
            None => Side::Absent,
            Some(file) => Side::of_base(copies.as_ref(), file)?,
        };
        let new = Side::of_work(work, path, &old)?;
        patch.compare(path, &old, &new);
    }
    Ok(patch.finish())
}

/// One side of a comparison.
enum Side {
    Absent,
    Text {
        content: Vec<u8>,
        is_executable: bool,
    },
    /// Too large or binary: known by its checksum only.
    Opaque {
        bytes: u64,
        sha256: String,
    },
    /// A link, a folder, a device; or too large to be read at all.
    Other,
}

impl Side {
    fn of_base(copies: Option<&OwnedFd>, file: &BaseFile) -> io::Result<Self> {
        let Some((copies, name)) = copies.zip(file.copy.as_ref()) else {
            return Ok(Self::Opaque { bytes: file.bytes, sha256: file.sha256.clone() });
        };
        let Some(copy) = beneath::open_regular(copies.as_fd(), name.as_ref())? else {
            return Ok(Self::Opaque { bytes: file.bytes, sha256: file.sha256.clone() });
        };
        let mut content = Vec::new();
        copy.take(MAX_TEXT_BYTES).read_to_end(&mut content)?;
        Ok(Self::Text { content, is_executable: file.executable })
    }

    fn of_work(work: BorrowedFd<'_>, path: &str, old: &Self) -> io::Result<Self> {
        /// The largest file that is read to see whether it changed.
        const MAX_READ: u64 = 256 << 20;
        let Ok(relative) = RelativePath::new(path) else { return Ok(Self::Other) };
        let Some(file) = beneath::open_file(work, relative)? else {
            return Ok(if exists(work, path) { Self::Other } else { Self::Absent });
        };
        let metadata = file.metadata()?;
        let bytes = metadata.len();
        if bytes > MAX_READ {
            return Ok(Self::Other);
        }
        if bytes <= MAX_TEXT_BYTES {
            let mut content = Vec::new();
            file.take(MAX_TEXT_BYTES + 1).read_to_end(&mut content)?;
            if !is_binary(&content) {
                let is_executable =
                    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 != 0;
                return Ok(Self::Text { content, is_executable });
            }
        }
        if !matches!(old, Self::Opaque { .. }) {
            // There is nothing to compare a checksum with.
            return Ok(Self::Opaque { bytes, sha256: String::new() });
        }
        Ok(checksum(work, path, bytes)?.map_or(Self::Other, |sha256| Self::Opaque { bytes, sha256 }))
    }
}

fn exists(work: BorrowedFd<'_>, path: &str) -> bool {
    rustix::fs::statat(work, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

fn is_binary(content: &[u8]) -> bool {
    content[..content.len().min(BINARY_PREFIX)].contains(&0)
}

#[derive(Default)]
struct Patch {
    left_out: Vec<String>,
    /// How many are left out beyond those that are named.
    more: usize,
    /// How many files were not looked at.
    cut: usize,
    hunks: Vec<u8>,
}

impl Patch {
    fn compare(&mut self, path: &str, old: &Side, new: &Side) {
        match (old, new) {
            (Side::Absent, Side::Absent) => {}
            (Side::Absent, Side::Text { content, is_executable }) => {
                self.whole(path, content, *is_executable, true)
            }
            (Side::Text { content, is_executable }, Side::Absent) => {
                self.whole(path, content, *is_executable, false)
            }
            (
                Side::Text { content: old, is_executable: was },
                Side::Text { content: new, is_executable: is },
            ) => self.change(path, (old, *was), (new, *is)),
            (Side::Opaque { sha256: old, .. }, Side::Opaque { sha256: new, .. }) if old == new => {}
            (_, Side::Opaque { bytes, .. }) => {
                self.leave_out(path, &format!("binary or too large, {bytes} bytes"))
            }
            (Side::Opaque { .. }, Side::Text { .. }) => {
                self.leave_out(path, "was binary or too large, is text now")
            }
            (Side::Opaque { .. }, Side::Absent) => self.leave_out(path, "binary or too large, removed"),
            (_, Side::Other) => self.leave_out(path, "no regular file, or too large to read"),
            (Side::Other, Side::Absent | Side::Text { .. }) => {}
        }
    }

    fn leave_out(&mut self, path: &str, why: &str) {
        if self.left_out.len() == MAX_NAMED {
            self.more += 1;
            return;
        }
        self.left_out.push(format!("Not in this patch: {} ({why})\n", quoted("", path)));
    }

    fn header(&mut self, path: &str, lines: &str) {
        let (a, b) = (quoted("a/", path), quoted("b/", path));
        self.hunks.extend_from_slice(format!("diff --git {a} {b}\n{lines}").as_bytes());
    }

    /// A file that is only on one side.
    fn whole(&mut self, path: &str, content: &[u8], is_executable: bool, is_new: bool) {
        let kind = if is_new { "new" } else { "deleted" };
        self.header(path, &format!("{kind} file mode {}\n", mode(is_executable)));
        if content.is_empty() {
            return;
        }
        let name = quoted(if is_new { "b/" } else { "a/" }, path);
        let names = if is_new { ("/dev/null", name.as_str()) } else { (name.as_str(), "/dev/null") };
        self.names(names.0, names.1);
        let (old, new): (&[u8], &[u8]) = if is_new { (b"", content) } else { (content, b"") };
        self.replacement(old, new);
    }

    fn change(
        &mut self,
        path: &str,
        (old, was_executable): (&[u8], bool),
        (new, is_executable): (&[u8], bool),
    ) {
        if old == new && was_executable == is_executable {
            return;
        }
        let modes = match (was_executable, is_executable) {
            (false, true) => "old mode 100644\nnew mode 100755\n",
            (true, false) => "old mode 100755\nnew mode 100644\n",
            (false, false) | (true, true) => "",
        };
        self.header(path, modes);
        if old == new {
            return;
        }
        self.names(&quoted("a/", path), &quoted("b/", path));
        if lines(old).count() + lines(new).count() > MAX_COMPARED_LINES {
            return self.replacement(old, new);
        }
        let patch = diffy::create_patch_bytes(old, new).to_bytes();
        // It begins with two lines of names, which are written above as git quotes them.
        let hunks = patch.splitn(3, |&byte| byte == b'\n').nth(2).unwrap_or_default();
        self.hunks.extend_from_slice(hunks);
    }

    fn names(&mut self, old: &str, new: &str) {
        self.hunks.extend_from_slice(format!("--- {old}\n+++ {new}\n").as_bytes());
    }

    /// One hunk that takes all old lines out and puts all new ones in.
    fn replacement(&mut self, old: &[u8], new: &[u8]) {
        let range = |count: usize| if count == 0 { "0,0".to_owned() } else { format!("1,{count}") };
        let (removed, added) = (range(lines(old).count()), range(lines(new).count()));
        self.hunks.extend_from_slice(format!("@@ -{removed} +{added} @@\n").as_bytes());
        for (sign, content) in [(b'-', old), (b'+', new)] {
            for line in lines(content) {
                self.hunks.push(sign);
                self.hunks.extend_from_slice(line);
                if !line.ends_with(b"\n") {
                    self.hunks.extend_from_slice(b"\n\\ No newline at end of file\n");
                }
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        let mut patch = self.left_out.concat().into_bytes();
        for (count, why) in
            [(self.more, "more files"), (self.cut, "files that were not compared: there are too many")]
        {
            if count > 0 {
                patch.extend_from_slice(format!("Not in this patch: {count} {why}\n").as_bytes());
            }
        }
        patch.write_all(&self.hunks).expect("a vector takes all that is written to it");
        patch
    }
}

fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split_inclusive(|&byte| byte == b'\n')
}

fn mode(is_executable: bool) -> &'static str {
    if is_executable { "100755" } else { "100644" }
}

/// Writes a path as git does: in quotes with escapes where it has a quote, a backslash or a control
/// character in it.
fn quoted(prefix: &str, path: &str) -> String {
    if !path.chars().any(|char| char.is_control() || matches!(char, '"' | '\\')) {
        return format!("{prefix}{path}");
    }
    let mut text = format!("\"{prefix}");
    for byte in path.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests;

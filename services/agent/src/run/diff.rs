//! `diff.patch`: what a run changed in its work folder, against the files that the task brought, as `git apply`
//! takes it.
//!
//! The files that the task brought are kept under `private/<task-id>/base/`, text up to a limit. Above the first
//! `diff --git` stand lines that `git apply` skips: they name what changed and is not in the patch.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::beneath::{self, RelativePath};
use super::collect::{checksum, hex};
use super::types::InputFile;
use super::walk::Listing;

/// The largest file that is compared, and the most bytes that are kept of a task's files.
const MAX_TEXT_BYTES: u64 = 1 << 20;
const MAX_BASE_BYTES: usize = 64 << 20;
/// The longest patch.
const MAX_PATCH_BYTES: usize = 32 << 20;
/// Beyond so many lines, old and new together, a changed file is written as removed and added: finding the
/// smallest difference would take too long.
const MAX_COMPARED_LINES: usize = 30_000;
/// Where git looks for a NUL byte to tell a binary file.
const BINARY_PREFIX: usize = 8_000;
const BASE: &str = "base";
const MANIFEST: &str = "base.json";

/// What is known of a file that the task brought.
#[derive(Debug, Serialize, Deserialize)]
struct BaseFile {
    path: String,
    bytes: u64,
    sha256: String,
    /// The name of the copy under `base/`, if one is kept.
    copy: Option<String>,
}

/// Keeps the files that a task brought, as the state to compare with.
///
/// # Errors
///
/// Fails when the disk says no.
pub(super) fn keep_base(private: BorrowedFd<'_>, files: &[InputFile]) -> io::Result<()> {
    if files.is_empty()
        || rustix::fs::accessat(private, MANIFEST, rustix::fs::Access::EXISTS, rustix::fs::AtFlags::empty())
            .is_ok()
    {
        // A task's files never change.
        return Ok(());
    }
    match rustix::fs::mkdirat(private, BASE, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let base = beneath::open_folder(private, BASE)?;
    let mut kept = 0;
    let mut manifest = Vec::with_capacity(files.len());
    for (number, InputFile { path, content }) in files.iter().enumerate() {
        let bytes = content.len() as u64;
        let mut copy = None;
        if bytes <= MAX_TEXT_BYTES && kept + content.len() <= MAX_BASE_BYTES && !is_binary(content) {
            let name = number.to_string();
            let name_path = RelativePath::new(&name).expect("a number is a file name");
            beneath::write_file(base.as_fd(), name_path, content, beneath::Existing::Replace)
                .map_err(io::Error::other)?;
            kept += content.len();
            copy = Some(name);
        }
        manifest.push(BaseFile { path: path.clone(), bytes, sha256: hex(&Sha256::digest(content)), copy });
    }
    // Written last, whole or not at all: without it there is no base.
    let temporary = RelativePath::new("base.json.new").expect("a plain name");
    let json = serde_json::to_vec(&manifest)?;
    beneath::write_file(private, temporary, &json, beneath::Existing::Replace).map_err(io::Error::other)?;
    Ok(rustix::fs::renameat(private, temporary.as_str(), private, MANIFEST)?)
}

/// Compares a work folder with what the task brought; empty when nothing changed.
///
/// # Errors
///
/// Fails when a file cannot be read.
pub fn diff(work: BorrowedFd<'_>, private: BorrowedFd<'_>, listing: &Listing) -> io::Result<Vec<u8>> {
    let base = read_manifest(private)?;
    if base.is_empty() && listing.files.is_empty() {
        return Ok(Vec::new());
    }
    let copies = if base.is_empty() { None } else { Some(beneath::open_folder(private, BASE)?) };
    let mut patch = Patch::default();
    let mut paths: BTreeMap<&str, Option<&BaseFile>> =
        listing.files.iter().map(|file| (file.path.as_str(), None)).collect();
    // A file that the task brought is compared whatever `.gitignore` says.
    paths.extend(base.iter().map(|file| (file.path.as_str(), Some(file))));
    for (path, base) in paths {
        let old = match base {
            None => Side::Absent,
            Some(file) => Side::of_base(copies.as_ref(), file)?,
        };
        let new = Side::of_work(work, path)?;
        patch.compare(path, &old, &new);
        if patch.hunks.len() > MAX_PATCH_BYTES {
            patch.leave_out("this and what follows", "the patch is too long");
            break;
        }
    }
    Ok(patch.finish())
}

fn read_manifest(private: BorrowedFd<'_>) -> io::Result<Vec<BaseFile>> {
    match beneath::open_regular(private, MANIFEST.as_ref())? {
        Some(file) => Ok(serde_json::from_reader(io::BufReader::new(file))?),
        None => Ok(Vec::new()),
    }
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
        Ok(Self::Text { content, is_executable: false })
    }

    fn of_work(work: BorrowedFd<'_>, path: &str) -> io::Result<Self> {
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
            (Side::Text { content: old, .. }, Side::Text { content: new, is_executable }) => {
                self.change(path, old, new, *is_executable);
            }
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

    fn change(&mut self, path: &str, old: &[u8], new: &[u8], is_executable: bool) {
        if old == new && !is_executable {
            return;
        }
        let modes = if is_executable { "old mode 100644\nnew mode 100755\n" } else { "" };
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
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// A task with these files, changed by `change`; returns the patch, checked by `git apply` against the files.
    fn patch(files: &[(&str, &[u8])], change: impl FnOnce(&Path)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let [work, private, applied] = ["work", "private", "applied"].map(|name| folder.path().join(name));
        for path in [&work, &private, &applied] {
            fs::create_dir(path).unwrap();
        }
        let files: Vec<InputFile> = files
            .iter()
            .map(|(path, content)| InputFile { path: (*path).into(), content: content.to_vec() })
            .collect();
        for root in [&work, &applied] {
            let root = File::open(root).unwrap();
            for InputFile { path, content } in &files {
                let path = RelativePath::new(path).unwrap();
                beneath::write_file(root.as_fd(), path, content, beneath::Existing::Refuse).unwrap();
            }
        }
        let private = File::open(private).unwrap();
        keep_base(private.as_fd(), &files).unwrap();
        change(&work);
        let work_fd = File::open(&work).unwrap();
        let listing = Listing::read(work_fd.as_fd()).unwrap();
        let patch = diff(work_fd.as_fd(), private.as_fd(), &listing).unwrap();
        if patch.windows(10).any(|window| window == b"diff --git") {
            check(&patch, &folder.path().join("p"), &work, &applied);
        }
        String::from_utf8_lossy(&patch).into_owned()
    }

    fn check(patch: &[u8], file: &Path, work: &Path, applied: &Path) {
        fs::write(file, patch).unwrap();
        let git = |args: &[&str]| {
            Command::new("git").args(args).current_dir(applied).output().expect("git is installed")
        };
        let output = git(&["apply", "--whitespace=nowarn", file.to_str().unwrap()]);
        assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(patch)
        );
        let skipped = String::from_utf8_lossy(patch).contains("Not in this patch");
        let same =
            Command::new("diff").args(["-r", "-x", "ignored.*"]).args([work, applied]).output().unwrap();
        assert!(skipped || same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    }

    #[test]
    fn nothing_changed_gives_an_empty_patch() {
        assert_eq!(patch(&[("a", b"x\n"), ("bin", b"\0")], |_| {}), "");
        assert_eq!(patch(&[], |_| {}), "");
    }

    #[test]
    fn changed_new_and_removed_files_apply() {
        let text = patch(&[("a/b.txt", b"1\n2\n3\n4\n5\n"), ("gone", b"bye"), ("empty", b"")], |work| {
            fs::write(work.join("a/b.txt"), "1\n2\nthree\n4\n5\n").unwrap();
            fs::remove_file(work.join("gone")).unwrap();
            fs::remove_file(work.join("empty")).unwrap();
            fs::write(work.join("new file.txt"), "no newline").unwrap();
            fs::write(work.join("new empty"), "").unwrap();
        });
        assert!(text.contains("-3\n+three\n"), "{text}");
        assert!(text.contains("new file mode 100644"), "{text}");
        assert!(text.contains("deleted file mode 100644"), "{text}");
    }

    #[test]
    fn odd_names_and_odd_ends_apply() {
        patch(&[("q\"uote", b"a\nb"), ("tab\t", b"x\r\n"), ("日本", b"1\n")], |work| {
            fs::write(work.join("q\"uote"), "a\nb\n").unwrap();
            fs::write(work.join("tab\t"), "x\n").unwrap();
            fs::write(work.join("日本"), "2\n").unwrap();
            fs::write(work.join("new\nline"), "\u{1}").unwrap();
            fs::write(work.join("latin"), b"\xe9\n").unwrap();
        });
    }

    #[test]
    fn a_file_that_became_executable_says_so() {
        let text = patch(&[("run.sh", b"true\n")], |work| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(work.join("run.sh"), mode).unwrap();
        });
        assert!(text.contains("new mode 100755"), "{text}");
    }

    #[test]
    fn binary_and_large_files_are_named_and_the_rest_applies() {
        let text = patch(&[("image", b"\0old"), ("kept", b"\0same"), ("lost", b"\0")], |work| {
            fs::write(work.join("image"), b"\0new").unwrap();
            fs::remove_file(work.join("lost")).unwrap();
            fs::write(work.join("large"), vec![b'x'; 2 << 20]).unwrap();
            fs::write(work.join("text"), "text\n").unwrap();
            std::os::unix::fs::symlink("/etc/passwd", work.join("link")).unwrap();
        });
        assert!(text.starts_with("Not in this patch: image (binary"), "{text}");
        assert!(text.contains("Not in this patch: large ("), "{text}");
        assert!(text.contains("Not in this patch: lost ("), "{text}");
        assert!(!text.contains("kept") && !text.contains("passwd"), "{text}");
    }

    #[test]
    fn a_file_replaced_by_a_link_is_named_and_not_read() {
        let text = patch(&[("a", b"x\n")], |work| {
            fs::remove_file(work.join("a")).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", work.join("a")).unwrap();
        });
        assert_eq!(text, "Not in this patch: a (no regular file, or too large to read)\n");
    }

    #[test]
    fn very_many_lines_are_replaced_and_still_apply() {
        let old: String = (0..20_000).map(|line| format!("{line}\n")).collect();
        let new: String = (0..20_000).map(|line| format!("{}\n", line * 7)).collect();
        patch(&[("many", old.as_bytes())], |work| fs::write(work.join("many"), new).unwrap());
    }

    #[test]
    fn an_ignored_file_that_the_task_brought_is_compared() {
        let text = patch(&[(".gitignore", b"*.log\n"), ("a.log", b"1\n")], |work| {
            fs::write(work.join("a.log"), "2\n").unwrap();
            fs::write(work.join("ignored.log"), "3\n").unwrap();
        });
        assert!(text.contains("a.log") && !text.contains("ignored"), "{text}");
    }
}

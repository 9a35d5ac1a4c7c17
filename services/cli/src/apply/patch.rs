//! Reading a diff as git writes it.

use std::ops::Range;

use super::binary::Binary;
use super::tree::RelativePath;

/// What a diff says.
#[derive(Debug, Default)]
pub struct Patch {
    /// One for each file.
    pub changes: Vec<Change>,
    /// What stands above the diff: changes that are not in it.
    pub left_out: Vec<String>,
}

/// What becomes of one file.
#[derive(Debug)]
pub struct Change {
    pub path: RelativePath,
    pub kind: Kind,
    /// Whether it may be executed afterwards, where the diff says so.
    pub executable: Option<bool>,
    /// Its hunks, as a diff of their own.
    pub hunks: Vec<u8>,
    /// What changed of a file that is no text.
    pub binary: Option<Binary>,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    New,
    Changed,
    Deleted,
}

/// Lines of a diff, one after the other.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn peek(&self) -> Option<&'a [u8]> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        Some(&rest[..rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())])
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.peek()?;
        self.at = (self.at + line.len() + 1).min(self.text.len());
        Some(line)
    }
}

/// Reads a diff.
///
/// # Errors
/// Names everything in it that is not taken.
pub fn parse(text: &[u8]) -> Result<Patch, Vec<String>> {
    let mut lines = Lines { text, at: 0 };
    let mut patch = Patch::default();
    let mut faults = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(names) = line.strip_prefix(b"diff --git ") {
            match change(names, &mut lines) {
                Ok(change) => patch.changes.push(change),
                Err(fault) => {
                    faults.push(format!("{}: {fault}", String::from_utf8_lossy(names)));
                    skip(&mut lines);
                }
            }
        } else if patch.changes.is_empty() && faults.is_empty() {
            let said = String::from_utf8_lossy(line);
            let said = said.strip_prefix("Not in this patch: ").unwrap_or(&said);
            patch.left_out.extend((!said.is_empty()).then(|| said.to_owned()));
        } else {
            faults.push(format!("a line stands between files: {}", String::from_utf8_lossy(line)));
            skip(&mut lines);
        }
    }
    twice(&patch, &mut faults);
    if faults.is_empty() { Ok(patch) } else { Err(faults) }
}

fn skip(lines: &mut Lines<'_>) {
    while lines.peek().is_some_and(|line| !line.starts_with(b"diff --git ")) {
        lines.next();
    }
}

/// Finds names that stand twice, and files that would be folders.
fn twice(patch: &Patch, faults: &mut Vec<String>) {
    let mut paths: Vec<&RelativePath> = patch.changes.iter().map(|change| &change.path).collect();
    paths.sort_unstable();
    for pair in paths.windows(2) {
        if pair[0] == pair[1] {
            faults.push(format!("{} stands in it twice", pair[0]));
        } else if pair[1].is_below(pair[0]) {
            faults.push(format!("{} would lie below the file {}", pair[1], pair[0]));
        }
    }
}

/// Reads what follows the first line of a file.
fn change(names: &[u8], lines: &mut Lines<'_>) -> Result<Change, String> {
    let mut kind = Kind::Changed;
    let mut executable = None;
    while let Some(line) = lines.peek() {
        if let Some(mode) = line.strip_prefix(b"new file mode ") {
            kind = Kind::New;
            executable = Some(is_executable(mode)?);
        } else if let Some(mode) = line.strip_prefix(b"deleted file mode ") {
            kind = Kind::Deleted;
            is_executable(mode)?;
        } else if let Some(mode) = line.strip_prefix(b"new mode ") {
            executable = Some(is_executable(mode)?);
        } else if let Some(mode) = line.strip_prefix(b"old mode ") {
            is_executable(mode)?;
        } else if line.starts_with(b"rename ")
            || line.starts_with(b"copy ")
            || line.starts_with(b"similarity ")
        {
            return Err("a rename or copy is not taken".to_owned());
        } else if line.starts_with(b"Binary files ") {
            return Err("of a binary file it does not say what changed".to_owned());
        } else if !line.starts_with(b"index ") {
            break;
        }
        lines.next();
    }
    let mut path = head_path(names)?;
    let mut hunks = Vec::new();
    if lines.peek().is_some_and(|line| line == b"GIT binary patch") {
        lines.next();
        let binary = Some(Binary::read(|| lines.next())?);
        return Ok(Change { path: RelativePath::new(&path)?, kind, executable, hunks, binary });
    }
    if lines.peek().is_some_and(|line| line.starts_with(b"--- ")) {
        let named = named_path(kind, lines)?;
        if path != named {
            return Err("it has two names".to_owned());
        }
        path = named;
        let body = hunk_lines(lines)?;
        hunks = [b"--- a\n+++ b\n", &lines.text[body]].concat();
    }
    Ok(Change { path: RelativePath::new(&path)?, kind, executable, hunks, binary: None })
}

fn is_executable(mode: &[u8]) -> Result<bool, String> {
    match mode {
        b"100644" => Ok(false),
        b"100755" => Ok(true),
        other => Err(format!("a file of mode {} is not taken", String::from_utf8_lossy(other))),
    }
}

/// The name in the two lines before the hunks.
fn named_path(kind: Kind, lines: &mut Lines<'_>) -> Result<String, String> {
    let old = lines.next().and_then(|line| line.strip_prefix(b"--- ")).unwrap_or_default();
    let new = lines.next().and_then(|line| line.strip_prefix(b"+++ ")).ok_or("a line +++ is missing")?;
    let (old, new) = (side(old, b"a/")?, side(new, b"b/")?);
    match (kind, old, new) {
        (Kind::New, None, Some(name)) | (Kind::Deleted, Some(name), None) => Ok(name),
        (Kind::Changed, Some(old), Some(new)) if old == new => Ok(new),
        (Kind::Changed, Some(_), Some(_)) => Err("it has two names".to_owned()),
        (Kind::New | Kind::Changed | Kind::Deleted, _, _) => {
            Err("its names do not fit what is done to it".to_owned())
        }
    }
}

/// The name on one side; nothing for `/dev/null`.
fn side(text: &[u8], prefix: &[u8]) -> Result<Option<String>, String> {
    // Git ends a name that holds spaces with a tab.
    let text = text.strip_suffix(b"\t").unwrap_or(text);
    if text == b"/dev/null" {
        return Ok(None);
    }
    let name = match text.strip_prefix(b"\"") {
        Some(quoted) => match unquote(quoted) {
            Some((name, [])) => name,
            Some(_) | None => return Err("its name is not quoted as git does".to_owned()),
        },
        None => text.to_vec(),
    };
    strip(&name, prefix).map(Some)
}

fn strip(name: &[u8], prefix: &[u8]) -> Result<String, String> {
    let name = name.strip_prefix(prefix).ok_or("its name does not begin with a/ or b/")?;
    String::from_utf8(name.to_vec()).map_err(|_| "its name is not UTF-8".to_owned())
}

/// The name in the first line of a file: `a/NAME b/NAME`, both the same.
fn head_path(names: &[u8]) -> Result<String, String> {
    if let Some(quoted) = names.strip_prefix(b"\"") {
        let (old, rest) = unquote(quoted).ok_or("its name is not quoted as git does")?;
        let new = side(rest.strip_prefix(b" ").unwrap_or(rest), b"b/")?;
        let old = strip(&old, b"a/")?;
        return if new.as_ref() == Some(&old) { Ok(old) } else { Err("it has two names".to_owned()) };
    }
    // Both halves are equally long, whatever spaces the name holds.
    let (old, new) = names.split_at(names.len() / 2);
    match (strip(old, b"a/"), new.strip_prefix(b" ").map(|new| strip(new, b"b/"))) {
        (Ok(old), Some(Ok(new))) if old == new => Ok(old),
        _ if is_rename(names) => Err("a rename is not taken".to_owned()),
        _ => Err("it has two names".to_owned()),
    }
}

fn is_rename(names: &[u8]) -> bool {
    names.starts_with(b"a/") && names.windows(3).any(|part| part == b" b/")
}

/// Reads a name in quotes, after the first; what follows the second is left.
fn unquote(mut text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut name = Vec::new();
    loop {
        let (first, rest) = text.split_first()?;
        text = rest;
        match first {
            b'"' => return Some((name, text)),
            b'\\' => {
                let (escape, rest) = text.split_first()?;
                text = rest;
                name.push(match escape {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'a' => 7,
                    b'b' => 8,
                    b'f' => 12,
                    b'v' => 11,
                    b'"' | b'\\' => *escape,
                    b'0'..=b'3' => {
                        let digits = std::str::from_utf8(text.get(..2)?).ok()?;
                        let low = u8::from_str_radix(digits, 8).ok()?;
                        text = &text[2..];
                        (escape - b'0') * 64 + low
                    }
                    _ => return None,
                });
            }
            byte => name.push(*byte),
        }
    }
}

/// Goes over all hunks of a file by their line counts and says where they stand.
fn hunk_lines(lines: &mut Lines<'_>) -> Result<Range<usize>, String> {
    let begin = lines.at;
    while let Some(head) = lines.peek().and_then(|line| line.strip_prefix(b"@@ ")) {
        let (mut old, mut new) = counts(head).ok_or("a line @@ cannot be read")?;
        lines.next();
        while old > 0 || new > 0 {
            let line = lines.next().ok_or("it ends within a hunk")?;
            let (less_old, less_new) = match line.first() {
                Some(b' ') | None => (1, 1),
                Some(b'-') => (1, 0),
                Some(b'+') => (0, 1),
                Some(b'\\') => (0, 0),
                Some(_) if line.starts_with(b"diff --git ") => return Err("it ends within a hunk".to_owned()),
                Some(_) => return Err("a line of a hunk is neither kept, added nor removed".to_owned()),
            };
            old = old.checked_sub(less_old).ok_or("a hunk has more lines than it says")?;
            new = new.checked_sub(less_new).ok_or("a hunk has more lines than it says")?;
        }
        if lines.peek().is_some_and(|line| line.starts_with(b"\\")) {
            lines.next();
        }
    }
    Ok(begin..lines.at)
}

/// The line counts of `-1,2 +3,4 @@`.
fn counts(head: &[u8]) -> Option<(u64, u64)> {
    let head = std::str::from_utf8(head).ok()?;
    let mut parts = head.split(' ');
    let count = |part: &str, sign: char| -> Option<u64> {
        match part.strip_prefix(sign)?.split_once(',') {
            Some((_, count)) => count.parse().ok(),
            None => Some(1),
        }
    };
    Some((count(parts.next()?, '-')?, count(parts.next()?, '+')?))
}

//! What a diff does to a folder, worked out in memory before anything is touched.

use std::fs::File;

use super::patch::{Change, Kind, Patch};
use super::tree::{Found, RelativePath, Stamp, look};

/// The largest file that is changed.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// How the pointer begins that stands in a diff for a large file, as git-lfs has them, and the longest one.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
const MAX_POINTER_BYTES: usize = 1_024;

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
}

/// What is to be done to one file.
#[derive(Debug)]
pub struct Step {
    pub path: RelativePath,
    /// What it was when the plan was made; nothing for a new file.
    pub was: Option<Stamp>,
    /// What it is to be; nothing for one that goes.
    pub becomes: Option<Content>,
}

/// What a file is to be.
#[derive(Debug)]
pub struct Content {
    pub bytes: Vec<u8>,
    pub mode: u32,
}

impl Step {
    /// Whether it brings the pointer of a large file in the place of its content.
    pub fn brings_pointer(&self) -> bool {
        let is_pointer = |bytes: &[u8]| bytes.len() <= MAX_POINTER_BYTES && bytes.starts_with(POINTER);
        self.becomes.as_ref().is_some_and(|content| is_pointer(&content.bytes))
    }

    /// What is done to it, in a word.
    pub fn word(&self) -> &'static str {
        match (&self.was, &self.becomes) {
            (None, _) => "added",
            (Some(_), Some(_)) => "changed",
            (Some(_), None) => "removed",
        }
    }
}

/// Works out what a diff does.
///
/// # Errors
/// Names every conflict.
pub fn make(root: &File, patch: &Patch) -> Result<Plan, Vec<String>> {
    let mut steps = Vec::with_capacity(patch.changes.len());
    let mut conflicts = Vec::new();
    for change in &patch.changes {
        match step(root, change) {
            Ok(step) => steps.push(step),
            Err(conflict) => {
                conflicts.push(format!("{}: {conflict}", crate::screen::clean(&change.path.to_string())))
            }
        }
    }
    if conflicts.is_empty() { Ok(Plan { steps }) } else { Err(conflicts) }
}

fn step(root: &File, change: &Change) -> Result<Step, String> {
    let found =
        look(root, &change.path, MAX_FILE_BYTES).map_err(|error| format!("cannot be read: {error}"))?;
    let path = change.path.clone();
    match (change.kind, found) {
        (Kind::New | Kind::Changed | Kind::Deleted, Found::Other(why)) => Err(why.to_owned()),
        (Kind::New, Found::Nothing) => {
            let mode = if change.executable == Some(true) { 0o755 } else { 0o644 };
            let bytes = changed(b"", change)?;
            Ok(Step { path, was: None, becomes: Some(Content { bytes, mode }) })
        }
        (Kind::New, Found::File { .. }) => Err("is there already".to_owned()),
        (Kind::Changed | Kind::Deleted, Found::Nothing) => Err("is not there".to_owned()),
        (Kind::Changed, Found::File { content, mode, stamp }) => {
            let mode = match change.executable {
                Some(true) => mode | ((mode & 0o444) >> 2),
                Some(false) => mode & !0o111,
                None => mode,
            };
            let bytes = changed(&content, change)?;
            Ok(Step { path, was: Some(stamp), becomes: Some(Content { bytes, mode }) })
        }
        (Kind::Deleted, Found::File { content, stamp, .. }) => match changed(&content, change)?.is_empty() {
            true => Ok(Step { path, was: Some(stamp), becomes: None }),
            false => Err("holds more than what is removed".to_owned()),
        },
    }
}

/// The content after the hunks.
fn changed(content: &[u8], change: &Change) -> Result<Vec<u8>, String> {
    if let Some(binary) = &change.binary {
        return binary.applied(content).ok_or_else(|| "holds something else than what is changed".to_owned());
    }
    if change.hunks.is_empty() {
        return Ok(content.to_vec());
    }
    let patch =
        diffy::Patch::from_bytes(&change.hunks).map_err(|error| format!("cannot be read: {error}"))?;
    let is_of_pointer = || change.hunks.windows(POINTER.len()).any(|part| part == POINTER);
    let refused = || {
        let why = match !content.starts_with(POINTER) && is_of_pointer() {
            true => {
                "is a large file, of which the diff has the pointer and not the content; fetch the branch of the run"
            }
            false => "holds something else than what is changed",
        };
        why.to_owned()
    };
    if !is_anchored(content, patch.hunks()) {
        return Err(refused());
    }
    diffy::apply_bytes(content, &patch).map_err(|_| refused())
}

/// Tells whether a hunk that was at the beginning or the end of the file would be there again, as git asks. Else what a run appended
/// would be appended once more each time.
fn is_anchored(content: &[u8], hunks: &[diffy::Hunk<'_, [u8]>]) -> bool {
    let (Some(first), Some(last)) = (hunks.first(), hunks.last()) else { return true };
    let begins = first.old_range().start() <= 1;
    let ends = !matches!(last.lines().last(), Some(diffy::Line::Context(_)));
    let fits_begin = !begins || content.starts_with(&before(first));
    let fits_end = !ends || content.ends_with(&before(last));
    // A file that was empty has no line to be known by.
    let fits_nothing = first.old_range().start() > 0 || content.is_empty();
    fits_begin && fits_end && fits_nothing
}

/// The lines of a hunk as they were.
fn before(hunk: &diffy::Hunk<'_, [u8]>) -> Vec<u8> {
    let was = hunk.lines().iter().filter_map(|line| match line {
        diffy::Line::Context(text) | diffy::Line::Delete(text) => Some(*text),
        diffy::Line::Insert(_) => None,
    });
    was.collect::<Vec<_>>().concat()
}

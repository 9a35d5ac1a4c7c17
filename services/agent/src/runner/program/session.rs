//! The session of a program: what it goes on with after a crash, a limit, a stop, or in a later task.
//!
//! What the program keeps of it is in the private home of the run, and beside it a note that names it.

use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use conductor_runtime::config::{RunnerOutput, RunnerSpec};
use rustix::fs::RenameFlags;
use serde::{Deserialize, Serialize};

use crate::run::beneath::{self, Existing, RelativePath};
use crate::run::{Folder, inherit};

/// The note's name in the home.
const NOTE: &str = ".conductor-session.json";
/// No note is longer.
const MAX_NOTE_BYTES: u64 = 16 << 10;
/// The most bytes of a session that are copied to a later task.
const MAX_SESSION_BYTES: u64 = 256 << 20;
/// The most names that are looked at in a folder of records.
const MAX_RECORDS: usize = 4_096;
/// The longest list of working directories; what is cut is no list.
const MAX_PROJECTS_BYTES: u64 = 1 << 20;
/// The folder of Claude Code in which each working directory has its sessions.
const CLAUDE_PROJECTS: &str = ".claude/projects";
/// The folder of Gemini, and of its records in it.
const GEMINI: &str = ".gemini";
const GEMINI_RECORDS: &str = ".gemini/tmp";
/// The file of Gemini that knows the working directories.
const GEMINI_PROJECTS: &str = ".gemini/projects.json";

/// What is noted of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::runner) struct Note {
    /// How the runner's output is read: another kind of program has other sessions.
    pub kind: String,
    pub session: String,
    /// What the session had used when it was left: some programs count it again.
    #[serde(default)]
    pub used: [u64; 3],
    /// The working directory of the session.
    #[serde(default)]
    pub work: String,
}

/// Reads the note of a run that was here before.
pub(in crate::runner) fn read(folder: &Folder, spec: &RunnerSpec) -> Option<Note> {
    let home = beneath::open_folder(folder.private.as_fd(), "home").ok()?;
    read_in(home.as_fd(), spec)
}

fn read_in(home: BorrowedFd<'_>, spec: &RunnerSpec) -> Option<Note> {
    let file = beneath::open_file(home, RelativePath::new(NOTE).ok()?).ok()??;
    if file.metadata().ok()?.len() > MAX_NOTE_BYTES {
        return None;
    }
    let note: Note = serde_json::from_reader(file).ok()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    let is_id = !note.session.starts_with('-') && note.session.chars().all(fits) && !note.session.is_empty();
    (is_id && is_read(home, &note.kind, spec)).then_some(note)
}

/// Whether a program goes on with a session of this kind. Gemini CLI keeps the same records of one that it is spoken with as
/// of one that it is started for each turn.
fn is_read(home: BorrowedFd<'_>, kind: &str, spec: &RunnerSpec) -> bool {
    let forms = [RunnerOutput::GeminiStreamJson, RunnerOutput::Acp];
    let is_gemini = || forms.iter().any(|form| form.as_str() == kind) && forms.contains(&spec.output);
    let has_records =
        || spec.session_paths.iter().any(|path| path == GEMINI) && open_below(home, GEMINI_RECORDS).is_some();
    kind == spec.output.as_str() || (is_gemini() && has_records())
}

/// Writes the note.
pub(in crate::runner) fn write(folder: &Folder, note: &Note) -> Result<(), beneath::Error> {
    let home = home(folder)?;
    let json = serde_json::to_vec(note).expect("the record has string keys alone");
    beneath::write_file(home.as_fd(), RelativePath::new(NOTE)?, &json, Existing::Replace).map(|_| ())
}

/// Copies the session of another task, so that this one goes on with it; none when there is none to go on with.
pub(in crate::runner) fn inherit(source: &OwnedFd, folder: &Folder, spec: &RunnerSpec) -> Option<Note> {
    let note = read_in(source.as_fd(), spec)?;
    let home = home(folder).ok()?;
    for path in &spec.session_paths {
        let Some(from) = open_below(source.as_fd(), path) else { continue };
        let path = RelativePath::new(path).ok()?;
        beneath::make_folder(home.as_fd(), path).ok()?;
        let to = open_below(home.as_fd(), path.as_str())?;
        if let Err(error) = inherit::copy(from.as_fd(), to.as_fd(), MAX_SESSION_BYTES) {
            tracing::warn!(%error, path = path.as_str(), "a session could not be copied; a new one begins");
            return None;
        }
    }
    let work = folder.work_path().to_string_lossy().into_owned();
    moved(home.as_fd(), &note.work, &work);
    let note = Note { work, ..note };
    write(folder, &note).ok()?;
    Some(note)
}

/// Keeps the record of a session of Gemini from being begun anew before it is read: Gemini CLI 0.61.0 does that over the Agent Client
/// Protocol within the minute that names the record. It finds records by what is in them.
pub(in crate::runner) fn keep_record(folder: &Folder, spec: &RunnerSpec, note: &Note) {
    if spec.output != RunnerOutput::Acp {
        return;
    }
    let Ok(home) = beneath::open_folder(folder.private.as_fd(), "home") else { return };
    let Some(all) = open_below(home.as_fd(), GEMINI_RECORDS) else { return };
    let end = format!("-{}.jsonl", note.session.chars().take(8).collect::<String>());
    for project in names(all.as_fd()) {
        let Some(chats) = open_below(all.as_fd(), &format!("{project}/chats")) else { continue };
        for name in names(chats.as_fd()).iter().filter(|name| name.ends_with(&end)) {
            let kept = format!("{}-kept.jsonl", name.trim_end_matches(".jsonl"));
            // One that was kept before is the session's; what is there besides is empty.
            let _ = rustix::fs::renameat_with(&chats, name, &chats, &kept, RenameFlags::NOREPLACE);
        }
    }
}

/// The names in a folder, as many as a home has at the most.
fn names(folder: BorrowedFd<'_>) -> Vec<String> {
    let entries = rustix::fs::Dir::read_from(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned()));
    names.filter(|name| !name.starts_with('.')).take(MAX_RECORDS).collect()
}

/// Tells the program's own notes that the work is elsewhere now.
fn moved(home: BorrowedFd<'_>, old: &str, new: &str) {
    if let Some(projects) = open_below(home, CLAUDE_PROJECTS) {
        // When there is no such folder, the session has none of this work, and the program begins a new one.
        let _ = rustix::fs::renameat(&projects, claude_name(old), &projects, claude_name(new));
    }
    let Ok(path) = RelativePath::new(GEMINI_PROJECTS) else { return };
    let Ok(Some(file)) = beneath::open_file(home, path) else { return };
    let mut text = Vec::new();
    let is_read = file.take(MAX_PROJECTS_BYTES).read_to_end(&mut text).is_ok();
    let Some(mut known) = serde_json::from_slice::<serde_json::Value>(&text).ok().filter(|_| is_read) else {
        return;
    };
    let Some(projects) = known.get_mut("projects").and_then(serde_json::Value::as_object_mut) else { return };
    let Some(slug) = projects.remove(old) else { return };
    if let Some(slug) = slug.as_str() {
        for folder in ["tmp", "history"] {
            let marker = format!(".gemini/{folder}/{slug}/.project_root");
            if let Ok(marker) = RelativePath::new(&marker) {
                // A marker that is missing is made anew by the program.
                let _ = beneath::write_file(home, marker, new.as_bytes(), Existing::Replace);
            }
        }
    }
    projects.insert(new.to_owned(), slug);
    let _ = beneath::write_file(home, path, known.to_string().as_bytes(), Existing::Replace);
}

/// How Claude Code names the folder of a working directory.
fn claude_name(path: &str) -> String {
    path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

fn home(folder: &Folder) -> Result<OwnedFd, beneath::Error> {
    beneath::open_folder(folder.private.as_fd(), "home")
        .map_err(|_| beneath::Error::NoFolder { path: "home".to_owned() })
}

/// Opens a folder some steps below, without following a link.
fn open_below(folder: BorrowedFd<'_>, path: &str) -> Option<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    for name in path.split('/') {
        if matches!(name, "" | "." | "..") {
            return None;
        }
        let from = at.as_ref().map_or(folder, AsFd::as_fd);
        at = Some(beneath::open_folder(from, name).ok()?);
    }
    at
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a_list_of_working_directories_is_mended_and_one_of_any_length_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let projects = home.path().join(GEMINI_PROJECTS);
        fs::create_dir_all(projects.parent().unwrap()).unwrap();
        let list = |filler: usize| format!(r#"{{"projects":{{"/old":"a"}},"x":"{}"}}"#, "x".repeat(filler));
        let folder = File::open(home.path()).unwrap();
        for (filler, is_mended) in [(10, true), (MAX_PROJECTS_BYTES as usize, false)] {
            fs::write(&projects, list(filler)).unwrap();
            moved(folder.as_fd(), "/old", "/new");
            let text = fs::read_to_string(&projects).unwrap();
            assert_eq!(text.contains(r#""/new":"a""#), is_mended, "{filler}");
        }
    }
}

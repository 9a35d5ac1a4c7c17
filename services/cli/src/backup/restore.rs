//! `restore`: a home from a backup. Nothing is touched before all of the backup was read and compared with its manifest,
//! and the event log comes last, so that a home that was left half way is never started.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use conductor_protocol::{Code, Problem};
use conductor_runtime::config::EventLogStorage;
use conductor_runtime::paths::Home;
use conductor_store::copy::{self, Restored};
use conductor_store::log::LogId;
use conductor_store::state_dir::{LockError, StateDir};

use super::manifest::{HEAD, Kind, Manifest, TAIL};
use super::read::{self, Entry, Go};
use super::{Scratch, redis, refused, told};
use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure, chain};
use crate::{migrate, server};

/// `restore`
pub fn run(context: &mut Context<'_>, args: &args::Restore) -> Result<Exit, Failure> {
    let spool = Spool::take(context, &args.file)?;
    let file = spool.as_ref().map_or(&args.file, |spool| &spool.path);
    if args.check {
        let manifest = read::verify(file, &mut |text| context.screen.progress(text))?;
        context.screen.clear_progress();
        return tell(context, &manifest, &format!("{} holds {}", file.display(), told(&manifest)), None);
    }
    server::refuse_far()?;
    let redis = match context.loaded.config.storage.event_log {
        EventLogStorage::Sqlite => None,
        EventLogStorage::Redis => Some(migrate::redis_options(context)?),
    };
    let home = context.loaded.home.clone();
    // Held to the end: no orchestrator begins meanwhile.
    let _lock = lock(&home)?;
    if !args.force {
        refuse_used(&home)?;
    }
    let manifest = read::verify(file, &mut |text| context.screen.progress(text))?;
    home.create().map_err(|error| Failure::Failed(chain(&error)))?;
    let scratch = Scratch::make(home.state.join("restore.parts"))?;
    context.screen.progress("putting the event log and the history in place");
    take_state(file, &manifest, &scratch.path)?;
    let failed = |error: copy::Error| Failure::Failed(chain(&error));
    let log = LogId(uuid::Uuid::new_v4().as_u128());
    copy::adopt(&scratch.path, log).map_err(failed)?;
    if let Some(options) = &redis {
        redis::put(&scratch.path, options, log, args.force)?;
    }
    clear(&home, &manifest)?;
    let kept = put(file, &home, args.force)?;
    let restored =
        Restored { log: manifest.log.clone(), seq: manifest.seq, became: format!("{:032x}", log.0) };
    restored.write(&home.state).map_err(failed)?;
    copy::move_into(&scratch.path, &home.state).map_err(failed)?;
    context.screen.clear_progress();
    for path in kept {
        context.screen.note(format!("{} was there and stays as it is", path.display()));
    }
    let text = format!(
        "restored {}; the event log goes on as {}, and what came after event {} is not in it",
        told(&manifest),
        restored.became,
        manifest.seq
    );
    tell(context, &manifest, &text, Some(&restored.became))
}

/// What came in by stdin: it is read more than once.
#[derive(Debug)]
struct Spool {
    path: PathBuf,
}

impl Spool {
    fn take(context: &mut Context<'_>, file: &Path) -> Result<Option<Self>, Failure> {
        if file.as_os_str() != "-" {
            return Ok(None);
        }
        let workspace = &context.loaded.home.workspace;
        fs::create_dir_all(workspace).map_err(|error| failed(workspace, &error))?;
        let spool = Self { path: workspace.join(format!("restore.{}.spool", std::process::id())) };
        write_file(&spool.path, 0o600, &mut io::stdin().lock())?;
        Ok(Some(spool))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

fn tell(
    context: &mut Context<'_>,
    manifest: &Manifest,
    text: &str,
    log: Option<&str>,
) -> Result<Exit, Failure> {
    match context.screen.is_json() {
        true => context.screen.json(&serde_json::json!({ "manifest": manifest, "log": log }))?,
        false => context.screen.line(text)?,
    }
    Ok(Exit::Succeeded)
}

fn lock(home: &Home) -> Result<StateDir, Failure> {
    StateDir::lock(&home.state).map_err(|error| match error {
        LockError::Held { .. } => {
            Failure::Refused(Problem::new(Code::Conflict, format!("{}; end it first", chain(&error))))
        }
        LockError::Io { .. } => Failure::Failed(chain(&error)),
    })
}

fn refuse_used(home: &Home) -> Result<(), Failure> {
    let tasks = home.tasks();
    let has_runs = fs::read_dir(&tasks).is_ok_and(|mut entries| entries.next().is_some());
    match copy::trace(&home.state).or_else(|| has_runs.then_some(tasks)) {
        None => Ok(()),
        Some(path) => Err(Failure::Refused(Problem::new(
            Code::Conflict,
            format!("{} is there: this home was used; --force puts the backup in its place", path.display()),
        ))),
    }
}

/// Takes log and history out of a backup, and checks them once more.
fn take_state(file: &Path, manifest: &Manifest, into: &Path) -> Result<(), Failure> {
    read::walk(file, &mut |entry| {
        let first = entry.path.iter().next().unwrap_or_default();
        if first == "state" {
            let name = entry.path.file_name().unwrap_or_default().to_owned();
            write_file(&into.join(name), 0o600, entry.content)?;
        }
        // They come first.
        Ok(if first == "state" || first == HEAD { Go::On } else { Go::Stop })
    })?;
    let copied = copy::check(into).map_err(|error| refused(file, chain(&error)))?;
    match format!("{:032x}", copied.log.0) == manifest.log && copied.last.0 == manifest.seq {
        true => Ok(()),
        false => Err(refused(file, "its event log is another one than its manifest says")),
    }
}

/// Removes what is to be replaced; the log first, so that from here on nothing is started before all is there.
fn clear(home: &Home, manifest: &Manifest) -> Result<(), Failure> {
    copy::clear(&home.state).map_err(|error| Failure::Failed(chain(&error)))?;
    let mut folders = vec![home.private().join("uploads")];
    if manifest.runs {
        folders.extend([home.tasks(), home.private()]);
    }
    for folder in folders {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::Failed(format!("failed to remove {}: {error}", folder.display())));
            }
            _ => {}
        }
    }
    home.create().map_err(|error| Failure::Failed(chain(&error)))
}

/// Puts everything but the state in place. Answers which files were there and stay.
fn put(file: &Path, home: &Home, force: bool) -> Result<Vec<PathBuf>, Failure> {
    let mut kept = Vec::new();
    let mut folders = Vec::new();
    let mut checked = PathBuf::new();
    read::walk(file, &mut |entry| {
        let mut parts = entry.path.iter();
        let part = parts.next().unwrap_or_default().to_owned();
        let below: PathBuf = parts.collect();
        let (root, is_config) = match part.to_string_lossy().as_ref() {
            HEAD | TAIL | "state" => return Ok(Go::On),
            "config" | "secrets" => (home.config.clone(), true),
            "agents" => (home.state.join("agents"), false),
            "uploads" => (home.private().join("uploads"), false),
            "tasks" => (home.tasks(), false),
            "private" => (home.private(), false),
            other => return Err(refused(file, format!("this release knows no part {other}"))),
        };
        let path = root.join(&below);
        let parent = path.parent().expect("it lies in a folder");
        if checked != parent {
            make_folder(&root, parent, &path)?;
            parent.clone_into(&mut checked);
        }
        if part == "agents" && path.exists() {
            // It knows more of itself than the backup does.
            return Ok(Go::On);
        }
        if is_config && entry.kind != Kind::Folder && path.symlink_metadata().is_ok() {
            if !force {
                kept.push(path);
                return Ok(Go::On);
            }
            fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
        }
        match entry.kind {
            Kind::Folder => {
                make_folder(&root, &path, &path)?;
                folders.push((path, entry.mode));
            }
            Kind::Link => {
                std::os::unix::fs::symlink(&entry.target, &path).map_err(|error| failed(&path, &error))?;
            }
            Kind::File if part == "agents" => agent(&path, entry)?,
            Kind::File => {
                let (mode, modified) = (entry.mode, entry.modified);
                let written = write_file(&path, mode, entry.content)?;
                let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(modified);
                written.set_modified(at).map_err(|error| failed(&path, &error))?;
            }
        }
        Ok(Go::On)
    })?;
    // Folders that may not be written get their mode when all is in them.
    for (path, mode) in folders.into_iter().rev() {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .map_err(|error| failed(&path, &error))?;
    }
    Ok(kept)
}

/// Makes folders below `root`; none of those on the way may be a link.
fn make_folder(root: &Path, folder: &Path, what: &Path) -> Result<(), Failure> {
    let below = folder.strip_prefix(root).unwrap_or(Path::new(""));
    let mut path = root.to_owned();
    for part in std::iter::once(None).chain(below.iter().map(Some)) {
        path.extend(part);
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            // The roots are the owner's own: a link there is where he wants it.
            Ok(_) if part.is_none() && path.is_dir() => {}
            Ok(_) => {
                let error = io::Error::other(format!("{} is no folder", path.display()));
                return Err(failed(what, &error));
            }
            Err(_) => {
                fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| failed(&path, &error))?;
            }
        }
    }
    Ok(())
}

/// Writes who an agent is, without what it saw of the log that was copied, and that nothing else of it is there.
fn agent(path: &Path, entry: Entry<'_>) -> Result<(), Failure> {
    let mut known: serde_json::Value =
        serde_json::from_reader(entry.content).map_err(|error| failed(path, &error.into()))?;
    if let Some(known) = known.as_object_mut() {
        known.remove("seen");
        known.insert("restored".to_owned(), true.into());
    }
    let text = serde_json::to_vec(&known).map_err(|error| failed(path, &error.into()))?;
    write_file(path, 0o600, &mut text.as_slice()).map(drop)
}

fn write_file(path: &Path, mode: u32, content: &mut dyn io::Read) -> Result<File, Failure> {
    let mut write = || {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        io::copy(content, &mut file)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(file)
    };
    write().map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("failed to write {}: {error}", path.display()))
}

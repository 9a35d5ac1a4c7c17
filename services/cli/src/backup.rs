//! `backup`: one file with the log, the history, the configuration and the runs, taken while everything goes on.

mod manifest;
mod parts;
mod read;
mod redis;
pub mod restore;
mod write;

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use conductor_protocol::text::rfc3339;
use conductor_protocol::{Code, Problem};
use conductor_runtime::config::EventLogStorage;
use conductor_store::copy;

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::{bytes, now};
use crate::{migrate, server};
use manifest::{FORMAT, Manifest};
use write::Archive;

/// `backup`
pub fn run(context: &mut Context<'_>, args: &args::Backup) -> Result<Exit, Failure> {
    server::refuse_far()?;
    let to = match &args.file {
        Some(file) if file.as_os_str() == "-" => None,
        Some(file) => Some(file.clone()),
        None => Some(PathBuf::from(format!("conductor-{}.tar.gz", stamp()))),
    };
    match to {
        Some(file) => to_file(context, args, &file),
        None => to_stdout(context, args),
    }
}

/// The time, as part of a file's name.
fn stamp() -> String {
    let digits = rfc3339(now()).replace(['-', ':'], "");
    digits.split(['.', 'Z']).next().unwrap_or_default().to_owned() + "Z"
}

fn to_file(context: &mut Context<'_>, args: &args::Backup, file: &Path) -> Result<Exit, Failure> {
    if file.exists() {
        return Err(Failure::Usage(format!("{} is there already", file.display())));
    }
    let partial = beside(file, ".partial");
    let scratch = Scratch::make(beside(file, ".parts"))?;
    let failed = |source: io::Error| Failure::Failed(format!("failed to write {}: {source}", file.display()));
    let out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&partial);
    let out = out.map_err(failed)?;
    let written = write(context, args, &scratch.path, io::BufWriter::new(out)).and_then(|(manifest, out)| {
        let out = out.into_inner().map_err(|error| failed(error.into_error()))?;
        out.sync_all().map_err(failed)?;
        context.screen.progress("reading it back");
        let again = read::verify(&partial, &mut |text| context.screen.progress(text))?;
        if again != manifest {
            return Err(Failure::Failed(format!("{} is not what was written", partial.display())));
        }
        fs::rename(&partial, file).map_err(failed)?;
        Ok(manifest)
    });
    context.screen.clear_progress();
    let manifest = written.inspect_err(|_| drop(fs::remove_file(&partial)))?;
    let size = fs::metadata(file).map_or(0, |found| found.len());
    if context.screen.is_json() {
        context.screen.json(&serde_json::json!({ "file": file, "bytes": size, "manifest": manifest }))?;
    } else {
        context.screen.line(file.display().to_string())?;
        context.screen.note(format!("{}, {}; it was read back and holds", told(&manifest), bytes(size)));
    }
    Ok(Exit::Succeeded)
}

fn to_stdout(context: &mut Context<'_>, args: &args::Backup) -> Result<Exit, Failure> {
    if io::stdout().is_terminal() {
        return Err(Failure::Usage("a backup is not written to a terminal".to_owned()));
    }
    let scratch = Scratch::make(context.loaded.home.state.join("backup.parts"))?;
    let (manifest, mut out) = write(context, args, &scratch.path, io::stdout().lock())?;
    out.flush()?;
    context.screen.clear_progress();
    context.screen.note(format!("{}; conductor restore --check FILE reads it back", told(&manifest)));
    Ok(Exit::Succeeded)
}

/// What a backup holds, in words.
fn told(manifest: &Manifest) -> String {
    let entries: u64 = manifest.parts.iter().map(|part| part.entries).sum();
    let skipped = match manifest.skipped {
        0 => String::new(),
        count => format!(", {count} left out that are no files or changed their kind"),
    };
    let missing = match (manifest.runs, manifest.secrets) {
        (true, true) => "",
        (true, false) => " (without secrets)",
        (false, true) => " (without runs)",
        (false, false) => " (without runs and secrets)",
    };
    format!("everything up to event {} in {entries} files{missing}{skipped}", manifest.seq)
}

fn write<W: Write>(
    context: &mut Context<'_>,
    args: &args::Backup,
    scratch: &Path,
    out: W,
) -> Result<(Manifest, W), Failure> {
    let home = context.loaded.home.clone();
    context.screen.progress("copying the event log and the history");
    let copied = match context.loaded.config.storage.event_log {
        EventLogStorage::Sqlite => copy::take(&home.state, scratch).map_err(migrate::failed)?,
        EventLogStorage::Redis => redis::take(&home.state, &migrate::redis_options(context)?, scratch)?,
    };
    let manifest = Manifest {
        format: FORMAT,
        release: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: rfc3339(now()),
        log: format!("{:032x}", copied.log.0),
        seq: copied.last.0,
        history_seq: copied.history.map(|seq| seq.0),
        secrets: args.with_secrets,
        runs: !args.no_runs,
        skipped: 0,
        parts: Vec::new(),
    };
    let mut archive = Archive::begin(out, manifest)?;
    let screen = &mut *context.screen;
    parts::write(&mut archive, &home, scratch, args, &mut |text| screen.progress(text))?;
    archive.finish()
}

/// A file beside another.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A folder that goes with the value.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the folder, empty, in place of one that a killed command left.
    fn make(path: PathBuf) -> Result<Self, Failure> {
        let failed =
            |error: io::Error| Failure::Failed(format!("failed to make {}: {error}", path.display()));
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is removed by the next one.
        drop(fs::remove_dir_all(&self.path));
    }
}

/// Refuses a backup for what it is.
fn refused(file: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::Refused(Problem::new(Code::InvalidRequest, format!("{}: {why}", file.display())))
}

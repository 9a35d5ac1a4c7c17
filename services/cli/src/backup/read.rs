//! Reading a backup: all of it is compared with its manifest before anything of it is used.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::manifest::{FORMAT, HEAD, Kind, MAX_BYTES, Manifest, Sums, TAIL};
use super::refused;
use crate::exit::Failure;
use crate::screen::bytes;

/// Entries between two lines about the progress.
const TELL_EVERY: u64 = 256;

/// Bytes read together.
const BUFFER: usize = 64 << 10;

/// Something in a backup.
pub struct Entry<'a> {
    /// Where it is in the backup; plain names alone.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Its permissions.
    pub mode: u32,
    /// When it was changed.
    pub modified: u64,
    /// Its bytes; of a link, those of where it points to.
    pub bytes: u64,
    /// Where a link points to.
    pub target: PathBuf,
    /// Its bytes.
    pub content: &'a mut dyn Read,
}

/// Whether the reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// To the next entry.
    On,
    /// No further.
    Stop,
}

/// Reads all of a backup and compares it with what it says of itself.
///
/// # Errors
/// Names the file and says what is wrong with it: cut off, changed, of a newer release, or no backup at all.
pub fn verify(file: &Path, tell: &mut dyn FnMut(String)) -> Result<Manifest, Failure> {
    let mut sums = Sums::default();
    let (mut head, mut tail) = (None, None);
    let (mut entries, mut read) = (0_u64, 0_u64);
    let mut buffer = vec![0; BUFFER];
    walk(file, &mut |entry| {
        if tail.is_some() {
            return Err(refused(file, "something follows on its end"));
        }
        let is_note = entry.path == Path::new(HEAD) || entry.path == Path::new(TAIL);
        if is_note {
            let note = manifest(file, entry.content)?;
            let place = if head.is_none() { &mut head } else { &mut tail };
            *place = Some(note);
            return Ok(Go::On);
        }
        if head.is_none() {
            return Err(refused(file, "it is no backup of Conductor"));
        }
        sums.entry(&entry.path, entry.kind, entry.mode, entry.bytes);
        match entry.kind {
            Kind::File => loop {
                let length = entry.content.read(&mut buffer).map_err(|error| broken(file, &error))?;
                if length == 0 {
                    break;
                }
                sums.content(&buffer[..length]);
            },
            Kind::Link => sums.content(entry.target.as_os_str().as_encoded_bytes()),
            Kind::Folder => {}
        }
        entries += 1;
        read += entry.bytes;
        if entries.is_multiple_of(TELL_EVERY) {
            tell(format!("read back {entries} files, {}", bytes(read)));
        }
        Ok(Go::On)
    })?;
    let Some(head) = head else { return Err(refused(file, "it is no backup of Conductor")) };
    let Some(tail) = tail else {
        return Err(refused(file, "it ends before its manifest: it was not written to its end"));
    };
    if (Manifest { parts: Vec::new(), skipped: 0, ..tail.clone() }) != head {
        return Err(refused(file, "its beginning and its end do not belong together"));
    }
    let found = sums.finish();
    for part in &tail.parts {
        match found.iter().find(|found| found.name == part.name) {
            Some(found) if found == part => {}
            Some(_) => return Err(refused(file, format!("the part {} is not what was written", part.name))),
            None => return Err(refused(file, format!("the part {} is missing", part.name))),
        }
    }
    match found.len() == tail.parts.len() {
        true => Ok(tail),
        false => Err(refused(file, "there is more in it than was written")),
    }
}

/// Shows the entries of a backup one by one.
///
/// # Errors
/// When it cannot be read, or `each` fails.
pub fn walk(file: &Path, each: &mut dyn FnMut(Entry<'_>) -> Result<Go, Failure>) -> Result<(), Failure> {
    let open = File::open(file)
        .map_err(|error| Failure::Failed(format!("failed to open {}: {error}", file.display())))?;
    let mut tar = tar::Archive::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 18, open)));
    for entry in tar.entries().map_err(|error| broken(file, &error))? {
        let mut entry = entry.map_err(|error| broken(file, &error))?;
        let path = entry.path().map_err(|error| broken(file, &error))?.into_owned();
        if path.components().next().is_none()
            || !path.components().all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(refused(file, format!("{:?} is no name in a backup", path.display().to_string())));
        }
        let kind = match entry.header().entry_type() {
            tar::EntryType::Regular => Kind::File,
            tar::EntryType::Directory => Kind::Folder,
            tar::EntryType::Symlink => Kind::Link,
            other => return Err(refused(file, format!("{} is {other:?}", path.display()))),
        };
        let target = entry.link_name().map_err(|error| broken(file, &error))?;
        let target = target.map(std::borrow::Cow::into_owned).unwrap_or_default();
        let mode = entry.header().mode().map_err(|error| broken(file, &error))? & 0o777;
        let modified = entry.header().mtime().unwrap_or_default();
        let bytes = match kind {
            Kind::File => entry.size(),
            Kind::Folder => 0,
            Kind::Link => target.as_os_str().len() as u64,
        };
        let shown = Entry { path, bytes, kind, mode, modified, target, content: &mut entry };
        if each(shown)? == Go::Stop {
            return Ok(());
        }
    }
    // The sum of the whole stands behind the last part, and is checked when the end is read.
    std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(|error| broken(file, &error))?;
    Ok(())
}

fn manifest(file: &Path, content: &mut dyn Read) -> Result<Manifest, Failure> {
    let mut text = Vec::new();
    content.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(|error| broken(file, &error))?;
    let format = serde_json::from_slice::<serde_json::Value>(&text)
        .ok()
        .and_then(|value| value.get("format")?.as_u64());
    if let Some(found) = format.filter(|found| *found > u64::from(FORMAT)) {
        return Err(refused(file, format!("it has format {found}, and this release reads up to {FORMAT}")));
    }
    serde_json::from_slice(&text)
        .map_err(|error| refused(file, format!("its manifest does not read: {error}")))
}

/// Says that a file cannot be read as a backup.
fn broken(file: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            refused(file, "it is cut off: it was not written to its end, or only in part copied")
        }
        _ => refused(file, format!("it is damaged, or no backup: {error}")),
    }
}

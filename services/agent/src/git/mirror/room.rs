//! Room for mirrors: those that no run borrows from go, as a whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::super::program::Error;
use super::super::spare;

/// The most files that are counted for a size.
const MAX_COUNTED: usize = 1_000_000;

/// Makes room when all mirrors together have too much: those that no run borrows from go, the longest unused first.
pub(in crate::git) fn make_room(
    mirrors: &Path,
    most: u64,
    is_there: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(mirrors) else { return Ok(()) };
    let mut known: Vec<(std::time::SystemTime, PathBuf, u64)> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| {
            let used = fs::metadata(entry.path().join("borrowers")).and_then(|meta| meta.modified()).ok()?;
            let folder = entry.path();
            let bytes = bytes_below(&folder.join("repo.git")) + spare::bytes(&folder);
            Some((used, folder, bytes))
        })
        .collect();
    let mut sum: u64 = known.iter().map(|(_, _, bytes)| bytes).sum();
    known.sort();
    for (_, folder, bytes) in known {
        if sum <= most {
            return Ok(());
        }
        let Ok(lock) = File::options().read(true).write(true).open(folder.join("lock")) else { continue };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let Some(_no_spare) = spare::hold(&folder) else { continue };
        let borrowers = fs::read_dir(folder.join("borrowers")).map_err(Error::disk("list borrowers"))?;
        let mut lent = false;
        for borrower in borrowers.flatten() {
            if borrower.file_name().to_str().is_some_and(&is_there) {
                lent = true;
            } else {
                let _ = fs::remove_file(borrower.path());
            }
        }
        if !lent {
            fs::remove_dir_all(&folder).map_err(Error::disk("remove a mirror"))?;
            tracing::info!(mirror = %folder.display(), bytes, "removed a mirror that no run borrows from");
            sum -= bytes;
        }
    }
    Ok(())
}

/// How many bytes lie below a folder, as far as they are counted.
pub(in crate::git) fn bytes_below(folder: &Path) -> u64 {
    let (mut bytes, mut count, mut folders) = (0, 0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            count += 1;
            if count > MAX_COUNTED {
                return bytes;
            }
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => bytes += meta.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(folder: &Path, name: &str, borrower: Option<&str>) -> PathBuf {
        let folder = folder.join(name);
        fs::create_dir_all(folder.join("borrowers")).unwrap();
        fs::write(folder.join("lock"), "").unwrap();
        fs::create_dir(folder.join("repo.git")).unwrap();
        fs::write(folder.join("repo.git/data"), [0; 1_000]).unwrap();
        if let Some(borrower) = borrower {
            fs::write(folder.join("borrowers").join(borrower), "").unwrap();
        }
        folder
    }

    #[test]
    fn room_is_made_by_mirrors_that_no_run_borrows_from() {
        let all = tempfile::tempdir().unwrap();
        let lent = mirror(all.path(), "lent", Some("here"));
        let held = mirror(all.path(), "held", None);
        let free = mirror(all.path(), "free", Some("gone"));
        let lock = File::open(held.join("lock")).unwrap();
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
        make_room(all.path(), 10_000, |_| false).unwrap();
        assert!(free.exists(), "there is room enough");
        make_room(all.path(), 100, |task| task == "here").unwrap();
        assert!(lent.exists() && held.exists() && !free.exists());
    }
}

//! The list of the files that a run left: bounded, with checksums.

use std::io::{self, Read as _};
use std::os::fd::BorrowedFd;

use conductor_runtime::digest;

use super::beneath::{self, RelativePath};
use super::types::{FileList, ResultFile};
use super::walk::Listing;

/// Turns a listing into the list of a result: at most `max_files` of them, and checksums for files of at most
/// `max_bytes` together. A file that is larger than what is left of it is listed without one.
pub fn collect(work: BorrowedFd<'_>, listing: &mut Listing, max_files: usize, max_bytes: u64) -> FileList {
    let total = listing.files.len() as u64;
    let beyond = listing.files.len().saturating_sub(max_files);
    if beyond > 0 {
        listing.leave_out("beyond the limit of files", beyond as u64);
    }
    let mut room = max_bytes;
    let mut files = Vec::with_capacity(listing.files.len().min(max_files));
    for file in listing.files.iter().take(max_files) {
        let mut sha256 = None;
        if file.bytes <= room {
            sha256 = checksum(work, &file.path, file.bytes).ok().flatten();
            room -= file.bytes;
        }
        files.push(ResultFile { path: file.path.clone(), bytes: file.bytes, sha256 });
    }
    FileList { files, total, left_out: listing.left_out() }
}

/// Reads a file once and returns its checksum; none when it is no regular file of this length.
pub(super) fn checksum(work: BorrowedFd<'_>, path: &str, bytes: u64) -> io::Result<Option<String>> {
    let Ok(path) = RelativePath::new(path) else { return Ok(None) };
    let Some(file) = beneath::open_file(work, path)? else { return Ok(None) };
    let (length, sha256) = digest::copy(file.take(bytes + 1), io::sink())?;
    Ok((length == bytes).then_some(sha256))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    use super::*;

    fn run(work: &tempfile::TempDir, max_files: usize, max_bytes: u64) -> FileList {
        let folder = File::open(work.path()).unwrap();
        let mut listing = Listing::read(folder.as_fd()).unwrap();
        collect(folder.as_fd(), &mut listing, max_files, max_bytes)
    }

    #[test]
    fn files_are_listed_with_their_checksums() {
        let work = tempfile::tempdir().unwrap();
        fs::write(work.path().join("abc"), "abc").unwrap();
        let list = run(&work, 10, 10);
        assert_eq!((list.total, list.files.len()), (1, 1));
        assert_eq!((list.files[0].path.as_str(), list.files[0].bytes), ("abc", 3));
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(list.files[0].sha256.as_deref(), Some(sha256));
    }

    #[test]
    fn the_list_is_bounded_and_says_so() {
        let work = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(work.path().join(name), "").unwrap();
        }
        let list = run(&work, 2, 10);
        assert_eq!((list.files.len(), list.total), (2, 3));
        assert_eq!(list.left_out[0].reason, "beyond the limit of files");
        assert_eq!(list.left_out[0].count, 1);
    }

    #[test]
    fn a_sparse_giant_is_listed_but_not_read_and_leaves_room_for_the_others() {
        let work = tempfile::tempdir().unwrap();
        File::create(work.path().join("a")).unwrap().set_len(1 << 40).unwrap();
        fs::write(work.path().join("b"), "b").unwrap();
        let list = run(&work, 10, 100);
        assert_eq!((list.files[0].bytes, &list.files[0].sha256), (1 << 40, &None));
        assert!(list.files[1].sha256.is_some());
    }

    #[test]
    fn an_empty_folder_gives_an_empty_list() {
        assert_eq!(run(&tempfile::tempdir().unwrap(), 10, 10), FileList::default());
    }
}

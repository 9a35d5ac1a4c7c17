use std::path::PathBuf;

use conductor_protocol::agent::AssignedUpload;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::*;

const ID: Uuid = Uuid::from_u128(7);
const LIMIT: u64 = 10_000;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(format!("private/uploads/{ID}"))).unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        Self { folder }
    }

    fn work(&self, path: &str) -> PathBuf {
        self.folder.path().join("work").join(path)
    }

    /// Puts these bytes in their place.
    fn put(&self, kind: UploadKind, path: &str, bytes: &[u8]) -> Result<(), Error> {
        let digest = hex::encode(Sha256::digest(bytes));
        self.put_as(
            kind,
            path,
            bytes,
            AssignedUpload { id: ID, kind, bytes: bytes.len() as u64, sha256: digest },
        )
    }

    fn put_as(&self, _: UploadKind, path: &str, bytes: &[u8], upload: AssignedUpload) -> Result<(), Error> {
        std::fs::write(self.folder.path().join(format!("private/uploads/{ID}/data")), bytes).unwrap();
        let open = |name: &str| File::open(self.folder.path().join(name)).unwrap();
        let input = InputUpload { path: path.into(), executable: true, upload };
        place(open("private").as_fd(), open("work").as_fd(), &input, LIMIT, Existing::Refuse)
    }

    fn unpack(&self, entries: &[(&str, EntryType, &[u8])]) -> Result<(), Error> {
        self.put(UploadKind::Tar, "src", &archive(entries))
    }
}

/// An archive; its paths are written as they are, however bad.
fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(if path.ends_with(".sh") { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn a_file_is_put_as_it_is() {
    let place = Place::new();
    place.put(UploadKind::Raw, "a/b.bin", b"\0bytes").unwrap();
    assert_eq!(std::fs::read(place.work("a/b.bin")).unwrap(), b"\0bytes");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(place.work("a/b.bin")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o111, 0o111);
}

#[test]
fn a_folder_is_unpacked_below_its_path() {
    let place = Place::new();
    let entries: [(&str, EntryType, &[u8]); 4] = [
        ("./", EntryType::Directory, b""),
        ("./empty/", EntryType::Directory, b""),
        ("a/b.txt", EntryType::Regular, b"text"),
        ("run.sh", EntryType::Regular, b"#!"),
    ];
    place.unpack(&entries).unwrap();
    assert_eq!(std::fs::read(place.work("src/a/b.txt")).unwrap(), b"text");
    assert!(place.work("src/empty").is_dir());
    let mode = |path| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(place.work(path)).unwrap().permissions())
    };
    assert_eq!((mode("src/run.sh") & 0o111, mode("src/a/b.txt") & 0o111), (0o111, 0));
}

#[test]
fn what_would_leave_its_folder_is_refused() {
    for path in ["../x", "a/../../x", "/x", "a/.."] {
        let place = Place::new();
        let refused = place.unpack(&[(path, EntryType::Regular, b"x")]).unwrap_err();
        assert!(matches!(refused, Error::BadPath { .. }), "{path}: {refused}");
        assert!(!place.work("x").exists() && !place.folder.path().join("x").exists());
    }
}

#[test]
fn links_and_devices_are_refused() {
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let refused = Place::new().unpack(&[("x", kind, b"")]).unwrap_err();
        assert!(matches!(refused, Error::Kind { .. }), "{kind:?}: {refused}");
    }
}

#[test]
fn a_link_in_the_way_is_not_followed() {
    let place = Place::new();
    std::os::unix::fs::symlink(place.folder.path(), place.work("src")).unwrap();
    assert!(place.unpack(&[("a", EntryType::Regular, b"x")]).is_err());
    assert!(!place.folder.path().join("a").exists());
}

#[test]
fn sizes_are_bounded() {
    let large = vec![0; 6_000];
    let refused = Place::new()
        .unpack(&[("a", EntryType::Regular, &large), ("b", EntryType::Regular, &large)])
        .unwrap_err();
    assert!(matches!(refused, Error::TooMuch { limit: LIMIT, .. }), "{refused}");
}

#[test]
fn what_is_not_there_or_not_what_was_sent_is_refused() {
    let place = Place::new();
    let upload = AssignedUpload { id: ID, kind: UploadKind::Raw, bytes: 3, sha256: "0".repeat(64) };
    let refused = place.put_as(UploadKind::Raw, "a", b"abc", upload.clone()).unwrap_err();
    assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
    let refused = place.put_as(UploadKind::Raw, "b", b"abcd", upload).unwrap_err();
    assert!(matches!(refused, Error::Damaged { what: "its length is another", .. }), "{refused}");
    let elsewhere = tempfile::tempdir().unwrap();
    let refused = open(File::open(elsewhere.path()).unwrap().as_fd(), "x").unwrap_err();
    assert!(refused.to_string().contains("share"), "{refused}");
}

#[test]
fn an_archive_that_is_cut_off_or_is_none_is_refused() {
    let whole = archive(&[("a", EntryType::Regular, &[1; 2_000])]);
    for bytes in [&whole[..700], b"no archive at all, but long enough to be looked at".repeat(20).as_slice()]
    {
        assert!(Place::new().put(UploadKind::Tar, ".", bytes).is_err());
    }
}

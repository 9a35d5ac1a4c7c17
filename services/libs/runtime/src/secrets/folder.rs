//! The folder of the secrets and the files in it: who may have them, and how they are opened.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// What is wrong with a file or a folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It belongs to this user.
    OtherOwner(u32),
    /// Others than its owner have a right.
    Open(u32),
}

/// Holds that something is its owner's alone, and that its owner is this user or root.
pub(super) fn check(metadata: &Metadata) -> Result<(), Fault> {
    let us = rustix::process::geteuid().as_raw();
    if ![us, 0].contains(&metadata.uid()) {
        return Err(Fault::OtherOwner(metadata.uid()));
    }
    match metadata.mode() & 0o7777 {
        mode if mode & 0o077 != 0 => Err(Fault::Open(mode)),
        _ => Ok(()),
    }
}

/// Makes the folder, closed to others, where there is none.
pub(super) fn make(path: &Path) -> io::Result<()> {
    // In a home that nothing was started in yet the folders above are missing too; they are as private.
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Opens a file without following a link, and without waiting for whoever writes a pipe.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

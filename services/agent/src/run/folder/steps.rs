//! The single steps of which a folder is made: a folder, a file that is whole, a move out of the way.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::PRIVATE;
use crate::run::beneath;

/// Up to this length a file is written by one call into the page cache, which a kill does not tear.
const WRITTEN_AT_ONCE: usize = 4_096;
/// How often a second attempt under one number finds a name for what is there.
const MAX_STALE: u32 = 100;

/// Makes a folder; false when it, or anything else, has the name already.
pub(super) fn make(at: BorrowedFd<'_>, name: &str, mode: Mode) -> rustix::io::Result<bool> {
    match rustix::fs::mkdirat(at, name, mode) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

pub(super) fn write_whole(at: BorrowedFd<'_>, name: &str, content: &[u8]) -> io::Result<()> {
    if content.len() <= WRITTEN_AT_ONCE {
        return beneath::create(at, name)?.write_all(content);
    }
    let temporary = format!(".{name}.new");
    rustix::fs::unlinkat(at, &temporary, AtFlags::empty()).or_else(absent_is_fine)?;
    beneath::create(at, &temporary)?.write_all(content)?;
    Ok(rustix::fs::renameat(at, &temporary, at, name)?)
}

/// Moves a name, if it is there, to the wanted name or the first free one after it.
pub(super) fn move_to_free_name(
    from: BorrowedFd<'_>,
    name: &str,
    to: BorrowedFd<'_>,
    wanted: &str,
) -> rustix::io::Result<()> {
    for count in 0..MAX_STALE {
        let free = if count == 0 { wanted.to_owned() } else { format!("{wanted}-{count}") };
        if rustix::fs::statat(to, &free, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            continue;
        }
        return match rustix::fs::renameat(from, name, to, &free) {
            // A folder that its owner may not write cannot change its parent.
            Err(Errno::ACCESS) => {
                let folder = rustix::fs::openat(
                    from,
                    name,
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )?;
                rustix::fs::fchmod(&folder, PRIVATE)?;
                rustix::fs::renameat(from, name, to, &free)
            }
            result => result.or_else(absent_is_fine),
        };
    }
    Err(Errno::EXIST)
}

pub(super) fn absent_is_fine(errno: Errno) -> rustix::io::Result<()> {
    if errno == Errno::NOENT { Ok(()) } else { Err(errno) }
}

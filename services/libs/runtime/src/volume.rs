//! How much room a volume has.

use std::io;
use std::path::Path;

/// The room on the volume that holds a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What this user may still write.
    pub free_bytes: u64,
    /// The size of the volume.
    pub total_bytes: u64,
}

impl Space {
    /// Tells how full the volume is, from 0 to 100, rounded up.
    pub fn used_percent(self) -> u8 {
        if self.total_bytes == 0 {
            return 100;
        }
        let used = self.total_bytes.saturating_sub(self.free_bytes);
        u8::try_from((u128::from(used) * 100).div_ceil(u128::from(self.total_bytes))).unwrap_or(100)
    }
}

/// Reads the room on the volume that holds `path`, which must exist.
///
/// # Errors
/// The system's, when the path does not exist or may not be searched.
pub fn space(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Space {
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_volume_has_a_size_and_no_more_free_than_that() {
        let folder = tempfile::tempdir().unwrap();
        let space = space(folder.path()).unwrap();
        assert!(space.total_bytes > 0);
        assert!(space.free_bytes <= space.total_bytes);
    }

    #[test]
    fn a_missing_path_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(space(&folder.path().join("absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn percent_used_is_rounded_up_and_bounded() {
        let percent = |free_bytes, total_bytes| Space { free_bytes, total_bytes }.used_percent();
        assert_eq!(percent(100, 100), 0);
        assert_eq!(percent(99_999, 100_000), 1);
        assert_eq!(percent(0, 100), 100);
        assert_eq!(percent(0, 0), 100);
        assert_eq!(percent(u64::MAX, 1), 0);
    }
}

//! Folders of this host that tasks may begin with a copy of: those below the configured roots, and never what Conductor
//! itself keeps.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::beneath;

/// Why a folder is not given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no folder of this agent's host may be copied: agent.copy_roots is empty")]
    None,
    #[error("it is not below a folder of agent.copy_roots")]
    Outside,
    #[error("it is not an absolute path without `.` and `..`")]
    Form,
    #[error("it holds, or lies in, what Conductor itself keeps")]
    Own,
    #[error("{path} cannot be opened as a folder: {source}")]
    Open { path: PathBuf, source: io::Error },
}

/// The roots.
#[derive(Debug, Clone, Default)]
pub struct CopyRoots {
    /// What lies below these is given.
    pub roots: Vec<PathBuf>,
    /// What holds one of these, or lies in one, is not.
    pub own: Vec<PathBuf>,
}

impl CopyRoots {
    /// Opens a folder, without following a link below its root.
    ///
    /// # Errors
    ///
    /// Says why it is not given.
    pub fn open(&self, path: &Path) -> Result<OwnedFd, Error> {
        if self.roots.is_empty() {
            return Err(Error::None);
        }
        let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if !path.is_absolute() || !path.components().all(is_plain) {
            return Err(Error::Form);
        }
        let root = self.roots.iter().filter(|root| path.starts_with(root));
        // The longest, so that fewer steps may be links.
        let root = root.max_by_key(|root| root.as_os_str().len()).ok_or(Error::Outside)?;
        let open = |path: &Path, source: io::Error| Error::Open { path: path.to_owned(), source };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = openat(CWD, root, flags, Mode::empty()).map_err(|errno| open(root, errno.into()))?;
        let mut at = root.clone();
        for name in path.strip_prefix(root).unwrap_or(Path::new("")) {
            at.push(name);
            folder = step(&folder, name).map_err(|source| open(&at, source))?;
        }
        self.refuse_own(root, path)?;
        Ok(folder)
    }

    /// Compares the true places: a root may be reached by a link.
    fn refuse_own(&self, root: &Path, path: &Path) -> Result<(), Error> {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let below = path.strip_prefix(root).unwrap_or(Path::new(""));
        let asked = real(root).join(below);
        let is_own = |own: &PathBuf| {
            let own = real(own);
            own.starts_with(&asked) || asked.starts_with(&own)
        };
        if self.own.iter().any(is_own) { Err(Error::Own) } else { Ok(()) }
    }
}

fn step(folder: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    Ok(beneath::open_folder(folder.as_fd(), name)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_below_a_root_are_given_and_no_others() {
        let host = tempfile::tempdir().unwrap();
        let place = |name: &str| host.path().canonicalize().unwrap().join(name);
        for name in ["code/app/src", "code/home/state", "other"] {
            fs::create_dir_all(place(name)).unwrap();
        }
        symlink(place("other"), place("code/link")).unwrap();
        let roots = CopyRoots { roots: vec![place("code")], own: vec![place("code/home")] };
        roots.open(&place("code/app")).unwrap();
        roots.open(&place("code/app/src")).unwrap();
        let refused = |path: &Path| roots.open(path).unwrap_err();
        assert!(matches!(refused(&place("other")), Error::Outside));
        assert!(matches!(refused(&place("code-too")), Error::Outside));
        assert!(matches!(refused(&place("code/../other")), Error::Form));
        assert!(matches!(refused(Path::new("code")), Error::Form));
        assert!(matches!(refused(&place("code/link")), Error::Open { .. }), "a link is not followed");
        for own in ["code", "code/home", "code/home/state"] {
            assert!(matches!(refused(&place(own)), Error::Own), "{own}");
        }
        assert!(matches!(CopyRoots::default().open(&place("code/app")), Err(Error::None)));
    }
}

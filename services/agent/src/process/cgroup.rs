//! Groups of processes that the kernel itself holds to limits (cgroups), where some are the agent's own.
//!
//! Each keeper has a group for as long as it lives, so all that its runs make is born in there and a run costs nothing more. The
//! kernel refuses processes beyond the limit and ends one when memory runs out in the group; the overseer sees it counted
//! and ends the run. Nothing is taken that was not given: a folder that `sandbox.cgroups` names, or of version 2 the group that
//! systemd marked as delegated.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::process::Pid;

use super::overseer::Bounds;

/// The group for the agent's own processes: one that has groups below it may hold none itself.
const SERVICES: &str = "conductor-services";
/// What the name of a keeper's group begins with; its process follows.
const PREFIX: &str = "conductor-keeper-";
/// How many processes more than its limit a run may have for the kernel: its keeper is counted too, and what stays at the limit is to
/// be seen above it.
pub(crate) const MARGIN: u64 = 16;
/// How often the processes of the group above are moved away before it is given up: each time new ones may be there.
const MAX_MOVES: usize = 20;

/// Groups that are the agent's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Version {
    One { pids: Option<PathBuf>, memory: Option<PathBuf> },
    Two(PathBuf),
}

/// The group of one keeper. It is removed when this goes, after its processes.
#[derive(Debug)]
pub struct Cgroup {
    version: Version,
    /// The limits that it has.
    held: Mutex<Option<Bounds>>,
}

/// What the kernel counted in a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// Processes that it ended for want of memory.
    pub ended: u64,
    /// Processes that it refused to make.
    pub refused: u64,
}

impl Cgroups {
    /// Finds groups in the folders that the owner names, or where none are, what was delegated to this process.
    ///
    /// # Errors
    /// Says which named folder is no such group.
    pub fn find(named: &[PathBuf]) -> Result<Option<Self>, String> {
        let found = Self::look(named)?;
        let Some(Version::Two(path)) = found.as_ref().map(|groups| &groups.version) else { return Ok(found) };
        match enable(path) {
            Ok(()) => Ok(found),
            Err(error) if !named.is_empty() => Err(format!("{}: {error}", path.display())),
            // What was not asked for is not missed.
            Err(_) => Ok(None),
        }
    }

    /// The same, and changes nothing.
    ///
    /// # Errors
    /// Says which named folder is no such group.
    pub fn look(named: &[PathBuf]) -> Result<Option<Self>, String> {
        if named.is_empty() {
            return Ok(delegated());
        }
        if let [one] = named
            && one.join("cgroup.controllers").is_file()
        {
            return Ok(Some(Self { version: Version::Two(one.clone()) }));
        }
        let (mut pids, mut memory) = (None, None);
        for path in named {
            if path.join("pids.current").is_file() || path.join("pids.max").is_file() {
                pids = Some(path.clone());
            } else if path.join("memory.limit_in_bytes").is_file() {
                memory = Some(path.clone());
            } else if path.join("cgroup.procs").is_file()
                && path.components().any(|part| part.as_os_str() == "pids")
            {
                // The topmost group has no limits of its own.
                pids = Some(path.clone());
            } else {
                return Err(format!("{} is no cgroup of pids or memory", path.display()));
            }
        }
        Ok(Some(Self { version: Version::One { pids, memory } }))
    }

    /// Which controllers hold, in words.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.version {
            Version::Two(path) => format!("version 2 at {}", path.display()),
            Version::One { pids, memory } => {
                let paths: Vec<_> =
                    [pids, memory].into_iter().flatten().map(|path| path.display().to_string()).collect();
                format!("version 1 at {}", paths.join(" and "))
            }
        }
    }

    /// Makes the group of a keeper and puts it in. What an earlier life left of groups goes.
    pub(crate) fn make(&self, keeper: Pid) -> io::Result<Cgroup> {
        let name = format!("{PREFIX}{}", keeper.as_raw_nonzero());
        let below = |path: &PathBuf| -> io::Result<PathBuf> {
            let path = path.join(&name);
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                Ok(()) | Err(_) => Ok(path),
            }
        };
        let version = match &self.version {
            Version::Two(path) => Version::Two(below(path)?),
            Version::One { pids, memory } => Version::One {
                pids: pids.as_ref().map(below).transpose()?,
                memory: memory.as_ref().map(below).transpose()?,
            },
        };
        let group = Cgroup { version, held: Mutex::new(None) };
        group.take(keeper)?;
        Ok(group)
    }

    /// Removes the groups of keepers that are gone; one with processes stays.
    pub fn tidy(&self) {
        let parents = match &self.version {
            Version::Two(path) => [Some(path), None],
            Version::One { pids, memory } => [pids.as_ref(), memory.as_ref()],
        };
        for parent in parents.into_iter().flatten() {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                    let _ = fs::remove_dir(entry.path());
                }
            }
        }
    }
}

impl Cgroup {
    /// Holds the group to limits. Where that fails the runs in it are held by being looked at.
    pub(crate) fn hold(&self, bounds: Bounds) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.replace(bounds) == Some(bounds) {
            return;
        }
        let limit = |limit: u64, none: &str| {
            if limit >= i64::MAX.unsigned_abs() { none.to_owned() } else { limit.to_string() }
        };
        let processes = limit(bounds.processes.saturating_add(MARGIN), "max");
        let written = match &self.version {
            Version::Two(path) => fs::write(path.join("pids.max"), processes)
                .and_then(|()| fs::write(path.join("memory.max"), limit(bounds.memory, "max"))),
            Version::One { pids, memory } => {
                let pids = pids.iter().map(|path| fs::write(path.join("pids.max"), &processes));
                let memory = memory
                    .iter()
                    .map(|path| fs::write(path.join("memory.limit_in_bytes"), limit(bounds.memory, "-1")));
                pids.chain(memory).collect()
            }
        };
        if let Err(error) = written {
            tracing::warn!(%error, "the limits of a cgroup cannot be set");
        }
    }

    /// Puts a process in; what it makes from now on is born in there.
    pub(crate) fn take(&self, pid: Pid) -> io::Result<()> {
        let pid = pid.as_raw_nonzero().to_string();
        self.folders().try_for_each(|path| fs::write(path.join("cgroup.procs"), &pid))
    }

    /// What the kernel counted so far.
    pub(crate) fn events(&self) -> Events {
        match &self.version {
            Version::Two(path) => Events {
                ended: counted(&path.join("memory.events"), "oom_kill"),
                refused: counted(&path.join("pids.events"), "max"),
            },
            Version::One { pids, memory } => Events {
                ended: memory
                    .as_ref()
                    .map_or(0, |path| counted(&path.join("memory.oom_control"), "oom_kill")),
                refused: pids.as_ref().map_or(0, |path| counted(&path.join("pids.events"), "max")),
            },
        }
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        match &self.version {
            Version::Two(path) => [Some(path), None],
            Version::One { pids, memory } => [pids.as_ref(), memory.as_ref()],
        }
        .into_iter()
        .flatten()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for path in self.folders() {
            // One that still has a process goes with the next agent of this name, or stays empty.
            let _ = fs::remove_dir(path);
        }
    }
}

/// The number behind a word in a file of such lines.
fn counted(file: &Path, word: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == word).and_then(|(_, count)| count.trim().parse().ok()).unwrap_or(0)
}

/// The group of version 2 that this process is in, where it is this process's to part.
fn delegated() -> Option<Cgroups> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.trim_start_matches('/').to_owned();
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
    let root = roots.into_iter().find(|root| root.join("cgroup.controllers").is_file())?;
    let mut own = root.join(path);
    if own.file_name().is_some_and(|name| name == SERVICES) {
        own.pop();
    }
    let is_given = own != root && is_writable(&own) && is_marked(&own);
    is_given.then_some(Cgroups { version: Version::Two(own) })
}

fn is_writable(group: &Path) -> bool {
    let files = ["cgroup.procs", "cgroup.subtree_control"];
    files.iter().all(|file| rustix::fs::access(group.join(file), rustix::fs::Access::WRITE_OK).is_ok())
}

/// Whether systemd marked a group as delegated.
fn is_marked(group: &Path) -> bool {
    ["trusted.delegate", "user.delegate"].into_iter().any(|name| {
        let mut value = [0_u8; 8];
        rustix::fs::getxattr(group, name, &mut value).is_ok_and(|length| length == 1 && value[0] == b'1')
    })
}

/// Lets groups below a group have limits. Who is in it moves to one of them.
fn enable(group: &Path) -> io::Result<()> {
    let control = group.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&control)?;
    let wanted = ["memory", "pids"];
    if wanted.iter().all(|name| enabled.split_ascii_whitespace().any(|it| it == *name)) {
        return Ok(());
    }
    let offered = fs::read_to_string(group.join("cgroup.controllers"))?;
    if let Some(missing) = wanted.iter().find(|name| !offered.split_ascii_whitespace().any(|it| it == **name))
    {
        return Err(io::Error::other(format!("it has no controller {missing}")));
    }
    let services = group.join(SERVICES);
    for _ in 0..MAX_MOVES {
        let inside = fs::read_to_string(group.join("cgroup.procs"))?;
        if inside.trim().is_empty() {
            break;
        }
        if !services.is_dir() {
            fs::create_dir(&services)?;
        }
        for pid in inside.lines() {
            // One that has just ended is in nobody's way.
            let _ = fs::write(services.join("cgroup.procs"), pid);
        }
    }
    fs::write(&control, "+memory +pids")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { processes: 10, memory: 1 << 20, disk: 0 };

    #[test]
    fn a_group_of_version_2_gets_its_limits_and_is_asked_for_what_was_counted() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        file("cgroup.controllers", "cpu memory pids\n");
        file("cgroup.subtree_control", "");
        file("cgroup.procs", "");
        let groups = Cgroups::find(&[root.path().to_owned()]).unwrap().unwrap();
        let enabled = fs::read_to_string(root.path().join("cgroup.subtree_control")).unwrap();
        assert_eq!(enabled, "+memory +pids");
        let group = groups.make(rustix::process::getpid()).unwrap();
        let path = root.path().join(format!("{PREFIX}{}", std::process::id()));
        let inside = fs::read_to_string(path.join("cgroup.procs")).unwrap();
        assert_eq!(inside, std::process::id().to_string());
        group.hold(BOUNDS);
        assert_eq!(fs::read_to_string(path.join("pids.max")).unwrap(), "26");
        assert_eq!(fs::read_to_string(path.join("memory.max")).unwrap(), "1048576");
        assert_eq!(group.events(), Events::default());
        fs::write(path.join("memory.events"), "low 0\noom 3\noom_kill 2\n").unwrap();
        fs::write(path.join("pids.events"), "max 5\n").unwrap();
        assert_eq!(group.events(), Events { ended: 2, refused: 5 });
        group.hold(Bounds { processes: u64::MAX, ..BOUNDS });
        assert_eq!(fs::read_to_string(path.join("pids.max")).unwrap(), "max");
    }

    #[test]
    fn a_folder_that_is_no_group_is_refused_and_so_is_one_without_controllers() {
        let root = tempfile::tempdir().unwrap();
        assert!(Cgroups::find(&[root.path().to_owned()]).unwrap_err().contains("is no cgroup"));
        fs::write(root.path().join("cgroup.controllers"), "cpu\n").unwrap();
        fs::write(root.path().join("cgroup.subtree_control"), "").unwrap();
        let refused = Cgroups::find(&[root.path().to_owned()]).unwrap_err();
        assert!(refused.contains("no controller memory"), "{refused}");
    }
}

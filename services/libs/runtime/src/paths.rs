//! Where Conductor keeps its things: one home on a laptop, one volume each in a container.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// The folder below the user's own home when nothing else is said.
const DEFAULT_HOME: &str = ".claude-conductor";

/// Why the folders could not be found or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no home folder: neither CONDUCTOR_HOME nor HOME is set")]
    NoHome,
    #[error("CONDUCTOR_LAYOUT is {0:?}; it may be home or container")]
    UnknownLayout(String),
    #[error("cannot use {path} as the {purpose} folder: it is not a directory")]
    NotADirectory { purpose: &'static str, path: PathBuf },
    #[error("cannot create the {purpose} folder {path}")]
    Create { purpose: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot make the {purpose} folder {path} private (mode 0700)")]
    MakePrivate { purpose: &'static str, path: PathBuf, source: io::Error },
    #[error("the {purpose} folder {path} is not writable")]
    NotWritable { purpose: &'static str, path: PathBuf, source: io::Error },
}

/// The folders of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The folder that holds the others, when there is one.
    pub root: Option<PathBuf>,
    /// `conductor.yaml` and the admin token.
    pub config: PathBuf,
    /// The runs.
    pub workspace: PathBuf,
    /// The log files.
    pub logs: PathBuf,
    /// The event log, the history and the agents' outboxes.
    pub state: PathBuf,
    /// The sockets and their keys.
    pub run: PathBuf,
    /// The agents' socket, when it is not in `run`.
    pub(crate) agent_socket: Option<PathBuf>,
    /// The control socket, when it is not in `run`.
    pub(crate) control_socket: Option<PathBuf>,
}

impl Home {
    /// Lays the folders out below `root`, as on a laptop.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Home {
            config: root.join("config"),
            workspace: root.join("workspace"),
            logs: root.join("logs"),
            state: root.join("state"),
            run: root.join("run"),
            root: Some(root),
            agent_socket: None,
            control_socket: None,
        }
    }

    /// Lays the folders out as the volumes of a container.
    pub fn container() -> Self {
        Home {
            root: None,
            config: "/etc/conductor".into(),
            workspace: "/workspace".into(),
            logs: "/var/log/conductor".into(),
            state: "/var/lib/conductor".into(),
            run: "/run/conductor".into(),
            agent_socket: None,
            control_socket: None,
        }
    }

    /// Finds the layout from the environment: `CONDUCTOR_HOME`; else the container's when `CONDUCTOR_LAYOUT` says so;
    /// else `.claude-conductor` in the user's home.
    ///
    /// # Errors
    /// When nothing names a home, or `CONDUCTOR_LAYOUT` is neither `home` nor `container`.
    pub fn from_env() -> Result<Self, Error> {
        Self::find(|name| std::env::var_os(name).map(PathBuf::from))
    }

    /// Finds the layout as [`Home::from_env`] does, with `var` in place of the process's environment.
    ///
    /// # Errors
    /// As [`Home::from_env`].
    pub fn find(var: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, Error> {
        let var = |name| var(name).filter(|value| !value.as_os_str().is_empty());
        if let Some(root) = var("CONDUCTOR_HOME") {
            return Ok(Self::at(absolute(root)));
        }
        match var("CONDUCTOR_LAYOUT") {
            Some(layout) if layout.as_os_str() == "container" => return Ok(Self::container()),
            Some(layout) if layout.as_os_str() != "home" => {
                return Err(Error::UnknownLayout(layout.display().to_string()));
            }
            Some(_) | None => {}
        }
        var("HOME").map(|home| Self::at(absolute(home.join(DEFAULT_HOME)))).ok_or(Error::NoHome)
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("conductor.yaml")
    }

    /// The file of the first admin token.
    pub fn token_file(&self) -> PathBuf {
        self.config.join("token")
    }

    /// The folder of the secrets that people keep, where the configuration names no other.
    pub fn secrets(&self) -> PathBuf {
        self.config.join("secrets")
    }

    /// The socket that agents connect to.
    pub fn agent_socket(&self) -> PathBuf {
        self.agent_socket.clone().unwrap_or_else(|| self.run.join("agent.sock"))
    }

    /// The key that agents say at the agent socket, new at each start; it is beside the socket.
    pub fn agent_key(&self) -> PathBuf {
        self.agent_socket().with_extension("key")
    }

    /// The socket that the api, the dashboard and the CLI connect to.
    pub fn control_socket(&self) -> PathBuf {
        self.control_socket.clone().unwrap_or_else(|| self.run.join("control.sock"))
    }

    /// The key that is said at the control socket, new at each start; it is beside the socket.
    pub fn control_key(&self) -> PathBuf {
        self.control_socket().with_extension("key")
    }

    /// The run folders, one for each task.
    pub fn tasks(&self) -> PathBuf {
        self.workspace.join("tasks")
    }

    /// The tasks' private folders (HOME, TMPDIR, sessions), which nothing serves.
    pub fn private(&self) -> PathBuf {
        self.workspace.join("private")
    }

    /// Makes the folders that do not exist, with their modes, and checks that they can be written. The config folder
    /// may be read-only, as it is when it comes from a secret or a config map.
    ///
    /// # Errors
    /// The first folder that cannot be used, by name.
    pub fn create(&self) -> Result<(), Error> {
        if let Some(root) = &self.root {
            make("home", root, 0o700)?;
        }
        private_folder("config", &self.config)?;
        for (purpose, path) in [("state", &self.state), ("run", &self.run)] {
            private_folder(purpose, path)?;
            writable(purpose, path)?;
        }
        let tasks = self.tasks();
        for (purpose, path) in [("workspace", &self.workspace), ("tasks", &tasks), ("logs", &self.logs)] {
            make(purpose, path, 0o755)?;
            writable(purpose, path)?;
        }
        private_folder("private", &self.private())?;
        writable("private", &self.private())
    }
}

/// Makes a folder that only its owner can enter; one that is there and ours is closed to others.
pub(crate) fn private_folder(purpose: &'static str, path: &Path) -> Result<(), Error> {
    make(purpose, path, 0o700)?;
    let failed = |source| Error::MakePrivate { purpose, path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.mode() & 0o077 == 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    match fs::set_permissions(path, Permissions::from_mode(0o700)) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        other => other.map_err(failed),
    }
}

fn make(purpose: &'static str, path: &Path, mode: u32) -> Result<(), Error> {
    match DirBuilder::new().recursive(true).mode(mode).create(path) {
        Ok(()) => Ok(()),
        Err(_) if path.exists() && !path.is_dir() => {
            Err(Error::NotADirectory { purpose, path: path.to_owned() })
        }
        Err(source) => Err(Error::Create { purpose, path: path.to_owned(), source }),
    }
}

fn writable(purpose: &'static str, path: &Path) -> Result<(), Error> {
    rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(|source| Error::NotWritable {
        purpose,
        path: path.to_owned(),
        source: source.into(),
    })
}

/// Children run in other folders, so a path that is passed on must not depend on this process's own.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn find(vars: &[(&str, &str)]) -> Result<Home, Error> {
        Home::find(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value)))
    }

    #[test]
    fn conductor_home_wins_then_the_layout_then_the_users_home() {
        let all = [("CONDUCTOR_HOME", "/data"), ("CONDUCTOR_LAYOUT", "container"), ("HOME", "/home/me")];
        assert_eq!(find(&all).unwrap(), Home::at("/data"));
        assert_eq!(find(&all[1..]).unwrap(), Home::container());
        assert_eq!(find(&all[2..]).unwrap(), Home::at("/home/me/.claude-conductor"));
        assert_eq!(
            find(&[("CONDUCTOR_HOME", ""), ("HOME", "/h")]).unwrap(),
            Home::at("/h/.claude-conductor")
        );
        assert!(matches!(find(&[]), Err(Error::NoHome)));
        let unknown = find(&[("CONDUCTOR_LAYOUT", "swarm")]).unwrap_err();
        assert!(unknown.to_string().contains("swarm"));
    }

    #[test]
    fn a_relative_home_becomes_absolute() {
        let home = find(&[("CONDUCTOR_HOME", "here")]).unwrap();
        assert!(home.state.is_absolute() && home.state.ends_with("here/state"), "{home:?}");
    }

    #[test]
    fn create_makes_private_folders_private_and_is_repeatable() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("a/b"));
        home.create().unwrap();
        home.create().unwrap();
        for path in [&home.config, &home.state, &home.run, &home.private(), home.root.as_ref().unwrap()] {
            assert_eq!(mode(path), 0o700, "{}", path.display());
        }
        assert!(home.tasks().is_dir() && home.logs.is_dir());
    }

    #[test]
    fn an_open_folder_of_ours_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        fs::create_dir(&home.state).unwrap();
        fs::set_permissions(&home.state, Permissions::from_mode(0o777)).unwrap();
        home.create().unwrap();
        assert_eq!(mode(&home.state), 0o700);
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        fs::write(&home.logs, "").unwrap();
        let error = home.create().unwrap_err();
        assert!(matches!(error, Error::NotADirectory { purpose: "logs", .. }), "{error:?}");
        assert!(error.to_string().contains(&home.logs.display().to_string()));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        // /proc is not writable even for root, who may write to any folder whatever its mode.
        let home = Home { state: "/proc/self".into(), ..Home::at(tempfile::tempdir().unwrap().path()) };
        let error = home.create().unwrap_err().to_string();
        assert!(error.contains("/proc/self") && error.contains("state"), "{error}");
    }
}

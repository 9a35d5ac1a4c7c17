//! Running git: one step at a time through the slot's keeper, so that it ends with its run like everything else.
//!
//! A credential reaches git neither by arguments nor by the environment nor by a file. Standard error of a step that needs
//! one is a socket: it lies ready in there, and the helper that git asks reads it from its own standard error, which it
//! inherits. What git says is read from the same socket's other direction.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;

use super::settings::{Login, Settings};
use crate::process::{Keeper, Stdio};
use crate::runner::{End, Inbox};
use crate::sandbox::{Place, Policy, Sandbox};

mod call;
mod login;

use call::Call;
use login::{HELPER, offer};

/// The steps that may reach a server. They look at no work folder.
const REACHING: [&str; 3] = ["fetch", "push", "ls-remote"];
/// Configuration of every step: nothing in a repository runs anything.
const CONFIG: [&str; 24] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "core.askPass=",
    "core.alternateRefsCommand=true",
    "core.quotePath=false",
    "core.pager=cat",
    "core.splitIndex=false",
    "checkout.workers=1",
    "diff.external=",
    "diff.ignoreSubmodules=all",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "push.gpgSign=false",
    "protocol.allow=never",
    "http.followRedirects=false",
    "advice.detachedHead=false",
];

/// Why a step, or all that a run wanted of git, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{why}")]
    Workspace { why: String, hint: &'static str },
    #[error("git {what} failed: {words}")]
    Git { what: String, words: String },
    #[error("git {what} took longer than {} s", .after.as_secs())]
    Slow { what: String, after: Duration },
    #[error("the repository is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the credential for {host} cannot be had: {why}")]
    Credential { host: String, why: String },
    #[error("git cannot be run: {why}")]
    NoGit { why: String },
    #[error("failed to {what}: {source}")]
    Disk { what: String, source: io::Error },
    /// The run was ended meanwhile.
    #[error("it was ended")]
    Ended(End),
    #[error("its keeper process ended")]
    KeeperLost,
}

impl Error {
    pub(super) fn disk(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Disk { what, source }
    }
}

/// Runs git for one attempt.
#[derive(Debug)]
pub(crate) struct Git<'a> {
    pub keeper: &'a Keeper,
    /// What confines every step but those that reach a server.
    pub sandbox: &'a Sandbox,
    pub null: &'a File,
    pub inbox: &'a Inbox,
    pub settings: &'a Settings,
    /// Variables by which a later life of the agent finds what was left running.
    pub marks: Vec<(&'static str, OsString)>,
    /// The PATH of children.
    pub path: OsString,
}

/// One call of git.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub git_dir: &'a Path,
    pub work_tree: Option<&'a Path>,
    /// The subcommand and its arguments.
    pub args: Vec<OsString>,
    pub config: Vec<(String, String)>,
    pub env: Vec<(&'static str, OsString)>,
    pub input: Option<&'a File>,
    pub login: Option<&'a Login>,
    pub timeout: Duration,
    /// The most bytes of what it prints.
    pub max_output: usize,
    /// A folder that may not grow beyond so many bytes meanwhile.
    pub bound: Option<(&'a Path, u64)>,
}

/// What a call of git printed and how it ended.
#[derive(Debug)]
pub(super) struct Printed {
    pub code: Option<i32>,
    pub output: Vec<u8>,
    /// Whether it printed more than was wanted.
    pub cut: bool,
    pub words: String,
}

impl<'a> Step<'a> {
    /// A step that reaches nobody.
    pub fn new(git_dir: &'a Path, args: &[&str]) -> Self {
        Self {
            git_dir,
            work_tree: None,
            args: args.iter().map(OsString::from).collect(),
            config: Vec::new(),
            env: Vec::new(),
            input: None,
            login: None,
            timeout: Duration::from_secs(600),
            max_output: 1 << 20,
            bound: None,
        }
    }

    fn name(&self) -> String {
        self.args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl Git<'_> {
    /// Makes a step that must succeed and gives what it printed.
    pub(super) fn run(&self, step: &Step<'_>) -> Result<Vec<u8>, Error> {
        let printed = self.ask(step)?;
        match printed.code {
            Some(0) if !printed.cut => Ok(printed.output),
            Some(0) => Err(Error::Git { what: step.name(), words: "it printed too much".into() }),
            Some(_) | None => Err(Error::Git { what: step.name(), words: printed.words }),
        }
    }

    /// The same for a step that prints one line.
    pub(super) fn line(&self, step: &Step<'_>) -> Result<String, Error> {
        let output = self.run(step)?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    }

    /// Makes a step and gives how it ended.
    pub(super) fn ask(&self, step: &Step<'_>) -> Result<Printed, Error> {
        if let Some(end) = self.inbox.ends() {
            return Err(Error::Ended(end));
        }
        let no_git = |why: String| Error::NoGit { why };
        let (output, output_end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
            .map_err(|errno| no_git(io::Error::from(errno).to_string()))?;
        let (said, said_end) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(|errno| no_git(io::Error::from(errno).to_string()))?;
        if let Some(login) = step.login {
            offer(&said, login).map_err(|error| no_git(error.to_string()))?;
        }
        // A helper that asks again finds the end.
        let _ = rustix::net::shutdown(&said, Shutdown::Write);
        let folder = File::open(step.work_tree.unwrap_or(step.git_dir))
            .map_err(Error::disk(format!("open {}", step.git_dir.display())))?;
        let argv = self.argv(step);
        let env = self.env(step);
        let stdio = Stdio {
            cwd: folder.as_fd(),
            input: step.input.unwrap_or(self.null).as_fd(),
            output: output_end.as_fd(),
            error: said_end.as_fd(),
        };
        let policy = self.policy(step);
        self.keeper
            .spawn(policy.as_ref(), b"git", &argv, &env, stdio)
            .map_err(|error| no_git(error.to_string()))?;
        drop((output_end, said_end));
        Call::new(self, step, output, said).follow()
    }

    /// What a step may reach: its repository, the work folder, the objects that are borrowed, and no network.
    fn policy(&self, step: &Step<'_>) -> Option<Policy> {
        if REACHING.iter().any(|name| step.args.first().is_some_and(|first| first == name)) {
            return None;
        }
        let own = step.git_dir.parent().unwrap_or(step.git_dir);
        let writes = [own].into_iter().chain(step.work_tree).collect();
        let borrowed = std::fs::read(step.git_dir.join("objects/info/alternates")).unwrap_or_default();
        let borrowed = borrowed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut reads: Vec<PathBuf> = borrowed.map(|line| OsStr::from_bytes(line).into()).collect();
        // The contents of large files lie beside the objects.
        let large = reads.iter().map(|objects| objects.with_file_name("lfs"));
        let large: Vec<PathBuf> = large.filter(|path| path.exists()).collect();
        reads.extend(large);
        let objects = step.env.iter().filter(|(name, _)| *name == "GIT_ALTERNATE_OBJECT_DIRECTORIES");
        reads.extend(objects.flat_map(|(_, paths)| std::env::split_paths(paths)));
        self.sandbox.policy_of_own(Place { writes, reads, ports: Some(Vec::new()) })
    }

    fn argv(&self, step: &Step<'_>) -> Vec<Vec<u8>> {
        let mut argv: Vec<Vec<u8>> =
            vec![b"git".to_vec(), b"--no-pager".to_vec(), b"--no-replace-objects".to_vec()];
        let mut config = |text: String| argv.extend([b"-c".to_vec(), text.into_bytes()]);
        for setting in CONFIG {
            config(setting.to_owned());
        }
        config("credential.helper=".to_owned());
        if step.login.is_some() {
            config(format!("credential.helper={HELPER}"));
        }
        for (name, value) in &step.config {
            config(format!("{name}={value}"));
        }
        argv.extend(step.args.iter().map(|arg| arg.as_bytes().to_vec()));
        argv
    }

    fn env(&self, step: &Step<'_>) -> Vec<Vec<u8>> {
        let home = step.git_dir.parent().unwrap_or(step.git_dir);
        let mut env: Vec<(&str, OsString)> = vec![
            ("PATH", self.path.clone()),
            ("LC_ALL", "C".into()),
            ("HOME", home.into()),
            ("XDG_CONFIG_HOME", home.into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_CONFIG_SYSTEM", "/dev/null".into()),
            ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
            ("GIT_ATTR_NOSYSTEM", "1".into()),
            ("GIT_TERMINAL_PROMPT", "0".into()),
            ("GIT_ASKPASS", "true".into()),
            ("SSH_ASKPASS", "true".into()),
            ("GIT_OPTIONAL_LOCKS", "0".into()),
            ("GIT_ADVICE", "0".into()),
            ("GIT_DIR", step.git_dir.into()),
            ("GIT_AUTHOR_NAME", self.settings.config.author_name.clone().into()),
            ("GIT_AUTHOR_EMAIL", self.settings.config.author_email.clone().into()),
            ("GIT_COMMITTER_NAME", self.settings.config.author_name.clone().into()),
            ("GIT_COMMITTER_EMAIL", self.settings.config.author_email.clone().into()),
        ];
        env.extend(step.work_tree.map(|tree| ("GIT_WORK_TREE", tree.into())));
        env.extend(self.marks.iter().cloned());
        env.extend(step.env.iter().cloned());
        let join = |(name, value): (&str, OsString)| {
            let mut line = OsString::from(name);
            line.push("=");
            line.push(value);
            line.into_vec()
        };
        env.into_iter().map(join).collect()
    }
}

/// A path as an argument.
pub(super) fn arg(path: &Path) -> OsString {
    path.as_os_str().to_owned()
}

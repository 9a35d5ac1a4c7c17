//! Running git: one step at a time through the slot's keeper, so that it ends with its run like everything else.
//!
//! A credential reaches git neither by arguments nor by the environment nor by a file. Standard error of a step that needs
//! one is a socket: it lies ready in there, and the helper that git asks reads it from its own standard error, which it
//! inherits. What git says is read from the same socket's other direction.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;

use super::settings::{Login, Settings};
use crate::process::{Exit, Keeper, Reply, Stdio, boot_ms};
use crate::runner::{End, Inbox, wait};
use crate::sandbox::{Place, Policy, Sandbox};

/// How often a helper may ask for the credential in one step.
const MAX_ASKED: usize = 8;
/// The most bytes of what git says that are kept, and that are shown.
const MAX_SAID_BYTES: usize = 64 << 10;
const MAX_SHOWN_CHARS: usize = 1_000;
/// How often the size of what is fetched is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Between TERM and KILL for a step that is ended.
const GRACE: Duration = Duration::from_secs(2);
/// The steps that may reach a server. They look at no work folder.
const REACHING: [&str; 3] = ["fetch", "push", "ls-remote"];
/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

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
        let call = Call { git: self, step, output: Some(output), said: Some(said), cause: None };
        call.follow()
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

/// Reads two lines that lie ready on standard error. `read` of a shell takes no byte more than its line.
const HELPER: &str = "!f() { test \"$1\" = get && IFS= read -r u <&2 && IFS= read -r p <&2 && \
                      printf 'username=%s\\npassword=%s\\n' \"$u\" \"$p\"; }; f";

fn offer(socket: &OwnedFd, login: &Login) -> io::Result<()> {
    let once = format!("{}\n{}\n", login.user, login.token.reveal());
    let all = zeroize::Zeroizing::new(once.repeat(MAX_ASKED));
    let _once = zeroize::Zeroizing::new(once);
    let mut rest = all.as_bytes();
    while !rest.is_empty() {
        // It fits what a socket holds: a token has a limit far below.
        let sent = rustix::net::send(
            socket,
            rest,
            rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL,
        )?;
        rest = &rest[sent..];
    }
    Ok(())
}

struct Call<'a> {
    git: &'a Git<'a>,
    step: &'a Step<'a>,
    output: Option<OwnedFd>,
    said: Option<OwnedFd>,
    /// Why it is being ended.
    cause: Option<Error>,
}

impl Call<'_> {
    fn follow(mut self) -> Result<Printed, Error> {
        let deadline =
            boot_ms().saturating_add(u64::try_from(self.step.timeout.as_millis()).unwrap_or(u64::MAX));
        let (mut output, mut said, mut exit) = (Vec::new(), Vec::new(), None);
        let mut cut = false;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let left = Duration::from_millis(deadline.saturating_sub(boot_ms()));
            let [keeper, inbox, printed, spoken] = self.wait(left);
            if printed {
                cut |= !read(&mut self.output, &mut buffer, &mut output, self.step.max_output);
            }
            if spoken {
                read(&mut self.said, &mut buffer, &mut said, MAX_SAID_BYTES);
            }
            if inbox && let Some(end) = self.git.inbox.ends() {
                self.end(Error::Ended(end));
            }
            if boot_ms() >= deadline {
                self.end(Error::Slow { what: self.step.name(), after: self.step.timeout });
            }
            if let Some((folder, limit)) = self.step.bound
                && super::mirror::bytes_below(folder) > limit
            {
                self.end(Error::TooLarge { limit });
            }
            if !keeper {
                continue;
            }
            match self.git.keeper.reply() {
                Ok(Reply::Started { .. }) => {}
                Ok(Reply::Refused { errno }) => {
                    let why = io::Error::from(Errno::from_raw_os_error(errno)).to_string();
                    return Err(Error::NoGit { why });
                }
                Ok(Reply::Unconfined) => {
                    return Err(Error::NoGit { why: "it could not be confined".into() });
                }
                Ok(Reply::Exited(code)) => exit = Some(code),
                Ok(Reply::ExitedAndGone(code)) => {
                    exit = Some(code);
                    break;
                }
                Ok(Reply::Gone { .. }) => break,
                Err(_) => return Err(Error::KeeperLost),
            }
        }
        // Nothing of the step is left, so what is in the pipes is all there is.
        while self.output.is_some() {
            cut |= !read(&mut self.output, &mut buffer, &mut output, self.step.max_output);
        }
        while self.said.is_some() {
            read(&mut self.said, &mut buffer, &mut said, MAX_SAID_BYTES);
        }
        if let Some(cause) = self.cause {
            return Err(cause);
        }
        let code = match exit {
            Some(Exit::Code(code)) => Some(code),
            Some(Exit::Signal(_)) | None => None,
        };
        Ok(Printed { code, output, cut, words: words(&said, self.step.login) })
    }

    /// Says what is ready: the keeper, the inbox, what is printed, what is said.
    fn wait(&self, left: Duration) -> [bool; 4] {
        let keeper = PollFd::new(self.git.keeper, PollFlags::IN);
        let inbox = PollFd::new(self.git.inbox, PollFlags::IN);
        let mut fds = vec![keeper];
        let listens = self.cause.is_none();
        fds.extend(listens.then_some(inbox));
        let printed = self.output.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN));
        let spoken = self.said.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN));
        let (has_printed, has_spoken) = (printed.is_some(), spoken.is_some());
        fds.extend(printed);
        fds.extend(spoken);
        let time = match (listens, self.step.bound) {
            (false, _) => Duration::MAX,
            (true, Some(_)) => left.min(LOOK),
            (true, None) => left,
        };
        wait(&mut fds, time);
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = |there: bool| there && ready.next().unwrap_or(false);
        [next(true), next(listens), next(has_printed), next(has_spoken)]
    }

    /// Ends the step; the first cause is the one that counts.
    fn end(&mut self, cause: Error) {
        if self.cause.is_some() {
            return;
        }
        let grace = if matches!(cause, Error::Ended(End::Abandon)) { Duration::ZERO } else { GRACE };
        self.cause = Some(cause);
        // A keeper that is gone shows at the next wait.
        let _ = self.git.keeper.end(grace);
    }
}

/// Reads once, keeps up to a limit, and takes away what has ended; false when something was not kept.
fn read(from: &mut Option<OwnedFd>, buffer: &mut [u8], into: &mut Vec<u8>, most: usize) -> bool {
    let Some(fd) = from else { return true };
    match rustix::io::read(fd, &mut *buffer) {
        Ok(0) => *from = None,
        Ok(count) => {
            let room = most.saturating_sub(into.len());
            into.extend_from_slice(&buffer[..count.min(room)]);
            return count <= room;
        }
        Err(Errno::INTR) => {}
        Err(_) => *from = None,
    }
    true
}

/// What git said, as people may read it: short, on few lines, and without the credential.
fn words(said: &[u8], login: Option<&Login>) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("hint:"));
    let mut text = lines.collect::<Vec<_>>().join("; ");
    if let Some(login) = login {
        text = text.replace(login.token.reveal(), "[redacted]");
    }
    text.chars().filter(|char| !char.is_control()).take(MAX_SHOWN_CHARS).collect()
}

/// A path as an argument.
pub(super) fn arg(path: &Path) -> OsString {
    path.as_os_str().to_owned()
}

#[cfg(test)]
mod tests {
    use conductor_runtime::credentials::Secret;

    use super::*;

    #[test]
    fn what_git_says_is_told_without_the_credential() {
        let login = Login { user: "u".into(), token: Secret::new("s3cret") };
        let said = b"remote: no\nfatal: https://u:s3cret@host/ denied\x1b[0m\nhint: try\n\n";
        assert_eq!(words(said, Some(&login)), "remote: no; fatal: https://u:[redacted]@host/ denied[0m");
        assert!(words(&b"x".repeat(10_000), None).len() <= MAX_SHOWN_CHARS);
    }

    #[test]
    fn a_credential_fits_the_socket_as_often_as_it_may_be_asked() {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .unwrap();
        let token = "t".repeat(8 << 10);
        offer(&ours, &Login { user: "me".into(), token: Secret::new(token.clone()) }).unwrap();
        drop(ours);
        let mut all = String::new();
        io::Read::read_to_string(&mut File::from(theirs), &mut all).unwrap();
        assert_eq!(all, format!("me\n{token}\n").repeat(MAX_ASKED));
    }
}

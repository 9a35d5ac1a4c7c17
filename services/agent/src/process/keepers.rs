//! The worker's side of its keepers: one owner that starts them, and takes in what a dead one left.

use std::collections::HashSet;
use std::ffi::{CString, OsString};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions};

use super::cgroup::{Cgroup, Cgroups};
use super::frame::{self, Child, DESCRIPTORS, Reply};
use super::keeper::{OWN_NETWORK, TRY_NETWORK};
use super::overseer::{Bounds, Overseen, Overseer, Subject};
use super::spawn::{self, Command};
use super::table;
use super::tree::{MAX_SWEEP, SWEEP_PAUSE, Tree};
use crate::runner::Control;
use crate::sandbox::Policy;

/// What goes wrong between the worker and a keeper.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("start a keeper process")]
    Start(#[source] io::Error),
    #[error("the thread that owns the keepers is gone")]
    OwnerGone,
    #[error("talk to keeper {pid}")]
    Socket { pid: i32, source: io::Error },
    #[error("keeper {pid} is gone")]
    Gone { pid: i32 },
    #[error("have a network of its own for runs")]
    NoNetwork,
}

/// How this program is started as a keeper.
#[derive(Debug, Clone)]
pub struct KeeperProgram {
    pub path: PathBuf,
    pub args: Vec<OsString>,
}

/// Starts keepers. This process becomes a subreaper: what a killed keeper leaves falls to it and is ended.
///
/// All children of this process but its keepers are taken for such remains, so nothing else in the
/// process may make children of its own.
#[derive(Debug)]
pub struct Keepers {
    requests: Option<SyncSender<Request>>,
    overseer: Arc<Overseer>,
    cgroups: Option<Cgroups>,
    owner: Option<JoinHandle<()>>,
}

/// A keeper process, as the slot that uses it sees it.
#[derive(Debug)]
pub struct Keeper {
    pid: Pid,
    socket: OwnedFd,
    owner: SyncSender<Request>,
    overseer: Arc<Overseer>,
    cgroup: Option<Arc<Cgroup>>,
    network: Option<OwnNetwork>,
}

/// A network in which there is nothing but loopback, and three listeners there that are answered from outside.
#[derive(Debug)]
pub(crate) struct OwnNetwork {
    pub proxy: TcpListener,
    pub model: TcpListener,
    pub api: TcpListener,
}

/// The descriptors that a child gets.
#[derive(Debug, Clone, Copy)]
pub struct Stdio<'a> {
    pub cwd: BorrowedFd<'a>,
    pub input: BorrowedFd<'a>,
    pub output: BorrowedFd<'a>,
    pub error: BorrowedFd<'a>,
}

#[derive(Debug)]
enum Request {
    Start { own_network: bool, reply: SyncSender<Result<(Pid, OwnedFd), Error>> },
    Ended(Pid, SyncSender<usize>),
}

impl Keepers {
    /// Starts the owner of the keepers; the keepers are started when they are asked for.
    ///
    /// # Errors
    ///
    /// Fails when this process cannot become a subreaper or has no thread left.
    pub fn new(program: KeeperProgram, cgroups: Option<Cgroups>) -> Result<Self, Error> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|errno| Error::Start(errno.into()))?;
        let (requests, receiver) = sync_channel(1);
        let owner = std::thread::Builder::new()
            .name("keepers".into())
            .spawn(move || Owner { program, living: HashSet::new() }.serve(&receiver))
            .map_err(Error::Start)?;
        let overseer = Overseer::start().map_err(Error::Start)?;
        Ok(Self { requests: Some(requests), overseer, cgroups, owner: Some(owner) })
    }

    /// Returns what slots start their keepers with.
    #[must_use]
    pub fn handle(&self) -> KeeperStarter {
        KeeperStarter {
            owner: self.requests.clone().expect("the owner is told to leave only by drop"),
            overseer: Arc::clone(&self.overseer),
            cgroups: self.cgroups.clone(),
        }
    }
}

impl Drop for Keepers {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(owner) = self.owner.take() {
            // The owner leaves when the last keeper is given back.
            let _ = owner.join();
        }
    }
}

/// Starts keepers; one for each slot.
#[derive(Debug, Clone)]
pub struct KeeperStarter {
    owner: SyncSender<Request>,
    overseer: Arc<Overseer>,
    cgroups: Option<Cgroups>,
}

impl KeeperStarter {
    /// Starts a keeper process.
    ///
    /// # Errors
    ///
    /// Fails when the process cannot be made.
    pub fn start(&self) -> Result<Keeper, Error> {
        self.started(false)
    }

    /// Starts one that has a network of its own.
    ///
    /// # Errors
    ///
    /// Fails when the process cannot be made, or there is no such network to be had.
    pub fn start_with_own_network(&self) -> Result<Keeper, Error> {
        let mut keeper = self.started(true)?;
        match frame::receive_network(keeper.socket.as_fd()) {
            Ok(Some(listeners)) => {
                let [proxy, model, api] = listeners.map(TcpListener::from);
                keeper.network = Some(OwnNetwork { proxy, model, api });
                Ok(keeper)
            }
            Ok(None) | Err(_) => {
                keeper.retire();
                Err(Error::NoNetwork)
            }
        }
    }

    fn started(&self, own_network: bool) -> Result<Keeper, Error> {
        let (reply, answer) = sync_channel(1);
        self.owner.send(Request::Start { own_network, reply }).map_err(|_| Error::OwnerGone)?;
        let (pid, socket) = answer.recv().map_err(|_| Error::OwnerGone)??;
        let (owner, overseer) = (self.owner.clone(), Arc::clone(&self.overseer));
        Ok(Keeper { pid, socket, owner, overseer, cgroup: self.cgroup(pid), network: None })
    }

    /// The group of a keeper. Without one its runs are held by being looked at.
    fn cgroup(&self, keeper: Pid) -> Option<Arc<Cgroup>> {
        let made = self.cgroups.as_ref()?.make(keeper);
        match made {
            Ok(cgroup) => Some(Arc::new(cgroup)),
            Err(error) => {
                tracing::warn!(%error, "a keeper has no cgroup of its own");
                None
            }
        }
    }
}

/// Whether a keeper could have a network of its own here. It is tried in a process that ends at once.
#[must_use]
pub fn may_have_own_network(program: &KeeperProgram) -> bool {
    let mut command = std::process::Command::new(&program.path);
    command.args(&program.args).arg(TRY_NETWORK);
    let null = std::process::Stdio::null;
    let tried = command.stdin(null()).stdout(null()).stderr(null()).env_clear().status();
    tried.is_ok_and(|status| status.success())
}

impl Keeper {
    /// Returns the pid of the keeper process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// The network that its children have for themselves.
    pub(crate) fn network(&self) -> Option<&OwnNetwork> {
        self.network.as_ref()
    }

    /// Has a run looked at that it has just made the child of.
    pub(crate) fn oversee(&self, bounds: Bounds, folders: [OwnedFd; 2], control: Control) -> Overseen {
        if let Some(cgroup) = &self.cgroup {
            cgroup.hold(bounds);
        }
        let cgroup = self.cgroup.clone();
        self.overseer.watch(Subject { keeper: self.pid, bounds, folders, control, cgroup })
    }

    /// Asks for a child, confined to a policy where there is one. The reply is [`Reply::Refused`] or [`Reply::Unconfined`], or
    /// the end of a child that ended soon, or [`Reply::Started`] and its end later.
    ///
    /// # Errors
    ///
    /// Fails when an argument cannot be sent or the keeper is gone.
    pub fn spawn(
        &self,
        policy: Option<&Policy>,
        program: &[u8],
        argv: &[impl AsRef<[u8]>],
        env: &[impl AsRef<[u8]>],
        stdio: Stdio<'_>,
    ) -> io::Result<()> {
        let descriptors: [BorrowedFd<'_>; DESCRIPTORS] = [stdio.cwd, stdio.input, stdio.output, stdio.error];
        let confines = policy.map(Policy::to_lines).unwrap_or_default();
        let child = Child { confines: &confines, program, argv, env };
        frame::send_spawn(self.socket.as_fd(), &child, descriptors)
    }

    /// Asks to end the run, TERM first and KILL after the grace; the reply is [`Reply::Gone`] in the end.
    ///
    /// # Errors
    ///
    /// Fails when the keeper is gone.
    pub fn end(&self, grace: Duration) -> Result<(), Error> {
        let grace_ms = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        frame::send_end(self.socket.as_fd(), grace_ms).map_err(|source| self.broken(source))
    }

    /// Waits for the next reply; [`Keeper::as_fd`] tells when there is one.
    ///
    /// # Errors
    ///
    /// Fails when the keeper is gone.
    pub fn reply(&self) -> Result<Reply, Error> {
        match frame::receive_reply(self.socket.as_fd()) {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(Error::Gone { pid: self.pid() }),
            Err(source) => Err(self.broken(source)),
        }
    }

    /// Gives the keeper back: it is killed, and so is all that was below it. Returns how many processes could not
    /// be ended.
    pub fn retire(self) -> usize {
        let (reply, answer) = sync_channel(1);
        drop(self.socket);
        if self.owner.send(Request::Ended(self.pid, reply)).is_err() {
            return 0;
        }
        answer.recv().unwrap_or(0)
    }

    fn broken(&self, source: io::Error) -> Error {
        Error::Socket { pid: self.pid(), source }
    }
}

impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

struct Owner {
    program: KeeperProgram,
    living: HashSet<Pid>,
}

impl Owner {
    fn serve(mut self, requests: &Receiver<Request>) {
        while let Ok(request) = requests.recv() {
            // Whoever asked may be gone; the work is done all the same.
            match request {
                Request::Start { own_network, reply } => {
                    drop(reply.send(self.start(own_network).map_err(Error::Start)));
                }
                Request::Ended(pid, reply) => drop(reply.send(self.bury(pid))),
            }
        }
    }

    fn start(&mut self, own_network: bool) -> io::Result<(Pid, OwnedFd)> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let path = CString::new(self.program.path.as_os_str().as_bytes())?;
        let more = own_network.then_some(OWN_NETWORK.as_bytes());
        let args = spawn::c_strings(self.program.args.iter().map(|arg| arg.as_bytes()).chain(more))?;
        let argv: Vec<_> = [path.as_c_str()].into_iter().chain(args.iter().map(CString::as_c_str)).collect();
        // Children find their program in the keeper's PATH. Nothing else of the environment goes with it: a
        // task may be able to read what a keeper was started with.
        let path_variable = std::env::var_os("PATH").map(|value| {
            let mut variable = b"PATH=".to_vec();
            variable.extend_from_slice(value.as_bytes());
            variable
        });
        let env = spawn::c_strings(path_variable)?;
        let env: Vec<_> = env.iter().map(CString::as_c_str).collect();
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let stderr = io::stderr();
        let stdio = [theirs.as_fd(), null.as_fd(), stderr.as_fd()];
        let pid = spawn::spawn(&Command { program: &path, argv: &argv, env: &env, cwd: None, stdio })?;
        self.living.insert(pid);
        Ok((pid, ours))
    }

    /// Ends a keeper and all that falls to this process with it.
    fn bury(&mut self, keeper: Pid) -> usize {
        // It is a child that was not waited for, so the pid is still its own.
        let _ = rustix::process::kill_process(keeper, Signal::KILL);
        let _ = rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(keeper), WaitOptions::empty()));
        self.living.remove(&keeper);
        let remains = Tree { root: rustix::process::getpid(), spared: self.living.clone() };
        let deadline = Instant::now() + MAX_SWEEP;
        loop {
            let left = self.sweep(&remains);
            if left == 0 || Instant::now() >= deadline {
                return left;
            }
            std::thread::sleep(SWEEP_PAUSE);
        }
    }

    fn sweep(&self, remains: &Tree) -> usize {
        if remains.kill().is_err() {
            return 0;
        }
        let own = rustix::process::getpid();
        let Ok(processes) = table::all() else { return 0 };
        for stat in processes {
            let pid = stat.process.pid;
            if stat.parent == Some(own) && !self.living.contains(&pid) {
                let _: Result<_, Errno> = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
        remains.members().map_or(0, |members| members.len())
    }
}

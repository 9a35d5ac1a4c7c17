//! The keeper: a process of one thread that makes the child of one run after another and ends each run's tree.
//!
//! It is a subreaper, so all that a child makes stays below it: the run is over when it has no children
//! left. Its standard input is a socket to the worker; when that closes, the worker is gone or has no more
//! use for it, and it ends what it has and leaves; so it does when anything goes wrong. As long as children end by themselves it needs no timer and
//! no look at `/proc`.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

use super::frame::{self, Exit, Reply, Request, Spawn, Strings};
use super::spawn::{self, Command, OwnUsers};
use super::table::boot_ms;
use super::tree::{self, Children, MAX_SWEEP, SWEEP_PAUSE, Tree};
use crate::sandbox::{self, Policy};

/// How long a child lives before its worker hears that it runs, to write it down for a later life. Most short tasks end
/// before; until then what a child carries in its environment is enough to find it, and two messages become one.
pub const SHORT: Duration = Duration::from_millis(20);
/// How long what a child left behind has to end by itself.
const REMAINS_GRACE: Duration = Duration::from_millis(500);
/// How often a child is tried to be made while there are too many processes, and how long is waited in between.
const MAX_TRIES: u32 = 100;
const TRY_PAUSE: Duration = Duration::from_millis(50);
/// How much sooner than anything else the kernel ends a child when memory runs out, of 1,000.
const OOM_SCORE: i32 = 500;

/// The argument that gives a keeper, and so all that it makes, a network of its own.
pub const OWN_NETWORK: &str = "own-network";
/// The argument that makes it end at once, with 0 where it could have one.
pub const TRY_NETWORK: &str = "try-network";

/// Is the keeper, with the arguments that it was started with.
///
/// # Errors
///
/// As [`main`].
pub fn with_arguments<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> io::Result<()> {
    match arguments.first().and_then(|argument| argument.as_ref().to_str()) {
        Some(TRY_NETWORK) => spawn::enter_own_network().map(drop),
        Some(OWN_NETWORK) => {
            let stdin = io::stdin();
            match own_network() {
                Ok((listeners, own_users)) => {
                    frame::send_network(stdin.as_fd(), Some(listeners.each_ref().map(AsFd::as_fd)))?;
                    drop(listeners);
                    keep(own_users)
                }
                Err(error) => {
                    eprintln!("conductor-agent: no network of its own for runs: {error}");
                    frame::send_network(stdin.as_fd(), None)
                }
            }
        }
        Some(_) | None => main(),
    }
}

/// Enters a network of its own and listens in there. Who takes the listeners answers from outside.
fn own_network() -> io::Result<([TcpListener; frame::LISTENERS], OwnUsers)> {
    let own_users = spawn::enter_own_network()?;
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    Ok(([listen()?, listen()?, listen()?], own_users))
}

/// Is the keeper, until the worker closes the socket that is this process's standard input.
///
/// A program calls this first of all, before it makes a thread.
///
/// # Errors
///
/// Fails when the process cannot become a subreaper or the socket breaks.
pub fn main() -> io::Result<()> {
    keep(OwnUsers(false))
}

fn keep(own_users: OwnUsers) -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    spawn::seal_descriptors()?;
    let children = spawn::signal_fd(&[Signal::CHILD])?;
    let stdin = io::stdin();
    let served = Keeper { socket: stdin.as_fd(), children, oom: OomScore::open(), own_users }.serve();
    // After an error there may be a run; usually there is nothing.
    tree::end_own()?;
    served
}

struct Keeper<'a> {
    socket: BorrowedFd<'a>,
    children: OwnedFd,
    oom: Option<OomScore>,
    own_users: OwnUsers,
}

/// A run that is not over.
struct Run {
    /// The first child until its end; afterwards its pid may be anyone's.
    child: Option<Pid>,
    /// What is to be told of it once it has lived for a while.
    untold: Option<(Instant, Reply)>,
    phase: Phase,
    /// Whether nobody is left to hear about it.
    orphaned: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    Running,
    /// TERM was sent; KILL follows then.
    Ending(Instant),
    /// KILL was sent, and is again, until then.
    Killing(Instant),
}

/// What a wait ended with.
struct Ready {
    request: bool,
    children: bool,
}

impl Keeper<'_> {
    fn serve(&self) -> io::Result<()> {
        while let Some(request) = frame::receive(self.socket)? {
            match request {
                Request::Spawn(spawn) => match self.start(&spawn) {
                    Ok(run) => {
                        drop(spawn);
                        self.run(run)?;
                    }
                    Err(refusal) => self.reply(refusal),
                },
                // The run that was meant ended while the request was on its way.
                Request::End { .. } => {}
            }
        }
        Ok(())
    }

    /// Waits for the run to end, or ends it, until nothing is left of it.
    fn run(&self, mut run: Run) -> io::Result<()> {
        loop {
            let ready = self.wait(&run)?;
            if ready.children && self.reap(&mut run)? == Children::None {
                return Ok(());
            }
            if ready.request {
                match frame::receive(self.socket)? {
                    Some(Request::End { grace_ms }) => run.end(Duration::from_millis(grace_ms.into()))?,
                    None => {
                        run.orphaned = true;
                        run.kill()?;
                    }
                    Some(Request::Spawn(_)) => return Err(io::ErrorKind::InvalidData.into()),
                }
            }
            if let Some((_, started)) = run.untold.take_if(|(since, _)| since.elapsed() >= SHORT) {
                self.reply(started);
            }
            match run.phase {
                Phase::Ending(deadline) if Instant::now() >= deadline => run.kill()?,
                Phase::Killing(deadline) if Instant::now() >= deadline => {
                    let left = Tree::own().members()?.len();
                    self.reply(Reply::Gone { left: u32::try_from(left).unwrap_or(u32::MAX) });
                    return Ok(());
                }
                Phase::Killing(_) => run.sweep()?,
                Phase::Running | Phase::Ending(_) => {}
            }
        }
    }

    fn wait(&self, run: &Run) -> io::Result<Ready> {
        let mut fds = [PollFd::new(&self.children, PollFlags::IN), PollFd::new(&self.socket, PollFlags::IN)];
        // A closed socket would be ready for ever.
        let watched = if run.orphaned { &mut fds[..1] } else { &mut fds[..] };
        let timeout = run.timeout().map(|timeout| Timespec::try_from(timeout).expect("timeouts are short"));
        rustix::io::retry_on_intr(|| rustix::event::poll(watched, timeout.as_ref()))?;
        Ok(Ready { children: !fds[0].revents().is_empty(), request: !fds[1].revents().is_empty() })
    }

    /// Takes what has ended and says so; the first child's end starts the end of all that it left.
    fn reap(&self, run: &mut Run) -> io::Result<Children> {
        let mut pending = [0; 128];
        // One read clears the signal, however many children it stands for; those are counted by reaping.
        let _ = rustix::io::read(&self.children, &mut pending);
        let mut exit = None;
        let left = tree::reap(|pid, status| {
            if run.child == Some(pid) {
                run.child = None;
                run.untold = None;
                exit = Some(Exit::from(status));
            }
        });
        match (exit, left) {
            (Some(exit), Children::None) => self.reply(Reply::ExitedAndGone(exit)),
            (None, Children::None) => self.reply(Reply::Gone { left: 0 }),
            (Some(exit), Children::Some) => {
                self.reply(Reply::Exited(exit));
                // A run that is being ended keeps the grace that it was given.
                if matches!(run.phase, Phase::Running) {
                    run.end(REMAINS_GRACE)?;
                }
            }
            (None, Children::Some) => {}
        }
        Ok(left)
    }

    fn reply(&self, reply: Reply) {
        // A worker that is gone shows as the end of the socket at the next wait.
        let _ = frame::send_reply(self.socket, reply);
    }
}

impl Keeper<'_> {
    /// Makes the child; fails with what is to be replied.
    fn start(&self, spawn: &Spawn) -> Result<Run, Reply> {
        let invalid = Reply::Refused { errno: rustix::io::Errno::INVAL.raw_os_error() };
        let Strings { confines, program, argv, env } = spawn.strings().ok_or(invalid)?;
        let [cwd, input, output, error] = &spawn.descriptors;
        let stdio = [input.as_fd(), output.as_fd(), error.as_fd()];
        let command = Command { program, argv: &argv, env: &env, cwd: Some(cwd.as_fd()), stdio };
        let from_ms = boot_ms();
        let _first_to_go = self.oom.as_ref().map(OomScore::raise);
        let pid = match confines.as_slice() {
            [] => spawn::spawn(&command).map_err(refused)?,
            confines => make_confined(confines, &command, self.own_users)?,
        };
        let started = Reply::Started { pid: pid.as_raw_nonzero().get(), from_ms, to_ms: boot_ms() };
        let untold = Some((Instant::now(), started));
        Ok(Run { child: Some(pid), untold, phase: Phase::Running, orphaned: false })
    }
}

fn refused(errno: rustix::io::Errno) -> Reply {
    Reply::Refused { errno: errno.raw_os_error() }
}

/// Makes a child in a thread that is confined and ends with it; this one stays as it is. Where another run has just used up the
/// processes of this user it waits a little: such a run is being ended.
fn make_confined(
    confines: &[&CStr],
    command: &Command<'_>,
    OwnUsers(own_users): OwnUsers,
) -> Result<Pid, Reply> {
    let policy = Policy::from_lines(confines).map_err(|_| unconfined(&"its policy cannot be read"))?;
    sandbox::limit_files(policy.max_file_bytes);
    sandbox::limit_processes(policy.max_processes, own_users);
    let mut tries = 1;
    loop {
        match make_in_thread(&policy, command) {
            Err(Unmade::ForNow) if tries < MAX_TRIES => tries += 1,
            Err(Unmade::ForNow) => return Err(refused(rustix::io::Errno::AGAIN)),
            Err(Unmade::Because(reply)) => return Err(reply),
            Ok(pid) => return Ok(pid),
        }
        std::thread::sleep(TRY_PAUSE);
    }
}

/// Why there is no child.
enum Unmade {
    /// There are too many processes.
    ForNow,
    Because(Reply),
}

fn make_in_thread(policy: &Policy, command: &Command<'_>) -> Result<Pid, Unmade> {
    std::thread::scope(|scope| {
        let making = std::thread::Builder::new().name("confined".into()).spawn_scoped(scope, || {
            sandbox::confine(policy).map_err(|error| Unmade::Because(unconfined(&error)))?;
            spawn::spawn(command).map_err(|errno| match errno {
                rustix::io::Errno::AGAIN => Unmade::ForNow,
                errno => Unmade::Because(refused(errno)),
            })
        });
        match making {
            Ok(making) => {
                making.join().unwrap_or_else(|_| Err(Unmade::Because(unconfined(&"its thread panicked"))))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Unmade::ForNow),
            Err(error) => Err(Unmade::Because(unconfined(&error))),
        }
    })
}

fn unconfined(why: &dyn std::fmt::Display) -> Reply {
    eprintln!("conductor-agent: a run cannot be confined: {why}");
    Reply::Unconfined
}

/// The place where a process says how soon the kernel ends it when memory runs out. A child is born with what its keeper
/// says at that moment.
struct OomScore {
    file: File,
    own: i32,
}

/// Says the keeper's own score again when it goes.
struct Raised<'a>(&'a OomScore);

impl OomScore {
    /// None where the kernel does not say, or children are as likely to be ended in any case.
    fn open() -> Option<Self> {
        const PATH: &str = "/proc/self/oom_score_adj";
        let own = std::fs::read_to_string(PATH).ok()?.trim().parse().ok()?;
        let file = File::options().write(true).open(PATH).ok()?;
        (own < OOM_SCORE).then_some(Self { file, own })
    }

    fn raise(&self) -> Raised<'_> {
        self.say(OOM_SCORE);
        Raised(self)
    }

    fn say(&self, score: i32) {
        // Where it may not be said, the kernel chooses as it would without.
        let _ = self.file.write_all_at(score.to_string().as_bytes(), 0);
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.say(self.0.own);
    }
}

impl Run {
    fn timeout(&self) -> Option<Duration> {
        let untold = self.untold.map(|(since, _)| SHORT.saturating_sub(since.elapsed()));
        let phase = match self.phase {
            Phase::Running => None,
            Phase::Ending(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Phase::Killing(_) => Some(SWEEP_PAUSE),
        };
        untold.into_iter().chain(phase).min()
    }

    /// Asks the tree to end within the grace; a second time can only shorten it.
    fn end(&mut self, grace: Duration) -> io::Result<()> {
        let deadline = Instant::now() + grace;
        match self.phase {
            Phase::Running if grace.is_zero() => return self.kill(),
            Phase::Running => {
                Tree::own().terminate()?;
                self.phase = Phase::Ending(deadline);
            }
            Phase::Ending(earlier) => self.phase = Phase::Ending(earlier.min(deadline)),
            Phase::Killing(_) => {}
        }
        Ok(())
    }

    fn kill(&mut self) -> io::Result<()> {
        if !matches!(self.phase, Phase::Killing(_)) {
            self.phase = Phase::Killing(Instant::now() + MAX_SWEEP);
            self.sweep()?;
        }
        Ok(())
    }

    fn sweep(&self) -> io::Result<()> {
        Tree::own().kill().map(|_| ())
    }
}

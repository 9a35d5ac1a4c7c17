//! A spare checkout beside each mirror: made while a run is at work, taken by the next one.
//!
//! What takes long when a large repository is checked out is the making of its files. So that is done beforehand, by a
//! thread of its own: a run takes the spare by renaming it, and git then changes only what the wanted commit has otherwise.
//! There is one at most for each mirror, it is gone once it is taken, and without one a run waits for its files as ever.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::FlockOperation;

use super::mirror::{self, bytes_below};
use super::program::{Error, Git, Step};
use super::{Settings, objects};
use crate::process::{Keeper, KeeperStarter, boot_ms, leftover};
use crate::runner::{Control, End, Inbox, wait};
use crate::sandbox::Sandbox;

/// The most spares that wait to be made; more are not made.
const MAX_ORDERS: usize = 16;
/// The largest checkout that is kept in spare.
const MAX_BYTES: u64 = 2 << 30;
/// The longest wait for one that is being made, and the pause between two looks at it.
const MAX_WAIT_MS: u64 = 5_000;
const PAUSE: Duration = Duration::from_millis(3);
/// What lies in the folder of a mirror.
const SPARE: &str = "spare";
const UNFINISHED: &str = "spare.new";
const LOCK: &str = "spare.lock";
const AWAITED: &str = "spare.awaited";
const TOO_LARGE: &str = "spare.too-large";
/// What lies in a spare.
const WORK: &str = "work";
const INDEX: &str = "index";
const BYTES: &str = "bytes";

/// Which spare is wanted.
#[derive(Debug)]
pub(crate) struct Order {
    /// The folder of the mirror.
    pub mirror: PathBuf,
    pub commit: String,
}

/// Where slots order spares.
#[derive(Debug, Clone)]
pub(crate) struct Spares {
    orders: SyncSender<Order>,
}

impl Spares {
    /// Asks for a spare; nobody waits for it, and it is not made where too many are asked for.
    pub fn order(&self, order: Order) {
        let _ = self.orders.try_send(order);
    }
}

/// The thread that makes spares.
#[derive(Debug)]
pub(crate) struct Maker {
    control: Control,
    thread: JoinHandle<()>,
}

impl Maker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread or no descriptor left.
    pub fn start(
        settings: Arc<Settings>,
        agent_id: String,
        path: std::ffi::OsString,
        starter: KeeperStarter,
        sandbox: Sandbox,
    ) -> std::io::Result<(Self, Spares)> {
        let (control, inbox) = Control::pair()?;
        let (orders, receiver) = sync_channel(MAX_ORDERS);
        let bench = Bench { settings, agent_id, path, starter, sandbox, inbox, keeper: None };
        let thread = std::thread::Builder::new().name("git-spares".into()).spawn(move || {
            bench.serve(&receiver);
        })?;
        Ok((Self { control, thread }, Spares { orders }))
    }

    /// Ends it; nobody may order any more.
    pub fn close(self) {
        self.control.end(End::Stop);
        // A panic was reported by the panic hook.
        let _ = self.thread.join();
    }
}

/// What spares are made with.
struct Bench {
    settings: Arc<Settings>,
    agent_id: String,
    path: std::ffi::OsString,
    starter: KeeperStarter,
    sandbox: Sandbox,
    inbox: Inbox,
    keeper: Option<Keeper>,
}

impl Bench {
    fn serve(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            if self.inbox.ends().is_some() {
                break;
            }
            if let Err(error) = self.make(&order) {
                tracing::debug!(mirror = %order.mirror.display(), %error, "no spare checkout was made");
                if let Some(keeper) = self.keeper.take() {
                    keeper.retire();
                }
            }
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.retire();
        }
    }

    fn make(&mut self, order: &Order) -> Result<(), Error> {
        let folder = &order.mirror;
        let spare = folder.join(SPARE);
        if spare.exists() || folder.join(TOO_LARGE).exists() {
            return Ok(());
        }
        let Some(_held) = hold(folder) else { return Ok(()) };
        let new = folder.join(UNFINISHED);
        clear(&new)?;
        let made = self.fill(&folder.join("repo.git"), &new, &order.commit);
        match made {
            Ok(()) => fs::rename(&new, &spare).map_err(Error::disk("keep a spare checkout")),
            Err(error) => {
                if matches!(error, Error::TooLarge { .. }) {
                    let _ = fs::write(folder.join(TOO_LARGE), "");
                }
                clear(&new)?;
                Err(error)
            }
        }
    }

    fn fill(&mut self, repository: &Path, new: &Path, commit: &str) -> Result<(), Error> {
        let (work, own) = (new.join(WORK), new.join("own.git"));
        mirror::make(&work)?;
        objects::make_repository(&own, Some(repository))?;
        if self.keeper.is_none() {
            let keeper = self.starter.start().map_err(|error| Error::NoGit { why: error.to_string() })?;
            self.keeper = Some(keeper);
        }
        let null = File::open("/dev/null").map_err(Error::disk("open /dev/null"))?;
        let git = Git {
            keeper: self.keeper.as_ref().expect("it was made above"),
            sandbox: &self.sandbox,
            null: &null,
            inbox: &self.inbox,
            settings: &self.settings,
            marks: vec![(leftover::AGENT_VARIABLE, self.agent_id.clone().into())],
            path: self.path.clone(),
        };
        let mut step = Step::new(&own, &["read-tree", "--reset", "-u", commit]);
        step.work_tree = Some(&work);
        step.bound = Some((&work, MAX_BYTES));
        git.run(&step)?;
        let disk = || Error::disk("describe a spare checkout");
        fs::rename(own.join(INDEX), new.join(INDEX)).map_err(disk())?;
        fs::write(new.join(BYTES), bytes_below(new).to_string()).map_err(disk())?;
        clear(&own)
    }
}

/// Puts the spare of a mirror where an empty work folder is, and its index where git looks for one; says whether there
/// was one. It lies at `aside` meanwhile. One that is just being made is waited for, by one run.
pub(super) fn take(
    git: &Git<'_>,
    mirror: &Path,
    aside: &Path,
    work: &Path,
    index: &Path,
) -> Result<bool, Error> {
    let taken = || fs::rename(mirror.join(SPARE), aside).is_ok();
    let found = taken() || (is_made_soon(git, mirror) && taken());
    if !found {
        return Ok(false);
    }
    // The index comes last: without it nothing of the spare would be known.
    let taken = fs::rename(aside.join(WORK), work).and_then(|()| fs::rename(aside.join(INDEX), index));
    clear(aside)?;
    match taken {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::CrossesDevices | ErrorKind::DirectoryNotEmpty) => {
            Ok(false)
        }
        Err(error) => Err(Error::disk("take a spare checkout")(error)),
    }
}

/// Waits for a spare that is being made: that is no slower than to make the same files beside it.
fn is_made_soon(git: &Git<'_>, mirror: &Path) -> bool {
    let Some(_only_one) = try_lock(&mirror.join(AWAITED)) else { return false };
    let until = boot_ms() + MAX_WAIT_MS;
    while boot_ms() < until && git.inbox.ends().is_none() {
        if let Some(_held) = hold(mirror) {
            return mirror.join(SPARE).exists();
        }
        wait(&mut [PollFd::new(git.inbox, PollFlags::IN)], PAUSE);
    }
    false
}

/// How many bytes the spare of a mirror has; as it was told when it was made, because counting takes long.
pub(super) fn bytes(mirror: &Path) -> u64 {
    let told = fs::read_to_string(mirror.join(SPARE).join(BYTES));
    told.ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The right to make the spare of a mirror, or to remove it; none while somebody else has it.
pub(super) fn hold(mirror: &Path) -> Option<File> {
    try_lock(&mirror.join(LOCK))
}

fn try_lock(path: &Path) -> Option<File> {
    let lock = File::options().write(true).create(true).truncate(false).open(path).ok()?;
    rustix::fs::flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(lock)
}

fn clear(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::disk(format!("clear {}", folder.display()))(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

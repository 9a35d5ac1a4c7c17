//! A world of its own for a test: a home in a temporary folder, and the separate programs started in it.
//!
//! Everything that is started carries a mark in its environment, and so do the commands of tasks that are made here. By it a
//! test counts what is left, and by it the end of the world ends all of it, also when the test fails.

mod ledger;
mod process;
mod programs;
mod wait;
mod workload;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use conductor_client::{Control, Link, Options, Patience, Target, WhenFull};
use conductor_runtime::paths::Home;

pub use conductor_client::{TaskTold, Told};
pub use ledger::Ledger;
pub use process::{Found, Spawned, children, is_alive, marked};
pub use wait::{eventually, within};
pub use workload::{Expect, Planned, Workload, answer_questions, body, submit_one};

/// The variable that marks what belongs to a world.
pub const MARK: &str = "TESTKIT_WORLD";
/// How long a program may take to be ready.
pub const READY: Duration = Duration::from_secs(30);
/// How much of what the programs said is shown when a test fails.
const SHOWN_BYTES: usize = 6_000;

static WORLDS: AtomicU32 = AtomicU32::new(0);

/// A home, the programs in it, and what they are told.
#[derive(Debug)]
pub struct World {
    folder: tempfile::TempDir,
    home: Home,
    mark: String,
    settings: Vec<(String, String)>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Makes an empty world.
    ///
    /// # Panics
    /// When there is no room for its folder.
    #[must_use]
    pub fn new() -> Self {
        let folder =
            tempfile::Builder::new().prefix("world-").tempdir().expect("a temporary folder can be made");
        let home = Home::at(folder.path().join("home"));
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        std::fs::create_dir(folder.path().join("said")).expect("a folder can be made in a new one");
        Self { folder, home, mark, settings: Vec::new() }
    }

    /// The same, with a configuration key set for all its programs.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.set(key, value);
        self
    }

    /// Sets a configuration key for the programs that are started from now on.
    pub fn set(&mut self, key: &str, value: impl ToString) {
        let name = format!("CONDUCTOR__{}", key.to_ascii_uppercase().replace('.', "__"));
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_string()));
    }

    /// Sets a variable for the programs that are started from now on.
    pub fn set_variable(&mut self, name: &str, value: impl ToString) {
        self.settings.push((name.to_owned(), value.to_string()));
    }

    /// The home.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// A folder of the test's own beside the home.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What marks everything that belongs to this world.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// The processes that carry the mark.
    #[must_use]
    pub fn processes(&self) -> Vec<Found> {
        marked(MARK, &self.mark)
    }

    /// Conductor's own processes in it, the keepers of slots among them, whose environment is empty.
    #[must_use]
    pub fn programs(&self) -> Vec<Found> {
        let mut programs: Vec<Found> = self.processes().into_iter().filter(Found::is_program).collect();
        let below: Vec<Found> = programs.iter().flat_map(|program| children(program.pid)).collect();
        programs.extend(below.into_iter().filter(Found::is_program));
        programs.sort_by_key(|found| found.pid);
        programs.dedup();
        programs
    }

    /// The processes that tasks started.
    #[must_use]
    pub fn commands(&self) -> Vec<Found> {
        self.processes().into_iter().filter(|found| !found.is_program()).collect()
    }

    /// Starts `conductor up` and waits until it answers.
    ///
    /// # Panics
    /// When it ends, or does not answer in time.
    pub async fn up(&self) -> Spawned {
        let up = self.spawn("conductor", &["up".to_owned()]);
        self.answers(up).await
    }

    /// Starts the orchestrator and waits until it answers.
    ///
    /// # Panics
    /// When it ends, or does not answer in time.
    pub async fn orchestrator(&self) -> Spawned {
        let orchestrator = self.spawn("conductor-orchestrator", &[]);
        self.answers(orchestrator).await
    }

    async fn answers(&self, mut orchestrator: Spawned) -> Spawned {
        let target = Target::of_home(&self.home);
        let ready = eventually(READY, "the orchestrator answers", async || {
            if let Some(status) = orchestrator.ended() {
                panic!("the orchestrator ended with {status}:\n{}", orchestrator.said());
            }
            target.connect(Options::new("testkit")).await.ok()
        });
        let pid = ready.await.welcome().pid;
        assert_eq!(pid, orchestrator.pid(), "another orchestrator answers");
        orchestrator
    }

    /// Starts an orchestrator that is expected to refuse; answers its exit code and what it said.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn refused_orchestrator(&self) -> (i32, String) {
        let mut orchestrator = self.spawn("conductor-orchestrator", &[]);
        let status = eventually(READY, "the orchestrator refuses", async || orchestrator.ended()).await;
        (status.code().unwrap_or(-1), orchestrator.said())
    }

    /// Starts an agent: a monitor, which starts a worker.
    pub fn agent(&self, name: &str) -> Spawned {
        self.spawn("conductor-agent", &[format!("--name={name}")])
    }

    /// Starts one of the programs in this world.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(&self, program: &str, args: &[String]) -> Spawned {
        let args: Vec<OsString> = args.iter().map(Into::into).collect();
        Spawned::start(&programs::path(program), &args, &self.environment(), &self.said())
    }

    /// Where a program under test is.
    #[must_use]
    pub fn program(&self, program: &str) -> PathBuf {
        programs::path(program)
    }

    /// What the last started of these programs has said so far.
    #[must_use]
    pub fn said_by(&self, program: &str) -> Option<String> {
        let ending = format!("-{program}.log");
        let names = std::fs::read_dir(self.said()).ok()?.flatten().map(|entry| entry.path());
        let last = names.filter(|path| path.to_str().is_some_and(|path| path.ends_with(&ending))).max()?;
        std::fs::read_to_string(last).ok()
    }

    /// A connection to the orchestrator.
    ///
    /// # Panics
    /// When there is none.
    pub async fn connect(&self) -> Control {
        Target::of_home(&self.home).connect(Options::new("testkit")).await.expect("the orchestrator answers")
    }

    /// A connection for one stream, which is read in its own time.
    ///
    /// # Panics
    /// When there is none.
    pub async fn reader(&self) -> Control {
        let options = Options::new("testkit").when_full(WhenFull::Wait);
        Target::of_home(&self.home).connect(options).await.expect("the orchestrator answers")
    }

    /// A connection that comes back when the orchestrator does.
    #[must_use]
    pub fn link(&self) -> Link {
        Link::new(Target::of_home(&self.home), Options::new("testkit"), Patience::For(READY))
    }

    /// The variables that programs of this world get beside the test's own.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let home = self.home.root.as_ref().expect("the home of a world has a root").display().to_string();
        let own = [("CONDUCTOR_HOME".to_owned(), home), (MARK.to_owned(), self.mark.clone())];
        let ports = ["API", "DASHBOARD"]
            .map(|program| (format!("CONDUCTOR__{program}__LISTEN"), "127.0.0.1:0".to_owned()))
            .into_iter()
            .filter(|(name, _)| self.settings.iter().all(|(known, _)| known != name));
        own.into_iter().chain(ports).chain(self.settings.iter().cloned()).collect()
    }

    fn said(&self) -> PathBuf {
        self.folder.path().join("said")
    }

    /// Ends everything that carries the mark.
    fn end(&self) {
        // What is made while the list is read carries the mark as well, hence again until none is left.
        for _ in 0..200 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.iter().for_each(Found::kill);
            std::thread::sleep(Duration::from_millis(5));
        }
        eprintln!("processes of the world are left: {:?}", self.processes());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            process::show(&self.said(), SHOWN_BYTES);
        }
    }
}

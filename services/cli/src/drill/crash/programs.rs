//! The programs of a drill: this program under their names, in a home of its own.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use conductor_client::{Link, Target};
use conductor_runtime::paths::Home;
use rustix::process::{Pid, Signal, kill_process};

use super::processes;

/// What is asked of them beside the defaults. That a worker is killed is no fault of what it ran.
const SETTINGS: [(&str, &str); 2] =
    [("CONDUCTOR__AGENT__SLOTS", "4"), ("CONDUCTOR__TASKS__CRASH_LIMIT", "100")];
/// Where what they say goes, and how much of it is told when one of them does not start.
const SAID: &str = "said.log";
const SAID_LINES: usize = 5;
/// How long a program may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Orchestrator,
    /// An agent's monitor; its worker and what that runs are ended by that.
    Agent,
    /// The worker below a monitor.
    Worker,
    Everything,
}

impl Victim {
    pub fn of(number: u64) -> Self {
        match number % 4 {
            0 => Self::Orchestrator,
            1 => Self::Agent,
            2 => Self::Worker,
            _ => Self::Everything,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Orchestrator => "orchestrator",
            Self::Agent => "agent",
            Self::Worker => "worker",
            Self::Everything => "everything",
        }
    }
}

/// A number that nobody foresees.
pub fn at_random() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0 >> 16
}

/// An orchestrator and two agents.
#[derive(Debug)]
pub struct Programs {
    folder: PathBuf,
    orchestrator: Child,
    agents: [Child; 2],
}

const AGENTS: [&str; 2] = ["one", "two"];

impl Programs {
    pub fn start(folder: &Path) -> io::Result<Self> {
        let orchestrator = orchestrator(folder)?;
        let agents = [agent(folder, AGENTS[0])?, agent(folder, AGENTS[1])?];
        Ok(Self { folder: folder.to_owned(), orchestrator, agents })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A way to their orchestrator that outlasts its deaths.
    pub fn link(&self) -> Link {
        super::link(Target::of_home(&Home::at(&self.folder)))
    }

    /// What they said, when one of them ended that was not killed.
    pub fn fault(&mut self) -> Option<String> {
        let mut all = self.agents.iter_mut().chain([&mut self.orchestrator]);
        all.any(|child| matches!(child.try_wait(), Ok(Some(_)))).then(|| {
            let said = std::fs::read_to_string(self.folder.join(SAID)).unwrap_or_default();
            let lines: Vec<_> = said.lines().rev().take(SAID_LINES).collect();
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        })
    }

    /// Kills, and starts again what nothing else does.
    pub fn kill(&mut self, victim: Victim) -> io::Result<()> {
        match victim {
            Victim::Orchestrator => self.kill_orchestrator(),
            Victim::Agent => self.kill_agent(0),
            Victim::Worker => {
                for pid in processes::children(self.agents[1].id()) {
                    kill(pid, Signal::KILL);
                }
                Ok(())
            }
            Victim::Everything => {
                for pid in processes::below(&self.folder) {
                    kill(pid, Signal::KILL);
                }
                self.kill_orchestrator()?;
                self.kill_agent(0)?;
                self.kill_agent(1)
            }
        }
    }

    fn kill_orchestrator(&mut self) -> io::Result<()> {
        self.orchestrator.kill()?;
        self.orchestrator.wait()?;
        self.orchestrator = orchestrator(&self.folder)?;
        Ok(())
    }

    fn kill_agent(&mut self, index: usize) -> io::Result<()> {
        self.agents[index].kill()?;
        self.agents[index].wait()?;
        self.agents[index] = agent(&self.folder, AGENTS[index])?;
        Ok(())
    }

    /// Ends them in order, and whoever does not end in time at once.
    pub fn end(&mut self) {
        for child in self.agents.iter_mut().chain([&mut self.orchestrator]) {
            // The number of one that has ended may be another's by now.
            if !matches!(child.try_wait(), Ok(None)) {
                continue;
            }
            kill(child.id(), Signal::TERM);
            let until = Instant::now() + GRACE;
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
                std::thread::sleep(LOOK);
            }
            // It is gone, or it had its time.
            let _gone = child.kill().and_then(|()| child.wait());
        }
    }
}

fn orchestrator(folder: &Path) -> io::Result<Child> {
    start(folder, "conductor-orchestrator", &[])
}

fn agent(folder: &Path, name: &str) -> io::Result<Child> {
    start(folder, "conductor-agent", &["--name", name])
}

fn start(folder: &Path, program: &str, args: &[&str]) -> io::Result<Child> {
    let said = File::options().create(true).append(true).open(folder.join(SAID))?;
    let mut command = Command::new(std::env::current_exe()?);
    // Whatever this process ends of, they end with it.
    command.arg0(program).arg("--parent-pipe").args(args);
    for (name, _) in std::env::vars_os() {
        // What is said of the deployment beside it is not meant for them.
        if name.to_string_lossy().starts_with("CONDUCTOR") {
            command.env_remove(name);
        }
    }
    command.env("CONDUCTOR_HOME", folder).envs(SETTINGS);
    command.stdin(Stdio::piped()).stdout(said.try_clone()?).stderr(said).process_group(0);
    command.spawn()
}

fn kill(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // It may have ended just now.
    let _gone = pid.map(|pid| kill_process(pid, signal));
}

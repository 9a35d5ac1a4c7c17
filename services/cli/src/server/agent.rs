//! Agents as child processes of this one. They end with it: each holds the end of a pipe.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use conductor_agent::Args;
use conductor_runtime::config::Loaded;
use conductor_runtime::lifecycle::Shutdown;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::watch;

/// The variable that sets `agent.api_url`.
const API_URL: &str = "CONDUCTOR__AGENT__API_URL";
/// The first pause before an agent that died is started again; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before an agent that died is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long an agent has lived that is no part of a row of deaths.
const LIVED: Duration = Duration::from_secs(30);
/// The exit code of an agent that cannot work, and would not when it is started again.
const UNFIT: i32 = 1;

/// Is one of the agent's own processes when the first word asks for one.
pub fn agent_process(words: &[OsString]) -> Option<ExitCode> {
    conductor_agent::dispatch(words)
}

/// `agent`: this process becomes an agent.
pub fn agent(args: &Args) -> ExitCode {
    conductor_agent::run_agent(args)
}

/// Agents of this process.
#[derive(Debug)]
pub struct Agents {
    shutdown: Shutdown,
    tally: watch::Sender<Tally>,
    console_level: &'static str,
    /// What the first is called; the others have a number behind it.
    name: String,
    /// Where their tasks find the API, when this process serves it.
    api_url: Option<String>,
}

/// What became of the agents.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    /// Those that there are to be, and were not given up.
    kept: usize,
    /// Those that were given up.
    given_up: usize,
    /// Those among them that could not work from the start.
    unfit: usize,
}

/// Why an agent is not kept running any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It could not work from the start.
    Unfit,
    /// It was told to end, was not wanted, or could not go on.
    Over,
}

/// An agent that runs.
struct Running {
    child: Child,
    handle: OwnedFd,
    /// Closed, it ends the agent.
    _pipe: Option<ChildStdin>,
}

impl Agents {
    /// Makes a place for agents that tell the console what `console_level` lets through.
    pub fn none(console_level: &'static str, loaded: &Loaded) -> Self {
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = loaded.config.agent.name.clone().unwrap_or_else(host);
        Self {
            shutdown: Shutdown::new(),
            tally: watch::Sender::default(),
            console_level,
            name,
            api_url: None,
        }
    }

    /// Tells agents that are started where their tasks find the API, unless the configuration says so.
    pub fn serve(&mut self, api_url: &str, loaded: &Loaded) {
        let is_set = loaded.config.agent.api_url.is_some();
        self.api_url = (!is_set).then(|| api_url.to_owned());
    }

    /// Starts agents until there are so many.
    ///
    /// # Errors
    /// When the program's own file cannot be found or run.
    pub fn start(&mut self, count: usize) -> io::Result<()> {
        let program = std::env::current_exe()?;
        let have = self.tally.borrow().kept;
        for index in have..count {
            let args = Args {
                name: (index > 0).then(|| format!("{}-{}", self.name, index + 1)),
                console_level: Some(self.console_level.to_owned()),
                parent_pipe: true,
                ..Args::default()
            };
            let mut command = vec![program.clone().into_os_string(), conductor_agent::MONITOR.into()];
            command.extend(args.to_vec());
            let api_url = self.api_url.clone();
            let first = spawn(&command, api_url.as_deref())?;
            self.tally.send_modify(|tally| tally.kept += 1);
            let (shutdown, tally) = (self.shutdown.clone(), self.tally.clone());
            self.shutdown.spawn("agent", async move {
                let end = keep(first, (&command, api_url.as_deref()), &shutdown).await;
                tally.send_modify(|tally| {
                    tally.kept -= 1;
                    tally.given_up += 1;
                    tally.unfit += usize::from(end == End::Unfit);
                });
            });
        }
        Ok(())
    }

    /// Waits until every agent was given up.
    pub fn gone(&self) -> impl Future<Output = ()> + use<> {
        let mut tally = self.tally.subscribe();
        // The sender lives as long as an agent is kept running.
        async move { drop(tally.wait_for(|tally| tally.kept == 0).await) }
    }

    /// Waits until every agent was given up because it could not work from the start.
    pub fn unfit(&self) -> impl Future<Output = ()> + use<> {
        let mut tally = self.tally.subscribe();
        async move {
            let all = |tally: &Tally| tally.kept == 0 && tally.unfit > 0 && tally.unfit == tally.given_up;
            if tally.wait_for(all).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Lets them end what they run and end; after `deadline` or a kill, at once.
    pub async fn end(&self, deadline: Duration) {
        self.shutdown.finish(deadline).await;
    }

    /// Ends them at once.
    pub fn kill(&self) {
        self.shutdown.kill();
    }
}

fn spawn(command: &[OsString], api_url: Option<&str>) -> io::Result<Running> {
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .envs(api_url.map(|url| (API_URL, url)))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // A Ctrl-C at the terminal is for this process, which ends its agents in order.
        .process_group(0)
        .spawn()?;
    let pid = Pid::from_child(&child);
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let pipe = child.stdin.take();
    Ok(Running { child, handle, _pipe: pipe })
}

/// Keeps an agent running until the end, or until it says that it cannot work.
async fn keep(first: Running, (command, api_url): (&[OsString], Option<&str>), shutdown: &Shutdown) -> End {
    let mut is_first = true;
    let mut next = Some(first);
    let mut pause = FIRST_PAUSE;
    loop {
        let running = match next.take().map_or_else(|| spawn(command, api_url), Ok) {
            Ok(running) => running,
            Err(error) => {
                tracing::error!(%error, "cannot start an agent");
                return End::Over;
            }
        };
        let born = Instant::now();
        let Running { mut child, handle, _pipe } = running;
        let mut ended = tokio::task::spawn_blocking(move || child.wait());
        tokio::select! {
            status = &mut ended => {
                let Some(status) = status.ok().and_then(Result::ok) else { return End::Over };
                if !may_begin_again(status) {
                    let never_worked = is_first && born.elapsed() < LIVED && status.code() == Some(UNFIT);
                    return if never_worked { End::Unfit } else { End::Over };
                }
                is_first = false;
                if born.elapsed() > LIVED {
                    pause = FIRST_PAUSE;
                }
                tracing::warn!(%status, pause_ms = pause.as_millis(), "an agent died; it is started again");
            }
            () = shutdown.draining() => {
                // It may have ended by itself just now.
                let _ended = pidfd_send_signal(&handle, Signal::TERM);
                tokio::select! {
                    _ = &mut ended => return End::Over,
                    () = shutdown.killed() => {}
                }
                drop(_pipe);
                drop(ended.await);
                return End::Over;
            }
        }
        tokio::select! {
            () = shutdown.draining() => return End::Over,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether an agent died, rather than to say that it is done, unfit or unwanted.
fn may_begin_again(status: ExitStatus) -> bool {
    const FINAL: [i32; 3] = [0, UNFIT, 4];
    status.code().is_none_or(|code| !FINAL.contains(&code))
}

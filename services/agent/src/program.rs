//! The processes that this program can be: the monitor that people start, and below it the worker and the keepers, which
//! are the same file with a hidden first argument.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use anyhow::Context as _;
use conductor_runtime::lifecycle::{Lifecycle, ParentPipe};
use conductor_runtime::telemetry;

use crate::args::Args;
use crate::config;
use crate::process::monitor::{self, Backoff};
use crate::process::{KeeperProgram, keeper};
use crate::worker::{self, Exit};

/// Makes the program a monitor, when it is its first argument.
pub const MONITOR: &str = "__agent-monitor";
const WORKER: &str = "__agent-worker";
const KEEPER: &str = "__agent-keeper";

/// The worker ended as it was asked to.
const DONE: u8 = 0;
/// The worker cannot work, and would not when it is started again.
const UNFIT: u8 = 1;
/// The orchestrator does not want the agent.
const REVOKED: u8 = 4;
/// The worker was ended in a hurry.
const HURRIED: u8 = 130;
/// Something broke that another worker may survive.
const BROKEN: u8 = 70;

/// Is the monitor, the worker or a keeper when the arguments, the program's name first, say so; none when they are not the
/// agent's. A program that runs agents calls this before anything else, above all before it makes a thread.
pub fn dispatch(args: &[OsString]) -> Option<ExitCode> {
    let kind = args.get(1).and_then(|arg| arg.to_str())?;
    let rest = args.get(2..).unwrap_or_default();
    let end = match kind {
        MONITOR => Args::from_vec(rest).map_err(Into::into).and_then(|args| supervise(&args)),
        WORKER => Args::from_vec(rest).map_err(Into::into).and_then(|args| work(&args)),
        KEEPER => keeper::with_arguments(rest).context("be a keeper").map(|()| ExitCode::SUCCESS),
        _ => return None,
    };
    Some(told(end))
}

/// Is the program `conductor-agent`.
pub fn entry(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.into_iter().collect();
    dispatch(&args).unwrap_or_else(|| run(&Args::from_program(args)))
}

/// Runs an agent in this process, which becomes its monitor, until it ends. No thread may have been made before.
pub fn run(args: &Args) -> ExitCode {
    told(supervise(args))
}

/// How this program is started as a keeper.
///
/// # Errors
/// The system's, when this program's file cannot be found.
pub fn keeper_program() -> std::io::Result<KeeperProgram> {
    Ok(KeeperProgram { path: std::env::current_exe()?, args: vec![OsStr::new(KEEPER).to_owned()] })
}

fn told(end: anyhow::Result<ExitCode>) -> ExitCode {
    end.unwrap_or_else(|error| {
        eprintln!("conductor-agent: {error:#}");
        ExitCode::from(UNFIT)
    })
}

fn supervise(args: &Args) -> anyhow::Result<ExitCode> {
    // Faults in the arguments and the configuration are told once, here, and not by one worker after the other.
    config::settings(args, &config::load(args)?, Vec::new())?;
    let mut worker = vec![OsString::from(WORKER)];
    worker.extend(args.to_vec());
    let code = monitor::run(&monitor::Settings {
        program: std::env::current_exe().context("find this program's file")?,
        args: worker,
        parent_pipe: args.parent_pipe,
        final_codes: [DONE, UNFIT, REVOKED].map(i32::from).into(),
        backoff: Backoff::default(),
        notice: |notice| match notice {
            monitor::Notice::Started { .. } => {}
            monitor::Notice::Died { .. } | monitor::Notice::ParentGone => {
                eprintln!("conductor-agent: {notice}")
            }
        },
    })
    .context("watch over the worker")?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(BROKEN)))
}

/// A thread that panicked would leave a run that never ends, or an agent that hears nothing. The whole worker ends
/// instead: its keepers end its runs, which count as crashed, and the monitor starts another worker.
fn end_with_any_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        tracing::error!(%panic, "the worker panicked and ends");
        std::process::exit(BROKEN.into());
    }));
}

fn work(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = config::load(args)?;
    // What is there can be told from what lies around it, which tasks may read.
    loaded.home.create()?;
    let settings = config::settings(args, &loaded, vec![OsStr::new(KEEPER).to_owned()])?;
    end_with_any_panic();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (end, telemetry) = runtime.block_on(async {
        let options = telemetry::Options {
            console_level: args.console_level.as_deref(),
            ..telemetry::Options::new("conductor-agent", &loaded.config.telemetry, &loaded.home.logs)
        };
        let telemetry = telemetry::start(&options)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let monitor = ParentPipe::stdin().context("find the monitor; a worker is started by one")?;
        let lifecycle = Lifecycle::start(settings.drain)?;
        tracing::info!(agent = settings.name, slots = settings.slots, socket = %settings.target, "the agent starts");
        let end = worker::run(settings, &lifecycle.shutdown(), monitor.closed()).await;
        anyhow::Ok((end, telemetry))
    })?;
    runtime.shutdown_background();
    let code = match end {
        Ok(Exit::Drained) => DONE,
        Ok(Exit::Revoked) => REVOKED,
        Ok(Exit::Killed | Exit::MonitorGone) => HURRIED,
        Err(error) => {
            drop(telemetry);
            return Err(error.into());
        }
    };
    drop(telemetry);
    Ok(ExitCode::from(code))
}

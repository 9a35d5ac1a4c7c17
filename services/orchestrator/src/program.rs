//! The program `conductor-orchestrator`.

use std::path::PathBuf;

use clap::Parser;
use conductor_runtime::clock::Clock;
use conductor_runtime::config::{self, Sources};
use conductor_runtime::lifecycle::{Ended, Lifecycle};
use conductor_runtime::telemetry;

use crate::config::Config;

/// Runs the orchestrator: the queue, its event log, and the sockets for agents and clients.
#[derive(Debug, Parser)]
#[command(name = "conductor-orchestrator", version)]
pub struct Args {
    /// The configuration file instead of the one in the config folder.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Runs the program until a signal ends it.
///
/// # Errors
/// Says why it could not start, or why it had to stop.
pub fn run(args: impl IntoIterator<Item = std::ffi::OsString>) -> anyhow::Result<()> {
    let args = Args::parse_from(args);
    let mut sources = Sources::from_env();
    sources.file = args.config;
    let loaded = config::load(&sources)?;
    // The log and the history have threads of their own that want the other half.
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let options =
            telemetry::Options::new("conductor-orchestrator", &loaded.config.telemetry, &loaded.home.logs);
        let telemetry = telemetry::start(&options)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let lifecycle = Lifecycle::start(loaded.config.orchestrator.drain)?;
        let effective = loaded.shown_json();
        let mut config = Config::new(&loaded.config, loaded.home)?;
        config.effective = effective;
        config.loki_dropped = telemetry.loki_dropped();
        let control_socket = config.home.control_socket();
        let running = crate::start(config, Clock::System, &lifecycle.shutdown()).await?;
        tracing::info!(control_socket = %control_socket.display(), "the orchestrator is ready");
        let ended = lifecycle.finish().await;
        running.finish().await?;
        drop(telemetry);
        match ended {
            Ended::Drained => Ok(()),
            Ended::Killed { tasks } => anyhow::bail!("ended before {tasks:?} had"),
            Ended::Panicked { task } => anyhow::bail!("{task} panicked"),
        }
    })
}

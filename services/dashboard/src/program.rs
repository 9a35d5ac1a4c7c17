//! The program `conductor-dashboard`.

use std::path::PathBuf;

use clap::Parser;
use conductor_client::{Link, Options, Patience, Target};
use conductor_runtime::clock::Clock;
use conductor_runtime::config::{self, Sources};
use conductor_runtime::lifecycle::{Ended, Lifecycle};
use conductor_runtime::telemetry;

use crate::server::Config;

/// Runs the dashboard. It reaches the orchestrator by its control socket, and waits for it where it is not there.
#[derive(Debug, Parser)]
#[command(name = "conductor-dashboard", version)]
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let options =
            telemetry::Options::new("conductor-dashboard", &loaded.config.telemetry, &loaded.home.logs);
        let telemetry = telemetry::start(&options)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let lifecycle = Lifecycle::start(loaded.config.orchestrator.drain)?;
        let options = Options::new(concat!("conductor-dashboard/", env!("CARGO_PKG_VERSION")));
        let link = Link::new(Target::of_home(&loaded.home), options, Patience::None);
        let config = Config::new(&loaded.config);
        let dashboard = crate::start(config, Clock::System, &lifecycle.shutdown(), link).await?;
        tracing::info!(url = dashboard.url, "the dashboard is ready");
        let ended = lifecycle.finish().await;
        drop(telemetry);
        match ended {
            Ended::Drained => Ok(()),
            Ended::Killed { tasks } => anyhow::bail!("ended before {tasks:?} had"),
            Ended::Panicked { task } => anyhow::bail!("{task} panicked"),
        }
    })
}

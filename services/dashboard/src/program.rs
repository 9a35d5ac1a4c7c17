//! The program `conductor-dashboard`.

use std::path::PathBuf;

use clap::Parser;
use conductor_client::{Link, Options, Patience, Target};
use conductor_runtime::clock::Clock;
use conductor_runtime::program::{Beginning, Program};

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
    let program = Program { name: "conductor-dashboard", config_file: args.config, workers: None };
    let start = async |Beginning { loaded, shutdown, .. }: Beginning| {
        let options = Options::new(concat!("conductor-dashboard/", env!("CARGO_PKG_VERSION")));
        let link = Link::new(Target::of_home(&loaded.home), options, Patience::None);
        let started = crate::start(Config::new(&loaded.config), Clock::System, &shutdown, link).await?;
        tracing::info!(url = started.url, "the dashboard is ready");
        anyhow::Ok(())
    };
    program.run(start, async |()| Ok(()))
}

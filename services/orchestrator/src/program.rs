//! The program `conductor-orchestrator`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use conductor_runtime::clock::Clock;
use conductor_runtime::config::{self, AuthMode};
use conductor_runtime::lifecycle::{ParentPipe, Shutdown};
use conductor_runtime::program::{Beginning, Program};

use crate::Running;
use crate::config::Config;

/// Runs the orchestrator: the queue, its event log, and the sockets for agents and clients.
#[derive(Debug, Parser)]
#[command(name = "conductor-orchestrator", version)]
pub struct Args {
    /// The configuration file instead of the one in the config folder.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Ends the orchestrator when standard input ends.
    #[arg(long, hide = true)]
    parent_pipe: bool,
}

/// Runs the program until a signal ends it.
///
/// # Errors
/// Says why it could not start, or why it had to stop.
pub fn run(args: impl IntoIterator<Item = std::ffi::OsString>) -> anyhow::Result<()> {
    let args = Args::parse_from(args);
    // The log and the history have threads of their own that want the other half.
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let program =
        Program { name: "conductor-orchestrator", config_file: args.config, workers: Some(workers) };
    let begin = async |beginning: Beginning| {
        if args.parent_pipe {
            end_with_parent(&beginning.shutdown)?;
        }
        start(beginning).await
    };
    program.run(begin, async |running: Running| Ok(running.finish().await?))
}

async fn start(beginning: Beginning) -> anyhow::Result<Running> {
    let Beginning { loaded, shutdown, loki_dropped } = beginning;
    let effective = loaded.shown_json();
    let mut config = Config::new(&loaded.config, loaded.home)?;
    config.effective = effective;
    config.loki_dropped = loki_dropped;
    let control_socket = config.home.control_socket();
    let running = crate::start(config, Clock::System, &shutdown).await?;
    tracing::info!(control_socket = %control_socket.display(), "the orchestrator is ready");
    greet(&loaded.config, &running);
    Ok(running)
}

fn end_with_parent(shutdown: &Shutdown) -> anyhow::Result<()> {
    let parent = ParentPipe::stdin().context("find the parent, which --parent-pipe speaks of")?;
    let drain = shutdown.clone();
    shutdown.spawn("parent", async move {
        tokio::select! {
            () = parent.closed() => drain.drain(),
            () = drain.draining() => {}
        }
    });
    Ok(())
}

/// At the first start, tells how a browser gets in. The code goes to the console alone: it has no business in log files.
fn greet(config: &config::Config, running: &Running) {
    match config.auth.mode {
        AuthMode::Token => {}
        AuthMode::None => return,
    }
    match running.first_login() {
        Some(code) => eprintln!("log in once, within 15 minutes: {}/login?code={code}", config.front()),
        None => tracing::debug!("there is no link to log in by: this is not the first start"),
    }
}

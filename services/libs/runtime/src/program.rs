//! What every server program does alike: read the configuration, log, live until a signal, and end in order.

use std::io;
use std::path::PathBuf;

use crate::config::{self, Loaded, Sources};
use crate::lifecycle::{CutShort, Lifecycle, Shutdown};
use crate::telemetry::{self, LokiDropped};

/// Why a program did not run, or did not end in order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration does not hold.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// There are no logs.
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    /// The system gives no threads, or no signals.
    #[error("failed to begin")]
    System(#[from] io::Error),
    /// It was cut short.
    #[error(transparent)]
    CutShort(#[from] CutShort),
}

/// How a program runs.
#[derive(Debug)]
pub struct Program {
    /// Its name in the logs.
    pub name: &'static str,
    /// The configuration file instead of the one in the config folder.
    pub config_file: Option<PathBuf>,
    /// How many threads run its tasks; one for each core when it does not say.
    pub workers: Option<usize>,
}

/// What a program begins with.
#[derive(Debug)]
pub struct Beginning {
    /// The configuration.
    pub loaded: Loaded,
    /// Tracks what it runs.
    pub shutdown: Shutdown,
    /// How many log events Loki did not get.
    pub loki_dropped: Option<LokiDropped>,
}

impl Program {
    /// Runs a program until a signal ends it: `start` brings it up, and `finish` closes what is left when all that it
    /// ran has ended.
    ///
    /// # Errors
    /// Says why it could not start, or why it had to stop.
    pub fn run<T, E: From<Error>>(
        self,
        start: impl AsyncFnOnce(Beginning) -> Result<T, E>,
        finish: impl AsyncFnOnce(T) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { name, config_file, workers } = self;
        let sources = Sources { file: config_file, ..Sources::from_env() };
        let loaded = config::load(&sources).map_err(Error::from)?;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        if let Some(workers) = workers {
            builder.worker_threads(workers);
        }
        builder.enable_all().build().map_err(Error::from)?.block_on(async {
            let options = telemetry::Options::new(name, &loaded.config.telemetry, &loaded.home.logs);
            let telemetry = telemetry::start(&options).map_err(Error::from)?;
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            let lifecycle = Lifecycle::start(loaded.config.orchestrator.drain).map_err(Error::from)?;
            let loki_dropped = telemetry.loki_dropped();
            let beginning = Beginning { loaded, shutdown: lifecycle.shutdown(), loki_dropped };
            let running = start(beginning).await?;
            let ended = lifecycle.finish().await;
            finish(running).await?;
            drop(telemetry);
            Ok(ended.in_order().map_err(Error::from)?)
        })
    }
}

//! Where log events go: to the console, to files, and, where it is asked for, to Loki.
//!
//! None of them holds the program up: files and Loki are behind bounded buffers that count what they drop.

mod files;
mod loki;
mod panics;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use tracing::Dispatch;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, fmt};

use crate::config::{LogFormat, Telemetry};
use crate::terminal::Visible;

pub use loki::{Dropped as LokiDropped, Limits as LokiLimits};

/// How many lines wait for the disk before further ones are dropped.
const MAX_WAITING_LINES: usize = 8_192;

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the log filter {filter:?}")]
    Filter { filter: String, source: ParseError },
    #[error("cannot write log files in {folder}")]
    Files { folder: PathBuf, source: io::Error },
    #[error("cannot push logs to Loki")]
    Loki(#[from] tracing_loki::Error),
    #[error("cannot start the thread that pushes logs to Loki")]
    LokiThread(io::Error),
    #[error("cannot take over logging")]
    Taken(#[from] TryInitError),
}

/// What a program logs and where.
#[derive(Debug)]
pub struct Options<'a> {
    /// The program's name: a label, and the name of its log files.
    pub program: &'static str,
    /// What is configured.
    pub telemetry: &'a Telemetry,
    /// The folder of the log files; none are written without one.
    pub logs: Option<&'a Path>,
    /// A filter for the console alone, for programs that talk to people there.
    pub console_level: Option<&'a str>,
    /// The bounds of what goes to Loki.
    pub loki_limits: LokiLimits,
}

impl<'a> Options<'a> {
    /// Logs as configured, with files in `logs`.
    pub fn new(program: &'static str, telemetry: &'a Telemetry, logs: &'a Path) -> Self {
        Options {
            program,
            telemetry,
            logs: Some(logs),
            console_level: None,
            loki_limits: LokiLimits::default(),
        }
    }
}

/// Keeps logging alive. When it is dropped, what waits is written and pushed, for a short time at most.
#[derive(Debug)]
pub struct Guard {
    // Loki goes first, so that what it has to say about itself still reaches the files.
    loki: Option<loki::Guard>,
    files: Option<(WorkerGuard, ErrorCounter)>,
}

impl Guard {
    /// How many events were not pushed to Loki, for the metric `loki_dropped_total`.
    pub fn loki_dropped_total(&self) -> u64 {
        self.loki.as_ref().map_or(0, |loki| loki.dropped().total())
    }

    /// Gives a handle that reads the same number and outlives this guard.
    pub fn loki_dropped(&self) -> Option<loki::Dropped> {
        self.loki.as_ref().map(loki::Guard::dropped)
    }

    /// How many lines did not reach the log files because the disk was too slow.
    pub fn lines_dropped_total(&self) -> u64 {
        self.files.as_ref().map_or(0, |(_, dropped)| dropped.dropped_lines() as u64)
    }
}

/// Begins to log, for the whole process; its panics too.
///
/// # Errors
/// When a filter or the Loki URL is unfit, the log files cannot be written, or something else logs already.
pub fn start(options: &Options<'_>) -> Result<Guard, Error> {
    let (dispatch, guard) = build(options)?;
    dispatch.try_init()?;
    if let Some(folder) = options.logs {
        panics::log_to(folder, options.program);
    }
    Ok(guard)
}

/// Makes what [`start`] installs, for a test that logs on its own thread.
///
/// # Errors
/// As [`start`].
pub fn build(options: &Options<'_>) -> Result<(Dispatch, Guard), Error> {
    let level = options.telemetry.log_level.as_str();
    let console =
        console(options.telemetry.log_format).with_filter(filter(options.console_level.unwrap_or(level))?);
    let (file, files) = match options.logs {
        Some(folder) => {
            let failed = |source| Error::Files { folder: folder.to_owned(), source };
            let writer =
                files::Writer::open(folder, options.program, options.telemetry.log_files).map_err(failed)?;
            let (writer, guard) = NonBlockingBuilder::default()
                .buffered_lines_limit(MAX_WAITING_LINES)
                .thread_name("log-files")
                .finish(writer);
            let dropped = writer.error_counter();
            (Some(json().with_writer(writer).with_filter(filter(level)?)), Some((guard, dropped)))
        }
        None => (None, None),
    };
    let (loki, loki_guard) = match &options.telemetry.loki_url {
        Some(url) => {
            let (layer, guard) = loki::start(url, options.program, options.loki_limits)?;
            (Some(layer.with_filter(filter(level)?)), Some(guard))
        }
        None => (None, None),
    };
    let subscriber = Registry::default().with(console).with(file).with(loki);
    Ok((Dispatch::new(subscriber), Guard { loki: loki_guard, files }))
}

/// A library that writes what its callers send, prompts among it, below this level; a filter that names it may go there.
const DISCREET: &str = "rmcp=info";

fn filter(text: &str) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(format!("{DISCREET},{text}"))
        .map_err(|source| Error::Filter { filter: text.to_owned(), source })
}

fn console<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let terminal = io::stderr().is_terminal();
    let human = match format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    if !human {
        return json().with_writer(io::stderr).boxed();
    }
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Values are not checked by the formatter, and an error may hold what a task or a stranger wrote.
    let writer = move || Visible::new(io::stderr(), colours);
    fmt::layer().compact().with_ansi(colours).with_writer(writer).boxed()
}

type JsonLayer<S> = fmt::Layer<S, fmt::format::JsonFields, fmt::format::Format<fmt::format::Json>>;

fn json<S>() -> JsonLayer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    fmt::layer().json().flatten_event(true).with_current_span(false)
}

//! The configuration as the programs read it. Every value was checked before it came here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::network::Network;
use super::runner::{RunnerConfig, Sandbox};
use super::storage::{Redis, Storage};
use super::web::{Api, Dashboard, Files, Tls};

/// What is configured, but for the paths, which are the [`Home`](crate::paths::Home)'s.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The orchestrator.
    pub orchestrator: Orchestrator,
    /// The agent.
    pub agent: Agent,
    /// Defaults and bounds of tasks.
    pub tasks: Tasks,
    /// Limits by group.
    #[serde(default)]
    pub groups: BTreeMap<String, GroupLimits>,
    /// How real programs are confined.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// Limits by runner, and the runners that are programs.
    #[serde(default)]
    pub runners: BTreeMap<String, RunnerConfig>,
    /// The types of tasks.
    #[serde(default)]
    pub task_types: BTreeMap<String, super::task_type::TaskType>,
    /// Limits by label, written `key:value`.
    #[serde(default)]
    pub labels: BTreeMap<String, LabelLimits>,
    /// Who is let in.
    pub auth: Auth,
    /// The API.
    pub api: Api,
    /// The dashboard.
    pub dashboard: Dashboard,
    /// Where browsers and clients find the server, when that differs from where it listens; may end in a path.
    #[serde(deserialize_with = "optional_url")]
    pub public_url: Option<Url>,
    /// Names besides its own that a server answers to.
    pub allowed_hosts: Vec<String>,
    /// Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<Network>,
    /// The certificate of the listeners.
    pub tls: Tls,
    /// Files that runs left.
    pub files: Files,
    /// The secrets that tasks may use.
    #[serde(default)]
    pub secrets: BTreeMap<String, super::secret::SecretUse>,
    /// Work on git repositories.
    pub git: super::git::Git,
    /// Where things are kept.
    pub storage: Storage,
    /// The Redis of the event log.
    pub redis: Redis,
    /// What is counted by the day.
    pub budgets: Budgets,
    /// How long things are kept.
    pub retention: Retention,
    /// Who is told of what.
    #[serde(default, deserialize_with = "super::notify::typed")]
    pub notify: Vec<super::notify::NotifyRule>,
    /// The mail server.
    pub smtp: Smtp,
    /// How webhooks are sent.
    pub webhooks: super::notify::Webhooks,
    /// Logs.
    pub telemetry: Telemetry,
}

/// `smtp.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// The mail server, with user and password.
    #[serde(deserialize_with = "super::storage::optional_secret")]
    pub url: Option<crate::credentials::Secret>,
    /// Who the mails are from.
    pub from: Option<String>,
}

impl Config {
    /// Where the tasks of an agent find the API; none where it listens at a port that nobody knows before.
    #[must_use]
    pub fn api_url(&self) -> Option<String> {
        if let Some(url) = &self.agent.api_url {
            return Some(url.as_str().trim_end_matches('/').to_owned());
        }
        let scheme = if self.tls.cert_file.is_some() { "https" } else { "http" };
        let (host, port) = self.api.listen.rsplit_once(':')?;
        let host = match host {
            "0.0.0.0" => "127.0.0.1",
            "[::]" => "[::1]",
            other => other,
        };
        (port != "0").then(|| format!("{scheme}://{host}:{port}"))
    }

    /// Where a browser finds the dashboard: the public address, or this machine.
    #[must_use]
    pub fn front(&self) -> String {
        if let Some(url) = &self.public_url {
            return url.as_str().trim_end_matches('/').to_owned();
        }
        let scheme = if self.tls.cert_file.is_some() { "https" } else { "http" };
        let (host, port) = self.dashboard.listen.rsplit_once(':').unwrap_or(("", &self.dashboard.listen));
        // Who listens everywhere is found on this machine, also from outside of its container.
        let host =
            if matches!(host, "0.0.0.0" | "[::]" | "127.0.0.1" | "[::1]") { "localhost" } else { host };
        format!("{scheme}://{host}:{port}")
    }
}

/// `budgets.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// What a task may cost that names no budget, in US dollars.
    pub task_usd: Option<f64>,
    /// The tokens that it may use.
    pub task_tokens: Option<u64>,
    /// What all tasks of a day may cost together.
    pub day_usd: Option<f64>,
    /// The tokens that they may use.
    pub day_tokens: Option<u64>,
    /// The IANA time zone in which a day begins and ends.
    pub time_zone: String,
    /// What the tasks of a group may spend in a day.
    #[serde(default)]
    pub groups: BTreeMap<String, GroupBudget>,
}

/// `budgets.groups.<name>.*`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupBudget {
    /// What they may cost together, in US dollars.
    #[serde(default)]
    pub day_usd: Option<f64>,
    /// The tokens that they may use.
    #[serde(default)]
    pub day_tokens: Option<u64>,
}

/// `orchestrator.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orchestrator {
    pub(super) agent_socket: Option<PathBuf>,
    pub(super) control_socket: Option<PathBuf>,
    /// How long an agent may be silent before its tasks are given to others.
    #[serde(rename = "lease_seconds", deserialize_with = "seconds")]
    pub lease: Duration,
    /// How often an agent renews its leases; at most half of `lease`.
    #[serde(rename = "heartbeat_seconds", deserialize_with = "seconds")]
    pub heartbeat: Duration,
    /// How long a stop waits for what is under way.
    #[serde(rename = "drain_seconds", deserialize_with = "seconds")]
    pub drain: Duration,
}

/// `agent.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its name; unset, the host's.
    pub name: Option<String>,
    slots: Option<usize>,
    /// What tasks can require of it.
    pub labels: Vec<String>,
    /// How many tasks may wait for a person, beside those in slots.
    pub max_waiting: usize,
    /// How long it works on without an orchestrator.
    #[serde(rename = "orphan_grace_seconds", deserialize_with = "seconds")]
    pub orphan_grace: Duration,
    /// The time between TERM and KILL.
    #[serde(rename = "stop_grace_seconds", deserialize_with = "seconds")]
    pub stop_grace: Duration,
    /// Folders of its host below which tasks may begin with a copy.
    pub copy_roots: Vec<PathBuf>,
    /// The folder of the secrets that people keep; unset, `secrets` in the config folder.
    pub secrets_dir: Option<PathBuf>,
    /// Where tasks that may submit find the API; [`Config::api_url`] tells it where this is unset.
    #[serde(deserialize_with = "optional_url")]
    pub api_url: Option<Url>,
}

impl Agent {
    /// How many tasks run at the same time: as configured, else the number of cores, at least two.
    pub fn slots(&self) -> usize {
        self.slots
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)))
    }
}

/// `tasks.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tasks {
    /// The runner of a task that names none.
    pub default_runner: String,
    /// The timeout of a task that names none.
    #[serde(rename = "default_timeout_seconds", deserialize_with = "seconds")]
    pub default_timeout: Duration,
    /// The priority of a task that names none; 10 goes first.
    pub default_priority: u8,
    /// The wait between the attempts of a task that names none.
    #[serde(rename = "default_backoff_seconds", deserialize_with = "seconds")]
    pub default_backoff: Duration,
    /// The most tasks that are not terminal.
    pub max_queued: u64,
    /// The most bytes of their bodies.
    pub max_queued_bytes: u64,
    /// The most bytes of one attempt's output.
    pub max_output_bytes: u64,
    /// What happens to a run whose output reaches that.
    pub on_output_limit: OnOutputLimit,
    /// The most bytes that a run's folders hold, and that a result's files are listed for.
    pub max_workspace_bytes: u64,
    /// The most bytes of memory that a run has, its whole tree; unset, three quarters of what its machine has.
    pub max_memory_bytes: Option<u64>,
    /// The most processes and threads of a run.
    pub max_processes: u64,
    /// The most files in the list of a result.
    pub max_files: usize,
    /// How long a task may be queued; none is for ever.
    #[serde(rename = "queue_timeout_seconds", deserialize_with = "optional_seconds")]
    pub queue_timeout: Option<Duration>,
    /// How long a task may wait for a person; none is for ever.
    #[serde(rename = "waiting_timeout_seconds", deserialize_with = "optional_seconds")]
    pub waiting_timeout: Option<Duration>,
    /// How long an idempotency key is kept after its task's end.
    #[serde(rename = "idempotency_hours", deserialize_with = "hours")]
    pub idempotency: Duration,
    /// How often a task may take down its worker before it ends as `crash_limit`.
    pub crash_limit: u32,
    /// The wait that is worth one step of priority.
    #[serde(rename = "ageing_seconds", deserialize_with = "seconds")]
    pub ageing: Duration,
}

/// `tasks.on_output_limit`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOutputLimit {
    /// The run goes on and its further output is dropped.
    Cut,
    /// The run ends as `output_limit`.
    Fail,
}

/// `groups.<name>.*`; none is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupLimits {
    /// The most of its tasks that run at the same time.
    pub max_running: Option<u64>,
    /// The most of its tasks that are not terminal.
    pub max_queued: Option<u64>,
}

/// `labels."<key>:<value>".*`; none is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelLimits {
    /// The most tasks with this label that run at the same time.
    pub max_running: Option<u64>,
}

/// `auth.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Whether a token is asked for.
    pub mode: AuthMode,
    /// A file with tokens, beside those made while running.
    pub tokens_file: Option<PathBuf>,
    /// How many wrong tokens that begin alike one address may try in a minute.
    pub failures_per_minute: u32,
}

/// `auth.mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// A token is asked for.
    Token,
    /// Everybody who reaches this machine's loopback may do everything.
    None,
}

/// `retention.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How long a finished task keeps its work folder; none is for ever.
    #[serde(rename = "work_hours", deserialize_with = "optional_hours")]
    pub work: Option<Duration>,
    /// How long its record and results are kept; none is for ever.
    #[serde(rename = "runs_days", deserialize_with = "optional_days")]
    pub runs: Option<Duration>,
    /// How full the workspace's volume may be, from 1 to 100.
    pub max_volume_percent: u8,
    /// With less free on the state volume, submits are refused.
    pub free_floor_bytes: u64,
}

/// `telemetry.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// A filter as tracing's `EnvFilter` reads it.
    pub log_level: String,
    /// How the console is written.
    pub log_format: LogFormat,
    /// How many daily log files are kept.
    pub log_files: usize,
    /// Where Loki is, when logs are pushed.
    #[serde(deserialize_with = "optional_url")]
    pub loki_url: Option<Url>,
}

/// `telemetry.log_format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

const HOUR_SECONDS: u64 = 3_600;

pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

fn optional_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_secs))
}

fn hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(|hours| Duration::from_secs(hours * HOUR_SECONDS))
}

fn optional_hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let hours = Option::<u64>::deserialize(deserializer)?;
    Ok(hours.map(|hours| Duration::from_secs(hours * HOUR_SECONDS)))
}

fn optional_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let days = Option::<u64>::deserialize(deserializer)?;
    Ok(days.map(|days| Duration::from_secs(days * 24 * HOUR_SECONDS)))
}

fn optional_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

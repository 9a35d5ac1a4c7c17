//! What an orchestrator is told at its start.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use conductor_core::{Budgets, GroupLimits, Limit, Meter, Name, NameError, Policy, Priority, Wall};
use conductor_runtime::config::{self, AuthMode, EventLogStorage};
use conductor_runtime::credentials::Secret;
use conductor_runtime::paths::Home;
use conductor_runtime::telemetry::LokiDropped;
use jiff::tz::TimeZone;

use crate::notify;
use crate::submit::Defaults;
use crate::task_types::TaskTypes;

/// Bytes set aside on the state volume for when it is full.
const RESERVE_BYTES: u64 = 32 << 20;

/// How long a receiver of a webhook has to answer.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What an orchestrator is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where things are.
    pub home: Home,
    /// The machine's rules.
    pub policy: Policy,
    /// What tasks get where they say nothing.
    pub defaults: Defaults,
    /// How often agents send a heartbeat.
    pub heartbeat: Duration,
    /// How long a lease lives without one.
    pub lease: Duration,
    /// With less free on the state volume, submits are refused.
    pub free_floor_bytes: u64,
    /// Set aside on the state volume.
    pub reserve_bytes: u64,
    /// Where the event log is.
    pub event_log: EventLogPlace,
    /// Whether an empty state folder stops the start.
    pub expect_state: bool,
    /// How long work folders stay; none is for ever.
    pub keep_work: Option<Duration>,
    /// How long records and run folders stay; none is for ever.
    pub keep_runs: Option<Duration>,
    /// How full the workspace's volume may be before runs go early.
    pub max_volume_percent: u8,
    /// Whether it was started by `run` for what is submitted through it; older tasks wait.
    pub embedded: bool,
    /// Whether a token is asked for.
    pub auth: AuthMode,
    /// A file with further tokens.
    pub tokens_file: Option<PathBuf>,
    /// The whole configuration as it is shown, without secrets.
    pub effective: serde_json::Value,
    /// The most bytes of an upload.
    pub max_upload_bytes: u64,
    /// How webhooks and notices are sent.
    pub notify: notify::Options,
    /// Where the days of people begin and end.
    pub time_zone: TimeZone,
    /// Reads how many log events were not pushed to Loki; none when none are.
    pub loki_dropped: Option<LokiDropped>,
}

/// Where the event log is.
#[derive(Debug, Clone)]
pub enum EventLogPlace {
    /// In a file of the state folder.
    File,
    /// In a Redis.
    Redis {
        /// Its address with user and password.
        url: Secret,
        /// Whether one is refused that may lose what it acknowledged.
        require_fsync: bool,
    },
}

impl EventLogPlace {
    fn new(config: &config::Config) -> Self {
        match (config.storage.event_log, &config.redis.url) {
            (EventLogStorage::Redis, Some(url)) => {
                Self::Redis { url: url.clone(), require_fsync: config.redis.require_fsync }
            }
            // The configuration is refused where the log is to be in Redis and no address is set.
            (EventLogStorage::Sqlite, _) | (EventLogStorage::Redis, None) => Self::File,
        }
    }
}

/// A name in the configuration cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {text:?} cannot be a name")]
pub struct Error {
    key: &'static str,
    text: String,
    source: NameError,
}

impl Config {
    /// Takes what concerns an orchestrator from the whole configuration.
    ///
    /// # Errors
    /// When a name in it cannot be one.
    pub fn new(config: &config::Config, home: Home) -> Result<Self, Error> {
        let tasks = &config.tasks;
        let programs = config.programs();
        let built_in = ["auto", "mock", "command", "replay"].into_iter();
        let runners = built_in.chain(programs.keys().map(String::as_str));
        let runners = runners.map(|runner| name("runners", runner)).collect::<Result<Vec<_>, _>>()?;
        let take_messages = programs.iter().filter(|(_, spec)| spec.takes_messages());
        let take_messages =
            take_messages.map(|(runner, _)| name("runners", runner)).collect::<Result<_, _>>()?;
        Ok(Self {
            policy: policy(config)?,
            defaults: Defaults {
                runner: name("tasks.default_runner", &tasks.default_runner)?,
                group: name("group", "default")?,
                task_type: name("type", "generic")?,
                priority: Priority::new(tasks.default_priority).unwrap_or_default(),
                timeout_ms: millis(tasks.default_timeout),
                queue_timeout_ms: tasks.queue_timeout.map(millis),
                backoff_ms: millis(tasks.default_backoff),
                runners,
                take_messages,
                types: types(config)?,
                secrets: Arc::new(config.secrets.clone()),
                below: None,
            },
            heartbeat: config.orchestrator.heartbeat,
            lease: config.orchestrator.lease,
            free_floor_bytes: config.retention.free_floor_bytes,
            reserve_bytes: RESERVE_BYTES,
            event_log: EventLogPlace::new(config),
            expect_state: config.storage.expect_state,
            keep_work: config.retention.work,
            keep_runs: config.retention.runs,
            max_volume_percent: config.retention.max_volume_percent,
            embedded: false,
            auth: config.auth.mode,
            tokens_file: config.auth.tokens_file.clone(),
            effective: serde_json::Value::Null,
            max_upload_bytes: config.api.max_upload_bytes,
            notify: notify::Options {
                signing_key: config.webhooks.signing_key.clone(),
                secrets: config.agent.secrets_dir.clone().unwrap_or_else(|| home.secrets()),
                allow_private: config.webhooks.allow_private.clone(),
                timeout: WEBHOOK_TIMEOUT,
                smtp: config.smtp.url.clone().zip(config.smtp.from.clone()),
                targets: notify::rules(&config.notify).1,
            },
            // The configuration was checked: the zone is one.
            time_zone: TimeZone::get(&config.budgets.time_zone).unwrap_or(TimeZone::UTC),
            loki_dropped: None,
            home,
        })
    }

    /// The state folder.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.home.state.clone()
    }
}

fn types(config: &config::Config) -> Result<TaskTypes, Error> {
    for kind in config.task_types.keys() {
        name("task_types", kind)?;
    }
    Ok(TaskTypes::new(config.task_types.clone()))
}

fn policy(config: &config::Config) -> Result<Policy, Error> {
    let most = |count: Option<u64>| count.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    let mut policy = Policy {
        lease_ms: millis(config.orchestrator.lease),
        ageing_ms: millis(config.tasks.ageing).max(1),
        crash_limit: u16::try_from(config.tasks.crash_limit).unwrap_or(u16::MAX),
        max_queued: config.tasks.max_queued,
        max_queued_bytes: config.tasks.max_queued_bytes,
        idempotency_ms: millis(config.tasks.idempotency),
        waiting_timeout_ms: config.tasks.waiting_timeout.map_or(u64::MAX / 4, millis),
        auto_mock: true,
        notify: notify::rules(&config.notify).0,
        ..Policy::default()
    };
    policy.budgets = budgets(config)?;
    for (group, limits) in &config.groups {
        let limits = GroupLimits { max_running: most(limits.max_running), max_queued: limits.max_queued };
        policy.groups.insert(name("groups", group)?, limits);
    }
    for (runner, limits) in &config.runners {
        if let Some(most) = most(limits.max_running) {
            policy.runners.insert(name("runners", runner)?, most);
        }
    }
    for (label, limits) in &config.labels {
        let (key, value) = label.split_once(':').unwrap_or((label, ""));
        if let Some(most) = most(limits.max_running) {
            policy.labels.insert((name("labels", key)?, name("labels", value)?), most);
        }
    }
    Ok(policy)
}

/// Of how many days before and after a start it is worked out when they begin; beyond them a day has 24 hours.
const KNOWN_DAYS: i64 = 2 * 366;

fn budgets(config: &config::Config) -> Result<Budgets, Error> {
    // Amounts are not negative, and no budget comes near 2^53 millionths.
    let micros = |usd: Option<f64>| usd.map(|usd| (usd * 1e6).round() as u64);
    let limit = |usd, tokens| Limit { usd_micros: micros(usd), tokens };
    let own = &config.budgets;
    let mut budgets = Budgets {
        task: limit(own.task_usd, own.task_tokens),
        day: limit(own.day_usd, own.day_tokens),
        midnights: midnights(&own.time_zone),
        ..Budgets::default()
    };
    for (group, of) in &own.groups {
        budgets.groups.insert(name("budgets.groups", group)?, limit(of.day_usd, of.day_tokens));
    }
    // The others ask no model; a replayed run tells what it used when it was new.
    budgets.meters.insert(name("runners", conductor_core::MOCK)?, Meter::Tokens);
    for runner in config.programs().keys() {
        budgets.meters.insert(name("runners", runner)?, Meter::Money);
    }
    Ok(budgets)
}

/// When days begin.
fn midnights(zone: &str) -> Arc<[Wall]> {
    // The configuration was checked: the zone is one.
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let now = conductor_runtime::clock::Clock::System.now().wall_ms;
    let Ok(today) = jiff::Timestamp::from_millisecond(now).map(|now| now.to_zoned(zone.clone()).date())
    else {
        return Arc::default();
    };
    let midnight = |day: i64| {
        let date = today.checked_add(jiff::Span::new().days(day)).ok()?;
        let begin = date.to_zoned(zone.clone()).ok()?.start_of_day().ok()?;
        Some(Wall(begin.timestamp().as_millisecond()))
    };
    // A clock that is set back finds them as well.
    (-KNOWN_DAYS..KNOWN_DAYS).filter_map(midnight).collect()
}

fn name(key: &'static str, text: &str) -> Result<Name, Error> {
    Name::new(text).map_err(|source| Error { key, text: text.to_owned(), source })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! Bringing an orchestrator up and down.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use conductor_core::{Actor, Machine, Name, Role, TaskId};
use conductor_runtime::clock::Clock;
use conductor_runtime::credentials::{self, StartKey};
use conductor_runtime::lifecycle::Shutdown;
use conductor_runtime::listen::{self, UnixListener};
use conductor_runtime::paths;
use conductor_store::copy::Restored;
use conductor_store::history::{self, History};
use conductor_store::log::{self, EventLog};
use conductor_store::state_dir::{LockError, StateDir};

use crate::access::{Access, AttemptTokens, OWNER, TokensFile, TokensFileError};
use crate::compactor::{self, LoadError};
use crate::config::Config;
use crate::engine::{self, Engine};
use crate::follower::{self, Follower};
use crate::gate::Gate;
use crate::hub::Hub;
use crate::notify::{self, Sender};
use crate::retention::{self, Retention};
use crate::schedules::Chores;
use crate::space::Space;
use crate::uploads::Uploads;
use crate::{agents, control, event_log};

/// Why an orchestrator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder cannot be used.
    #[error("failed to prepare the folders")]
    Paths(#[from] paths::Error),
    /// Another one owns the data.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state is of a newer release.
    #[error(transparent)]
    Format(#[from] conductor_store::format::Error),
    /// Nothing was started here before, and something should have been.
    #[error(
        "{0} holds no state, and storage.expect_state says that it should: this may be the volume of another node.          Where it is the first start, set storage.expect_state to false for it"
    )]
    Empty(PathBuf),
    /// The event log cannot be opened.
    #[error(transparent)]
    Open(#[from] log::sqlite::OpenError),
    /// The event log in Redis cannot be opened.
    #[error(transparent)]
    OpenRedis(#[from] log::redis::OpenError),
    /// The event log in Redis lost what was acknowledged.
    #[error("{source}; it lacks {}", lacking(.missing))]
    Lost {
        /// What is there.
        source: log::redis::OpenError,
        /// Tasks that the log does not know, the newest first, some of them.
        missing: Vec<TaskId>,
    },
    /// The history followed another log.
    #[error(
        "the history followed the event log {history}, and this one is {log}; one of the two was replaced"
    )]
    OtherHistory {
        /// The log that was opened.
        log: String,
        /// The log that the history followed.
        history: String,
    },
    /// The event log cannot be loaded.
    #[error("failed to load the state")]
    Load(#[from] LoadError),
    /// The history cannot be opened or read.
    #[error(transparent)]
    History(#[from] history::Error),
    /// The history knows more than the log: the log was replaced by an older one.
    #[error(
        "the event log ends with event {log}, but the history saw event {history}: the log was replaced by an older one; \
         it lacks {}", lacking(.missing)
    )]
    Behind {
        /// The last event of the log.
        log: u64,
        /// The last event that History saw.
        history: u64,
        /// Tasks that the log does not know, the newest first, some of them.
        missing: Vec<TaskId>,
    },
    /// The log lets go of events that the history never saw: the history was replaced by an older one, or removed.
    #[error(
        "the history saw events up to {history}, but the event log keeps them only from {first} on: the history was \
         replaced by an older one or removed; put it back as it was"
    )]
    HistoryBehind {
        /// The last event that History saw.
        history: u64,
        /// The first event that the log keeps.
        first: u64,
    },
    /// A key or token cannot be made.
    #[error("failed to make the credentials")]
    Credentials(#[from] credentials::Error),
    /// The tokens file does not hold.
    #[error(transparent)]
    TokensFile(#[from] TokensFileError),
    /// A socket is taken or cannot be made.
    #[error(transparent)]
    Listen(#[from] listen::Error),
    /// The engine cannot be made.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The mail server cannot be used.
    #[error(transparent)]
    Mail(#[from] notify::MailError),
    /// The system gives no thread.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
}

fn lacking(missing: &[TaskId]) -> String {
    if missing.is_empty() {
        return "no task, but changes of some".to_owned();
    }
    let ids: Vec<String> = missing.iter().map(ToString::to_string).collect();
    format!("tasks {}", ids.join(", "))
}

/// A running orchestrator.
#[derive(Debug)]
pub struct Running {
    // Nothing here keeps the engine alive: it ends when the last of its callers has ended.
    context: Weak<control::Context>,
    control_key: String,
    /// Whether the home's token was made by this start.
    is_first: bool,
    shutdown: Shutdown,
    log: Arc<dyn EventLog>,
    follower: Follower,
    history_thread: follower::Thread,
    failed: Arc<Mutex<Option<engine::Error>>>,
    // The lock on the data goes last.
    _state_dir: Arc<StateDir>,
}

/// Starts an orchestrator. Everything that it runs is tracked by `shutdown`.
///
/// # Errors
/// Says what stands in the way; nothing is left running then.
pub async fn start(config: Config, clock: Clock, shutdown: &Shutdown) -> Result<Running, StartError> {
    config.home.create()?;
    let state_dir = Arc::new(StateDir::lock(config.state_dir())?);
    let is_new = conductor_store::format::read(state_dir.path())?.is_none()
        && Restored::read(state_dir.path()).is_none();
    if config.expect_state && is_new {
        return Err(StartError::Empty(state_dir.path().to_owned()));
    }
    conductor_store::format::open(state_dir.path(), env!("CARGO_PKG_VERSION"))?;
    let log = event_log::open(&config, &state_dir)?;
    let history: Arc<dyn History> = Arc::new(history::sqlite::open(&state_dir)?);
    event_log::check_not_behind(&*log, &*history)?;
    let state = compactor::load(&*log)?;
    tracing::info!(tasks = state.len(), seq = %state.seq(), "the state is loaded");
    let now = engine::now(&clock);
    let mut policy = config.policy.clone();
    if config.embedded {
        policy.assign_after = state.seq();
    }
    let machine = Machine::new(policy, state, now);
    let gate = Arc::new(Gate::default());
    let (workspace, floor_bytes) = (config.home.workspace.clone(), config.free_floor_bytes);
    let space = Space { log: log.clone(), workspace, floor_bytes };
    // Before anything could be assigned.
    space.look(&gate);
    let (mut engine, handle) = Engine::new(machine, log.clone(), clock.clone(), gate.clone())?;
    let (chores, deliver) = (engine.chores(), engine.deliver());

    let admin_token = credentials::admin_token(&config.home)?;
    let (tokens_file, file_tokens) = match config.tokens_file {
        Some(path) => {
            let (file, tokens) = TokensFile::open(path)?;
            (Some(file), Some(tokens))
        }
        None => (None, None),
    };
    let is_first = matches!(admin_token.origin, credentials::Origin::Made(_));
    let agent_key = StartKey::create(&config.home.agent_key())?;
    let control_key = StartKey::create(&config.home.control_key())?;
    let agent_listener = UnixListener::bind(&config.home.agent_socket())?;
    let control_listener = UnixListener::bind(&config.home.control_socket())?;
    let (follower, history_thread) =
        follower::start(log.clone(), history.clone(), handle.durable(), gate.clone())
            .map_err(StartError::Thread)?;

    let hub = Hub::new();
    let offers = agents::Offers::default();
    let retention = Retention {
        workspace: config.home.workspace.clone(),
        work_ms: config.keep_work.map_or(u64::MAX, millis),
        runs_ms: config.keep_runs.map_or(u64::MAX, millis),
        max_volume_percent: config.max_volume_percent,
    };
    let uploads = Uploads::new(&config.home.workspace, config.max_upload_bytes, clock.clone());
    let attempts = Arc::new(AttemptTokens::new(credentials::attempt_key(&config.home)?));
    let agents = Arc::new(agents::Context::new(agents::Parts {
        engine: handle.clone(),
        log: log.clone(),
        key: agent_key,
        hub: hub.clone(),
        offers: offers.clone(),
        uploads: uploads.clone(),
        workspace: config.home.workspace.clone(),
        heartbeat_seconds: config.heartbeat.as_secs().max(1),
        lease_seconds: config.lease.as_secs().max(1),
        restored: restored(&config.home.state),
        attempts: attempts.clone(),
    }));
    let access = Arc::new(Access::new(
        config.auth,
        admin_token.secret.reveal(),
        file_tokens,
        attempts,
        (handle.clone(), clock.clone()),
    ));
    let context = Arc::new(control::Context {
        engine: handle.clone(),
        log: log.clone(),
        follower: follower.clone(),
        key: control_key,
        access: access.clone(),
        hub,
        offers,
        uploads: uploads.clone(),
        clock: clock.clone(),
        defaults: config.defaults.clone(),
        retention: retention.clone(),
        keys: notify::Keys::new(config.notify.secrets.clone()),
        workspace: config.home.workspace.clone(),
        state_dir: config.home.state.clone(),
        logs: config.home.logs.clone(),
        started_at: now.wall,
        embedded: config.embedded,
        effective: serde_json::value::to_raw_value(&config.effective).expect("a JSON value can be written"),
        loki_dropped: config.loki_dropped,
        time_zone: config.time_zone,
        owner: Arc::new(owner()),
    });
    let webhook_key = credentials::webhook_key(&config.home)?;
    let sender = Sender::new(context.clone(), config.notify, webhook_key.reveal(), deliver)?;
    let (served, control_key) = (Arc::downgrade(&context), context.key.reveal().to_owned());
    let chores_work = Chores {
        access,
        engine: handle.clone(),
        log: log.clone(),
        clock: clock.clone(),
        defaults: config.defaults,
        retention: retention.clone(),
    };

    let sweeper = (handle.clone(), follower.clone());
    let failed = Arc::default();
    if let Some(tokens_file) = tokens_file {
        shutdown.spawn("tokens file", tokens_file.follow(shutdown.clone()));
    }
    shutdown.spawn("engine", run_engine(engine, shutdown.clone(), Arc::clone(&failed)));
    shutdown.spawn("chores", chores_work.run(chores, shutdown.clone()));
    shutdown.spawn("compactor", compactor::run(log.clone(), history, shutdown.clone()));
    shutdown.spawn("retention", retention::run(retention, handle, follower.clone(), clock, shutdown.clone()));
    shutdown.spawn("space", space.watch(gate, shutdown.clone()));
    shutdown.spawn("uploads", uploads.run(sweeper.0, sweeper.1, shutdown.clone()));
    shutdown.spawn("notices", sender.run(shutdown.clone()));
    shutdown.spawn("watch", notify::watch(context.clone(), shutdown.clone()));
    shutdown.spawn("agent listener", agents::listen(agent_listener, agents, shutdown.clone()));
    shutdown.spawn("control listener", control::listen(control_listener, context, shutdown.clone()));
    Ok(Running {
        context: served,
        control_key,
        is_first,
        shutdown: shutdown.clone(),
        log,
        follower,
        history_thread,
        failed,
        _state_dir: state_dir,
    })
}

impl Running {
    /// Lets submits in, or refuses them as at the end. What was asked before this is decided before this.
    pub fn let_in(&self, submits: bool) {
        if let Some(context) = self.context.upgrade() {
            context.engine.gate().drain(!submits);
        }
    }

    /// Opens a connection without a socket, for programs in the same process. It speaks the control protocol; none is
    /// opened once the end has begun.
    #[must_use]
    pub fn connect(&self) -> Option<tokio::io::DuplexStream> {
        self.context.upgrade().map(|context| control::connect(&context, &self.shutdown))
    }

    /// A code that logs a browser in as the admin, when this is the first start of its home.
    #[must_use]
    pub fn first_login(&self) -> Option<String> {
        let context = self.context.upgrade().filter(|_| self.is_first)?;
        context.access.make_login().ok().map(|login| login.code)
    }

    /// The key that a connection opens with.
    #[must_use]
    pub fn control_key(&self) -> &str {
        &self.control_key
    }

    /// Closes the files. The shutdown has drained and finished by then.
    ///
    /// # Errors
    /// Why the engine stopped, when nobody had asked it to.
    pub async fn finish(self) -> Result<(), engine::Error> {
        let Self { log, follower, history_thread, failed, .. } = self;
        let closing = tokio::task::spawn_blocking(move || {
            follower.stop();
            history_thread.join();
            follower.history().close();
            log.close();
        });
        if closing.await.is_err() {
            tracing::error!("the closing of the files panicked");
        }
        match failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Runs the engine. When it fails, everything ends at once: memory is ahead of the disk.
async fn run_engine(engine: Engine, shutdown: Shutdown, failed: Arc<Mutex<Option<engine::Error>>>) {
    if let Err(error) = engine.run(shutdown.clone()).await {
        tracing::error!(error = &error as &dyn std::error::Error, "the engine stopped");
        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        shutdown.kill();
    }
}

/// What the state was restored from, told in the log.
fn restored(state: &std::path::Path) -> Option<Restored> {
    let restored = Restored::read(state)?;
    let Restored { log, seq, became } = &restored;
    tracing::info!(from = log, seq, log = became, "the event log was restored from a backup");
    Some(restored)
}

fn owner() -> Actor {
    let name = |text| Name::new(text).expect("a fixed name");
    Actor { name: name(OWNER), role: Role::Admin, via: name("cli"), address: None }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

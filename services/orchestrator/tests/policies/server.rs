//! The orchestrator under test.

use std::time::Duration;

use conductor_client::{Control, Error, Options};
use conductor_core::{Lease, TaskId};
use conductor_orchestrator::{Config, Running, start};
use conductor_protocol::Problem;
use conductor_protocol::agent::{Assign, End};
use conductor_protocol::control::{Submit, Submitted};
use conductor_protocol::task::{FailureView, State, TaskView};
use conductor_runtime::clock::{Clock, ManualClock, Reading};
use conductor_runtime::config::{Sources, load};
use conductor_runtime::lifecycle::Shutdown;
use conductor_runtime::paths::Home;
use conductor_testkit::agent::{self, Agent, Session};
use conductor_testkit::world::{eventually, within};
use serde_json::Value;
use serde_json::value::to_raw_value;

pub(super) const LIMIT: Duration = Duration::from_secs(20);
/// Some instant: 2026-01-01T00:00:30Z.
const START_MS: i64 = 1_767_225_630_000;

/// An orchestrator in this process, and the home that outlasts it.
pub(super) struct Server {
    _folder: tempfile::TempDir,
    config: Config,
    pub(super) clock: ManualClock,
    shutdown: Shutdown,
    running: Option<Running>,
    pub(super) control: Control,
}

impl Server {
    pub(super) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Starts one with configuration keys, as variables of the environment.
    pub(super) async fn with(keys: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut env = vec![("CONDUCTOR_HOME".to_owned(), folder.path().display().to_string())];
        env.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let loaded = load(&Sources { env, ..Sources::default() }).unwrap();
        let mut config = Config::new(&loaded.config, loaded.home).unwrap();
        config.reserve_bytes = 1 << 20;
        config.free_floor_bytes = 1 << 20;
        let clock = ManualClock::new(Reading { mono_ms: 1_000_000, wall_ms: START_MS });
        let shutdown = Shutdown::new();
        let (running, control) = up(&config, &clock, &shutdown).await;
        Self { _folder: folder, config, clock, shutdown, running: Some(running), control }
    }

    /// Ends the orchestrator and starts it again after a while.
    pub(super) async fn restart(&mut self, away: Duration) {
        self.shutdown.finish(LIMIT).await;
        self.running.take().unwrap().finish().await.unwrap();
        self.clock.advance(away);
        self.shutdown = Shutdown::new();
        let (running, control) = up(&self.config, &self.clock, &self.shutdown).await;
        (self.running, self.control) = (Some(running), control);
    }

    /// Where its things are.
    pub(super) fn home(&self) -> &Home {
        &self.config.home
    }

    /// An agent that has not connected yet.
    pub(super) fn agent(&self, name: &str, slots: u32) -> Agent {
        Agent::new(agent::Options::new(&self.config.home.agent_socket(), name).slots(slots))
    }

    /// One whose runners use this credential.
    pub(super) fn agent_with_lane(&self, name: &str, slots: u32, lane: &str) -> Agent {
        let options = agent::Options::new(&self.config.home.agent_socket(), name).slots(slots);
        Agent::new(agent::Options { lane: Some(lane.to_owned()), ..options })
    }

    /// One with labels.
    pub(super) fn labelled(&self, name: &str, labels: &[&str]) -> Agent {
        let options = agent::Options::new(&self.config.home.agent_socket(), name);
        Agent::new(agent::Options {
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            ..options
        })
    }

    /// The admin token of the home.
    pub(super) fn admin_token(&self) -> String {
        std::fs::read_to_string(self.config.home.token_file()).unwrap().trim().to_owned()
    }

    /// Submits a task that must be accepted.
    pub(super) async fn submit(&self, task: Value) -> TaskId {
        self.try_submit(vec![task], None).await.unwrap().ids[0]
    }

    pub(super) async fn try_submit(
        &self,
        tasks: Vec<Value>,
        key: Option<&str>,
    ) -> Result<Submitted, Problem> {
        let tasks = tasks.iter().map(|task| to_raw_value(task).unwrap()).collect();
        match self.control.submit(Submit { tasks, key: key.map(ToOwned::to_owned) }).await {
            Ok(submitted) => Ok(submitted),
            Err(Error::Refused(problem)) => Err(problem),
            Err(other) => panic!("{other}"),
        }
    }

    pub(super) async fn view(&self, task: TaskId) -> TaskView {
        self.control.get(task).await.unwrap()
    }

    pub(super) async fn state(&self, task: TaskId) -> State {
        self.view(task).await.state
    }

    /// Waits until a task stands so.
    pub(super) async fn until(&self, task: TaskId, state: State) -> TaskView {
        eventually(LIMIT, state.as_str(), async || {
            Some(self.view(task).await).filter(|view| view.state == state)
        })
        .await
    }

    /// Moves the clock, in seconds.
    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.kill();
    }
}

async fn up(config: &Config, clock: &ManualClock, shutdown: &Shutdown) -> (Running, Control) {
    let running = start(config.clone(), Clock::Manual(clock.clone()), shutdown).await.unwrap();
    let stream = running.connect().unwrap();
    let control = Control::over(stream, running.control_key(), Options::new("test")).await.unwrap();
    (running, control)
}

/// Waits for the next task that is given to an agent.
pub(super) async fn assigned(session: &mut Session<'_>) -> Assign {
    within(LIMIT, "a task is given to the agent", async {
        loop {
            if let Some(assign) = session.hear().await.unwrap().assign.into_iter().next() {
                return assign;
            }
        }
    })
    .await
}

/// Waits until the orchestrator wants a run ended.
pub(super) async fn told_to_end(session: &mut Session<'_>, lease: Lease) {
    within(LIMIT, "the run is to be ended", async {
        while !session.hear().await.unwrap().end.iter().any(|end| end.lease == lease) {}
    })
    .await;
}

/// A failure that is retried.
pub(super) fn failed() -> End {
    End::Failed(FailureView {
        reason: conductor_core::FailureReason::RunnerError,
        message: "on purpose".into(),
        hint: None,
    })
}

/// Why a task failed, in the words of the protocol.
pub(super) fn reason(view: &TaskView) -> &'static str {
    conductor_protocol::task::reason_text(view.failure.as_ref().expect("it failed").reason)
}

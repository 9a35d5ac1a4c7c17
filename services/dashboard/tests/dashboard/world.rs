//! The separate programs, and a dashboard of this process in front of them.

use std::time::Duration;

use conductor_client::{Control, Link, Options, Patience, Target};
use conductor_protocol::control::Submit;
use conductor_runtime::clock::Clock;
use conductor_runtime::config::{Sources, load};
use conductor_runtime::lifecycle::Shutdown;
use conductor_testkit::world::{Spawned, World};
use serde_json::Value;
use serde_json::value::to_raw_value;

/// The programs of a test. What is left is ended with it.
pub struct Running {
    pub world: World,
    pub orchestrator: Spawned,
    _agent: Spawned,
    pub url: String,
    shutdown: Shutdown,
}

impl Running {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same, with keys of the dashboard's configuration.
    pub async fn with(keys: &[(&str, &str)]) -> Self {
        Self::of(World::new(), keys).await
    }

    /// The same in a world whose configuration is written already.
    pub async fn of(world: World, keys: &[(&str, &str)]) -> Self {
        let orchestrator = world.orchestrator().await;
        let agent = world.agent("worker");
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let env = world.environment().into_iter().chain(keys).collect();
        let loaded = load(&Sources { env, ..Sources::default() }).unwrap();
        let shutdown = Shutdown::new();
        let link = Link::new(Target::of_home(world.home()), Options::new("dashboard"), Patience::None);
        let config = conductor_dashboard::Config::new(&loaded.config);
        let dashboard = conductor_dashboard::start(config, Clock::System, &shutdown, link).await.unwrap();
        Self { world, orchestrator, _agent: agent, url: dashboard.url, shutdown }
    }

    pub async fn control(&self) -> Control {
        self.world.connect().await
    }

    /// The one-time link of the login.
    pub async fn login_link(&self) -> String {
        let code = self.control().await.make_login().await.unwrap().code;
        format!("{}/login?code={code}", self.url)
    }

    pub async fn submit(&self, task: Value) -> String {
        self.submit_all(&[task]).await.remove(0)
    }

    pub async fn submit_all(&self, tasks: &[Value]) -> Vec<String> {
        let tasks = tasks.iter().map(|task| to_raw_value(task).unwrap()).collect();
        let submitted = self.control().await.submit(Submit { tasks, key: None }).await.unwrap();
        submitted.ids.iter().map(ToString::to_string).collect()
    }

    /// Kills the orchestrator and starts it again; `between` happens while it is away.
    pub async fn restart(&mut self, between: impl Future<Output = ()>) {
        self.orchestrator.kill();
        between.await;
        self.orchestrator = self.world.orchestrator().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.kill();
    }
}

/// How long anything on a page may take.
pub const SOON: Duration = Duration::from_secs(30);

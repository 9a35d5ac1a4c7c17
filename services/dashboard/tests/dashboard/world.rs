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
        let world = World::new();
        let orchestrator = world.orchestrator().await;
        let agent = world.agent("worker");
        let env = world.environment().into_iter().collect();
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
        let submit = Submit { tasks: vec![to_raw_value(&task).unwrap()], key: None };
        self.control().await.submit(submit).await.unwrap().ids[0].to_string()
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

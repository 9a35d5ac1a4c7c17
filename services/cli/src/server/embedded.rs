//! A server of one command's own: it runs what is submitted through it, and ends when none of that is live.

use std::time::Duration;

use conductor_client::{Link, Patience, Target};
use conductor_core::{TaskId, Wall};
use conductor_orchestrator::{Config, Running, StartError};
use conductor_protocol::control::{Call, Filter, ListRequest, Page, QueueView, StatusView};
use conductor_protocol::task::State;
use conductor_protocol::text::rfc3339;
use conductor_runtime::clock::Clock;
use conductor_runtime::credentials;
use conductor_runtime::lifecycle::Shutdown;
use conductor_runtime::listen;
use conductor_store::state_dir::LockError;

use super::agent::Agents;
use super::find::options;
use crate::context::Context;
use crate::exit::{Failure, chain};
use crate::screen;

/// How long the parts have to end.
const END: Duration = Duration::from_secs(10);
/// The first pause between two looks at what is live; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two looks at what is live.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why this command cannot be a server.
#[derive(Debug)]
pub enum Error {
    /// Another one owns the data.
    Busy(String),
    /// Something stands in the way.
    Start(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Busy(text) => Self::NotReachable(text),
            Error::Start(text) => Self::Failed(text),
        }
    }
}

/// Whether another one owns the data or listens.
fn is_busy(error: &StartError) -> bool {
    matches!(
        error,
        StartError::Lock(LockError::Held { .. }) | StartError::Listen(listen::Error::SocketBusy { .. })
    )
}

/// A server of this command's own.
#[derive(Debug)]
pub struct Embedded {
    running: Running,
    shutdown: Shutdown,
    agents: Agents,
    /// What was submitted from then on came through it.
    began: Wall,
}

impl Embedded {
    /// Starts it, with an agent when it is to run tasks.
    pub async fn start(context: &mut Context<'_>, with_agent: bool) -> Result<Self, Error> {
        let home = context.loaded.home.clone();
        let start = |error: &dyn std::error::Error| Error::Start(chain(error));
        let mut config = Config::new(&context.loaded.config, home.clone()).map_err(|error| start(&error))?;
        config.embedded = true;
        config.effective = context.loaded.shown_json();
        home.create().map_err(|error| start(&error))?;
        context.start_logs("error").map_err(|error| start(&error))?;
        credentials::admin_token(&home).map_err(|error| start(&error))?;
        let shutdown = Shutdown::new();
        let began = screen::now();
        let running = match conductor_orchestrator::start(config, Clock::System, &shutdown).await {
            Ok(running) => running,
            Err(error) if is_busy(&error) => return Err(Error::Busy(chain(&error))),
            Err(error) => return Err(start(&error)),
        };
        let mut embedded = Self { running, shutdown, agents: Agents::none("error", &context.loaded), began };
        if with_agent {
            if let Err(error) = embedded.agents.start(1) {
                embedded.kill().await;
                return Err(Error::Start(format!("cannot start an agent: {error}")));
            }
            embedded.tell_of_others(context, &home).await;
        }
        Ok(embedded)
    }

    /// Says how many tasks of before wait for another server.
    async fn tell_of_others(&self, context: &mut Context<'_>, home: &conductor_runtime::paths::Home) {
        let mut link = Link::new(Target::of_home(home), options(), Patience::None);
        let queue: Result<QueueView, _> = link.ask(&Call::Queue).await;
        let waiting: u64 = queue.map_or(0, |queue| {
            queue.by_state.iter().filter(|(state, _)| !state.is_terminal()).map(|(_, count)| count).sum()
        });
        if waiting > 0 {
            let tasks = if waiting == 1 { "1 task waits" } else { &format!("{waiting} tasks wait") };
            context.screen.note(format!("note: {tasks} from before, until: conductor up"));
        }
    }

    /// Waits until it has no agent any more.
    pub fn agents_gone(&self) -> impl Future<Output = ()> + use<> {
        self.agents.gone()
    }

    /// Ends it when nothing that was submitted through it is live.
    pub async fn close(
        mut self,
        context: &mut Context<'_>,
        mut link: Link,
        mine: &[TaskId],
    ) -> Result<(), Failure> {
        let waited = self.wait(context, &mut link, mine).await;
        drop(link);
        self.end(END).await;
        waited
    }

    /// Waits until nothing that was submitted through it is live, or a signal comes.
    async fn wait(
        &mut self,
        context: &mut Context<'_>,
        link: &mut Link,
        mine: &[TaskId],
    ) -> Result<(), Failure> {
        let Some(first) = self.last_live(link).await? else { return Ok(()) };
        let shutdown = context.signals()?;
        if shutdown.is_draining() {
            return self.leave(context);
        }
        context.screen.note(match mine.contains(&first) {
            true => "note: no server runs; this command is one until its tasks have ended",
            false => "note: this command is the server of others' tasks too; it ends with them",
        });
        self.agents.start(1).map_err(|error| Failure::Failed(format!("cannot start an agent: {error}")))?;
        let mut pause = FIRST_PAUSE;
        while self.last_live(link).await?.is_some() {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.draining() => return self.leave(context),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    /// Leaves tasks behind that have not ended.
    fn leave(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        context.screen.note("leaving; what has not ended waits for: conductor up");
        self.agents.kill();
        Ok(())
    }

    /// A live task that was submitted through this server. Without one nothing is let in any more, so that no task comes
    /// between this look and the end.
    async fn last_live(&self, link: &mut Link) -> Result<Option<TaskId>, Failure> {
        if let Some(live) = self.live(link).await? {
            return Ok(Some(live));
        }
        self.running.let_in(false);
        let live = self.live(link).await?;
        self.running.let_in(live.is_some());
        Ok(live)
    }

    /// A live task that was submitted through this server.
    async fn live(&self, link: &mut Link) -> Result<Option<TaskId>, Failure> {
        let status: StatusView = link.ask(&Call::Status).await?;
        let state = State::ALL.into_iter().filter(|state| !state.is_terminal()).collect();
        let filter = Filter { state, after: Some(rfc3339(self.began)), ..Filter::default() };
        let request = ListRequest {
            filter,
            limit: Some(1),
            at_least_seq: Some(status.log.seq),
            ..ListRequest::default()
        };
        let page: Page = link.ask(&Call::List(Box::new(request))).await?;
        Ok(page.items.first().map(|task| task.id))
    }

    /// Ends it at once.
    pub async fn kill(self) {
        self.agents.kill();
        self.end(END).await;
    }

    /// Ends it: the agents first, so that what they report is taken.
    async fn end(self, deadline: Duration) {
        let Self { running, shutdown, agents, .. } = self;
        agents.end(deadline).await;
        shutdown.finish(END).await;
        if let Err(error) = running.finish().await {
            tracing::error!(error = &error as &dyn std::error::Error, "the orchestrator failed");
        }
    }
}

//! Finding a server: the one that CONDUCTOR_URL names, the one of this home, one on this machine that takes the token that is
//! given, else one of this command's own.

use std::time::Duration;

use conductor_client::{Control, Error, Link, Options, Patience, Remote, Target};
use conductor_core::TaskId;
use conductor_protocol::Code;
use conductor_protocol::control::{Submit, Submitted};
use tokio::time::Instant;

use super::embedded::{self, Embedded};
use crate::context::Context;
use crate::exit::Failure;

/// How long a command bears with a server that is away.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it bears with another command's server that is away.
const BRIEF_PATIENCE: Duration = Duration::from_secs(3);
/// How long a command looks for a server, or tries to become one, while another begins or ends.
const SEARCH: Duration = Duration::from_secs(30);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// What a command needs of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// One that runs already: the command is about it.
    Running,
    /// The state alone; without a server this command opens it itself.
    State,
    /// One that runs tasks; without a server this command is one, for its own tasks.
    Work,
}

/// A server that a command found, or is.
#[derive(Debug)]
pub struct Server {
    /// The way to it.
    pub link: Link,
    embedded: Option<Embedded>,
}

impl Server {
    /// Finds a server, or becomes one where that serves the need.
    ///
    /// # Errors
    /// When there is none and there can be none.
    pub async fn find(context: &mut Context<'_>, need: Need) -> Result<Self, Failure> {
        if let Some(target) = far_target() {
            let target = target.map_err(|why| Failure::Usage(format!("{URL}: {why}")))?;
            let shown = variable(URL).unwrap_or_default();
            return Self::at(target).await.map_err(|error| match Failure::from(error) {
                Failure::NotReachable(text) => Failure::NotReachable(format!("{text} ({URL} is {shown})")),
                other => other,
            });
        }
        let target = Target::of_home(&context.loaded.home);
        let until = Instant::now() + SEARCH;
        loop {
            match target.connect(options()).await {
                Ok(control) if control.welcome().draining => ending(&control, until).await?,
                Ok(control) => {
                    // Another command's server does not come back.
                    let patience = if control.welcome().embedded { BRIEF_PATIENCE } else { PATIENCE };
                    let link = Link::over(target, options(), Patience::For(patience), control);
                    return Ok(Self { link, embedded: None });
                }
                Err(error @ Error::Unreachable { .. }) => match Self::here().await {
                    Some(server) => return Ok(server),
                    None if need == Need::Running => return Err(unreachable(error)),
                    None => {}
                },
                Err(error) => return Err(unreachable(error)),
            }
            match Embedded::start(context, need == Need::Work).await {
                Ok(embedded) => {
                    // It is this process: what fails, fails at once.
                    let link = Link::new(target, options(), Patience::None);
                    return Ok(Self { link, embedded: Some(embedded) });
                }
                // Another command was faster, or its server is not gone yet.
                Err(embedded::Error::Busy(_)) if Instant::now() < until => {}
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The server behind an API.
    async fn at(target: Target) -> Result<Self, Error> {
        let control = target.connect(options()).await?;
        let link = Link::over(target, options(), Patience::For(PATIENCE), control);
        Ok(Self { link, embedded: None })
    }

    /// A server on this machine that another home has, as a container's: one that takes the token that is given.
    async fn here() -> Option<Self> {
        let remote = Remote::new(LOCAL, variable(TOKEN)?).ok()?;
        let found = tokio::time::timeout(LOCAL_TIME, Self::at(Target::Remote(remote))).await;
        found.ok()?.ok()
    }

    /// Submits tasks, once, also when the server that was found goes away meanwhile.
    pub async fn submit(
        &mut self,
        context: &mut Context<'_>,
        mut submit: Submit,
    ) -> Result<Submitted, Failure> {
        submit.key.get_or_insert_with(|| format!("once-{}", uuid::Uuid::new_v4()));
        let until = Instant::now() + SEARCH;
        loop {
            let error = match self.link.submit(submit.clone()).await {
                Ok(submitted) => return Ok(submitted),
                Err(error) => error,
            };
            let is_going = error.is_of_the_connection() || is_stopping(&error);
            if self.embedded.is_some() || !is_going || Instant::now() > until {
                return Err(error.into());
            }
            tokio::time::sleep(PAUSE).await;
            *self = Self::find(context, Need::Work).await?;
        }
    }

    /// Waits until this command's own server has no agent any more.
    pub async fn agents_gone(&self) {
        match &self.embedded {
            Some(embedded) => embedded.agents_gone().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the server is this command's own and runs nothing of others.
    pub fn is_own(&self) -> bool {
        self.embedded.is_some()
    }

    /// Ends the server when it is this command's own: after what was submitted through it has ended.
    pub async fn close(self, context: &mut Context<'_>, mine: &[TaskId]) -> Result<(), Failure> {
        match self.embedded {
            Some(embedded) => embedded.close(context, self.link, mine).await,
            None => Ok(()),
        }
    }

    /// Ends the server at once when it is this command's own.
    pub async fn close_at_once(self) {
        if let Some(embedded) = self.embedded {
            drop(self.link);
            embedded.kill().await;
        }
    }
}

/// How this program opens connections.
pub fn options() -> Options {
    Options::new(concat!("conductor/", env!("CARGO_PKG_VERSION")))
}

/// The address of a server over HTTP.
const URL: &str = "CONDUCTOR_URL";
/// The token that is shown to it.
const TOKEN: &str = "CONDUCTOR_TOKEN";
/// Where a server on this machine serves when nothing else is said.
const LOCAL: &str = "http://127.0.0.1:8081";
/// How long it has to answer as Conductor.
const LOCAL_TIME: Duration = Duration::from_secs(2);

/// The server that CONDUCTOR_URL names; what is wrong with the name where it is none.
pub fn far_target() -> Option<Result<Target, String>> {
    let url = variable(URL)?;
    Some(Remote::new(&url, variable(TOKEN).unwrap_or_default()).map(Target::Remote))
}

/// Refuses a command that is about the files of this home while another server is asked for.
pub fn refuse_far() -> Result<(), Failure> {
    match variable(URL) {
        None => Ok(()),
        Some(url) => Err(Failure::Usage(format!(
            "{URL} is {url}, and this command is about the files of a home: run it where that server runs, or unset {URL}"
        ))),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Waits until a server that is stopping has let its clients go.
async fn ending(control: &Control, until: Instant) -> Result<(), Failure> {
    match tokio::time::timeout_at(until, control.lost()).await {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::NotReachable("the orchestrator is stopping".to_owned())),
    }
}

fn is_stopping(error: &Error) -> bool {
    match error {
        Error::Refused(problem) => problem.code == Code::Unavailable && problem.retry_after_seconds.is_some(),
        Error::Unreachable { .. }
        | Error::Key { .. }
        | Error::Lost(_)
        | Error::Malformed(_)
        | Error::Slow => false,
    }
}

fn unreachable(error: Error) -> Failure {
    match Failure::from(error) {
        Failure::NotReachable(text) => Failure::NotReachable(format!(
            "{text}; start one with: conductor up (conductor doctor says more)"
        )),
        other => other,
    }
}

//! The way to the orchestrator, kept open: connections are made anew for ever.

use std::sync::Arc;
use std::time::Duration;

use conductor_client::{Control, Error, Link};
use conductor_protocol::Problem;
use conductor_runtime::lifecycle::Shutdown;
use tokio::sync::watch;

use crate::refusal::{away, problem_of};

/// The first pause between two attempts to connect; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a request waits for a connection that is being made anew.
const PATIENCE: Duration = Duration::from_secs(2);

/// The connection, or why there is none.
type State = Result<Control, Arc<str>>;

/// The way to the orchestrator; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Orchestrator {
    state: watch::Receiver<State>,
}

impl Orchestrator {
    /// Begins to connect.
    pub(crate) fn keep(link: Link, shutdown: &Shutdown) -> Self {
        let (told, state) = watch::channel(Err("no attempt was made yet".into()));
        let ending = shutdown.clone();
        shutdown.spawn("orchestrator link", async move {
            tokio::select! {
                () = connect_for_ever(link, told) => {}
                // What is under way still needs the connection; it is dropped with the last of them.
                () = ending.killed() => {}
                () = drained(&ending) => {}
            }
        });
        Self { state }
    }

    /// The connection there is now.
    pub(crate) fn now(&self) -> Result<Control, Problem> {
        match &*self.state.borrow() {
            Ok(control) if !control.is_lost() => Ok(control.clone()),
            Ok(_) | Err(_) => Err(away()),
        }
    }

    /// The connection there is now, or within a moment.
    pub(crate) async fn soon(&self) -> Result<Control, Problem> {
        if let Ok(control) = self.now() {
            return Ok(control);
        }
        let mut state = self.state.clone();
        let there = state.wait_for(|state| state.as_ref().is_ok_and(|control| !control.is_lost()));
        match tokio::time::timeout(PATIENCE, there).await {
            Ok(Ok(state)) => state.clone().map_err(|_| away()),
            Ok(Err(_)) | Err(_) => Err(away()),
        }
    }

    /// Why there is no connection; nothing when there is one.
    pub(crate) fn why_away(&self) -> Option<Arc<str>> {
        match &*self.state.borrow() {
            Ok(control) if !control.is_lost() => None,
            Ok(_) => Some("the connection was lost".into()),
            Err(why) => Some(Arc::clone(why)),
        }
    }
}

/// Lets the drain pass: until the others have ended, the connection stays.
async fn drained(shutdown: &Shutdown) {
    shutdown.draining().await;
    while shutdown.running().iter().any(|name| *name != "orchestrator link") {
        tokio::time::sleep(FIRST_PAUSE).await;
    }
}

async fn connect_for_ever(mut link: Link, told: watch::Sender<State>) {
    let mut pause = FIRST_PAUSE;
    let mut warned = false;
    loop {
        match link.control().await {
            Ok(control) => {
                tracing::info!(orchestrator = control.welcome().version, "connected to the orchestrator");
                tell(&told, Ok(control.clone()));
                let why = control.lost().await;
                tracing::warn!(error = &why as &dyn std::error::Error, "the orchestrator went away");
                tell(&told, Err(why.to_string().into()));
                (pause, warned) = (FIRST_PAUSE, true);
            }
            Err(error) => {
                if !std::mem::replace(&mut warned, true) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "waiting for the orchestrator");
                }
                tell(&told, Err(told_as(error).into()));
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

fn tell(told: &watch::Sender<State>, state: State) {
    told.send_modify(|now| *now = state);
}

fn told_as(error: Error) -> String {
    problem_of(error).detail
}

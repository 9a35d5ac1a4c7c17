//! The way by which the tools reach the orchestrator.

use std::sync::Arc;

use conductor_client::{Control, Error, Link};
use conductor_protocol::control::{Submit, Submitted};
use tokio::sync::Mutex;

/// The way by which the tools reach the orchestrator.
#[derive(Debug, Clone)]
pub enum Way {
    /// A connection of this moment, on behalf of who asks.
    Connection(Control),
    /// One that outlasts restarts of the orchestrator, for a client that stays.
    Link(Arc<Mutex<Link>>),
}

impl Way {
    /// A way that outlasts restarts of the orchestrator.
    #[must_use]
    pub fn over(link: Link) -> Self {
        Self::Link(Arc::new(Mutex::new(link)))
    }

    /// A connection.
    pub(super) async fn control(&self) -> Result<Control, Error> {
        match self {
            Self::Connection(control) => Ok(control.clone()),
            Self::Link(link) => link.lock().await.control().await,
        }
    }

    /// Submits, once, also when the connection is lost on the way.
    pub(super) async fn submit(&self, submit: Submit) -> Result<Submitted, Error> {
        match self {
            Self::Connection(control) => control.submit(submit).await,
            Self::Link(link) => link.lock().await.submit(submit).await,
        }
    }
}

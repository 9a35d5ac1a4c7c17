//! Connections for what takes long: following an output, waiting for a task.
//!
//! The orchestrator reads only so many requests of one connection at a time. What takes long has connections of its own,
//! so that it never stands in the way of what is quick.

use std::sync::{Arc, Mutex, PoisonError};

use conductor_client::{Control, Error, Options, WhenFull};
use conductor_protocol::{Code, Problem};
use conductor_web::{Caller, Site};
use tokio::sync::Mutex as Turn;

/// The most that is under way on one connection.
const MAX_PER_LINE: usize = 256;
/// The most connections.
const MAX_LINES: usize = 32;

/// Connections for what takes long; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    site: Site,
    open: Arc<Mutex<Vec<Line>>>,
    /// Held while a connection is made, so that those who wait for one share it.
    opening: Arc<Turn<()>>,
}

#[derive(Debug)]
struct Line {
    control: Control,
    /// Counted by how many hold it.
    users: Arc<()>,
}

/// A place on a connection, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    control: Control,
    _user: Arc<()>,
}

impl Place {
    /// The connection, on behalf of the caller.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }
}

impl Lines {
    pub(crate) fn new(site: Site) -> Self {
        Self { site, open: Arc::default(), opening: Arc::default() }
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// A place for something of the caller that takes long.
    ///
    /// # Errors
    /// `unavailable` when there is no orchestrator, or as much is under way as may be.
    pub(crate) async fn place(&self, caller: &Caller) -> Result<Place, Error> {
        if let Some(place) = self.free(caller)? {
            return Ok(place);
        }
        let turn = self.opening.lock().await;
        if let Some(place) = self.free(caller)? {
            return Ok(place);
        }
        let options =
            Options::new(concat!("conductor-api ", env!("CARGO_PKG_VERSION"))).when_full(WhenFull::End);
        let control = self.site.another_link(options).await.control().await?;
        let line = Line { control, users: Arc::new(()) };
        let place = line.place(caller);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        drop(turn);
        Ok(place)
    }

    /// A place on a connection that is open; nothing when there is none and another may be made.
    fn free(&self, caller: &Caller) -> Result<Option<Place>, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|line| !line.control.is_lost());
        // The fullest that has room, so that the others fall idle and could be closed.
        let line = open.iter().filter(|line| line.users() < MAX_PER_LINE).max_by_key(|line| line.users());
        match line {
            Some(line) => Ok(Some(line.place(caller))),
            None if open.len() < MAX_LINES => Ok(None),
            None => {
                let detail = "as many streams and waits are under way as may be";
                Err(Error::Refused(Problem::new(Code::Unavailable, detail).retry_after(5)))
            }
        }
    }
}

impl Line {
    fn users(&self) -> usize {
        Arc::strong_count(&self.users) - 1
    }

    fn place(&self, caller: &Caller) -> Place {
        Place { control: self.control.on_behalf_of(caller.actor()), _user: Arc::clone(&self.users) }
    }
}

/// Whether something that takes long may be asked for again on another connection.
pub(crate) fn is_passing(error: &Error) -> bool {
    error.is_of_the_connection() || matches!(error, Error::Slow)
}

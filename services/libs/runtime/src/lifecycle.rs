//! How a program ends: the first signal drains, the second or the deadline kills.

mod shutdown;
mod signals;

use std::time::Duration;

pub use shutdown::{Shutdown, TaskName};

/// After a kill, tasks have this long to let go before the program ends without them.
pub const KILL_GRACE: Duration = Duration::from_secs(5);

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every task came to its end by itself.
    Drained,
    /// A second signal or the deadline cut the drain short; these tasks had not ended then.
    Killed { tasks: Vec<TaskName> },
    /// A task panicked, which is a bug.
    Panicked { task: TaskName },
}

/// The life of one program: it turns signals into a drain and then a kill.
#[derive(Debug)]
pub struct Lifecycle {
    shutdown: Shutdown,
    drain_deadline: Duration,
    signals: signals::Watch,
}

impl Lifecycle {
    /// Begins to listen for SIGTERM and SIGINT, and to ignore SIGHUP. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The system's, when signals cannot be caught.
    pub fn start(drain_deadline: Duration) -> std::io::Result<Self> {
        let shutdown = Shutdown::new();
        let signals = signals::Watch::start(&shutdown)?;
        Ok(Lifecycle { shutdown, drain_deadline, signals })
    }

    /// Gives a handle for the parts of the program.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Waits until the program is told to end, by a signal or by one of its parts, and has ended.
    pub async fn finish(self) -> Ended {
        self.shutdown.draining().await;
        let ended = self.shutdown.finish(self.drain_deadline).await;
        drop(self.signals);
        ended
    }
}

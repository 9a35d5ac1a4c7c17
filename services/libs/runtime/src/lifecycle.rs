//! How a program ends: the first signal drains, the second or the deadline kills.

mod parent;
mod shutdown;
mod signals;

use std::time::Duration;

pub use parent::ParentPipe;
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

/// A program ended before all of it had come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutShort {
    /// By a second signal or the deadline.
    #[error("ended before {0:?} had")]
    Killed(Vec<TaskName>),
    /// By a bug.
    #[error("{0} panicked")]
    Panicked(TaskName),
}

impl Ended {
    /// Whether everything came to its end by itself.
    ///
    /// # Errors
    /// Says what did not.
    pub fn in_order(self) -> Result<(), CutShort> {
        match self {
            Self::Drained => Ok(()),
            Self::Killed { tasks } => Err(CutShort::Killed(tasks)),
            Self::Panicked { task } => Err(CutShort::Panicked(task)),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_drain_is_an_end_in_order() {
        assert_eq!(Ended::Drained.in_order(), Ok(()));
        let killed = Ended::Killed { tasks: vec!["engine"] }.in_order().unwrap_err();
        assert_eq!(killed.to_string(), "ended before [\"engine\"] had");
        let panicked = Ended::Panicked { task: "engine" }.in_order().unwrap_err();
        assert_eq!(panicked.to_string(), "engine panicked");
    }
}

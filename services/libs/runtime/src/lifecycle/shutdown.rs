//! The handle by which the parts of a program end together.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Ended, KILL_GRACE};

/// What a task is called in logs.
pub type TaskName = &'static str;

/// A cheap handle: it begins the end, tells of it, and tracks the tasks that must end first.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    kill: CancellationToken,
    tracker: TaskTracker,
    tasks: Arc<Mutex<Tasks>>,
}

#[derive(Debug, Default)]
struct Tasks {
    next: u64,
    running: BTreeMap<u64, TaskName>,
    /// What ran when the kill began.
    killed: Option<Vec<TaskName>>,
    panicked: Option<TaskName>,
}

impl Shutdown {
    /// Makes a handle that no signal reaches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a handle for a part that can end on its own and ends with this one at the latest. Its tasks are its own:
    /// who made it calls [`Shutdown::finish`] on it.
    pub fn child(&self) -> Self {
        Shutdown { drain: self.drain.child_token(), kill: self.kill.child_token(), ..Self::default() }
    }

    /// Runs a task that must end before the program does. A panic in it drains the program.
    pub fn spawn<F>(&self, name: TaskName, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let entry = self.enter(name);
        self.tracker.spawn(async move {
            let result = AssertUnwindSafe(future).catch_unwind().await;
            result.unwrap_or_else(|panic| {
                entry.panicked(message_of(&*panic));
                std::panic::resume_unwind(panic)
            })
        })
    }

    /// Begins the drain: no new work, and what runs comes to its end.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Begins the kill: tasks stop where they are.
    pub fn kill(&self) {
        let mut tasks = self.tasks();
        if tasks.killed.is_none() {
            tasks.killed = Some(tasks.running.values().copied().collect());
        }
        drop(tasks);
        self.drain.cancel();
        self.kill.cancel();
    }

    /// Waits for the drain to begin.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits for the kill to begin.
    pub async fn killed(&self) {
        self.kill.cancelled().await;
    }

    /// Tells whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Tells whether the kill has begun.
    pub fn is_killed(&self) -> bool {
        self.kill.is_cancelled()
    }

    /// Gives the names of the tasks that have not ended, oldest first.
    pub fn running(&self) -> Vec<TaskName> {
        self.tasks().running.values().copied().collect()
    }

    /// Drains and waits for every task, at most `deadline`; then kills and waits a short grace.
    pub async fn finish(&self, deadline: Duration) -> Ended {
        self.drain();
        self.tracker.close();
        tokio::select! {
            () = self.tracker.wait() => {}
            () = self.killed() => {}
            () = tokio::time::sleep(deadline) => {
                let deadline_seconds = deadline.as_secs();
                tracing::warn!(deadline_seconds, tasks = ?self.running(), "the drain took too long");
                self.kill();
            }
        }
        if self.is_killed() && tokio::time::timeout(KILL_GRACE, self.tracker.wait()).await.is_err() {
            tracing::error!(tasks = ?self.running(), "tasks did not end when killed");
        }
        let tasks = self.tasks();
        match tasks.panicked {
            Some(task) => Ended::Panicked { task },
            None if self.is_killed() => Ended::Killed { tasks: tasks.killed.clone().unwrap_or_default() },
            None => Ended::Drained,
        }
    }

    fn enter(&self, name: TaskName) -> Entry {
        let mut tasks = self.tasks();
        let number = tasks.next;
        tasks.next += 1;
        tasks.running.insert(number, name);
        Entry { shutdown: self.clone(), number }
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it gave no message")
}

/// One task in the list, as long as its future lives.
struct Entry {
    shutdown: Shutdown,
    number: u64,
}

impl Entry {
    fn panicked(&self, message: &str) {
        let mut tasks = self.shutdown.tasks();
        let name = tasks.running.get(&self.number);
        let task = *name.expect("a task is listed until its entry is dropped");
        tasks.panicked.get_or_insert(task);
        drop(tasks);
        tracing::error!(task, panic = message, "a task panicked; the program ends");
        self.shutdown.drain();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shutdown.tasks().running.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_drain_waits_for_tasks_that_come_to_their_end() {
        let shutdown = Shutdown::new();
        let inside = shutdown.clone();
        let task = shutdown.spawn("listener", async move {
            inside.draining().await;
            7
        });
        assert_eq!(shutdown.running(), ["listener"]);
        assert!(!shutdown.is_draining());
        assert_eq!(shutdown.finish(LONG).await, Ended::Drained);
        assert_eq!(task.await.unwrap(), 7);
        assert!(shutdown.running().is_empty() && !shutdown.is_killed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_kills_and_names_what_had_not_ended() {
        let shutdown = Shutdown::new();
        let inside = shutdown.clone();
        shutdown.spawn("slow", async move { inside.killed().await });
        shutdown.spawn("quick", std::future::ready(()));
        let ended = shutdown.finish(Duration::from_secs(30)).await;
        assert_eq!(ended, Ended::Killed { tasks: vec!["slow"] });
    }

    #[tokio::test(start_paused = true)]
    async fn a_kill_cuts_the_drain_short() {
        let shutdown = Shutdown::new();
        let inside = shutdown.clone();
        shutdown.spawn("slow", async move { inside.killed().await });
        let began = tokio::time::Instant::now();
        let handle = shutdown.clone();
        let finish = tokio::spawn(async move { handle.finish(LONG).await });
        tokio::task::yield_now().await;
        shutdown.kill();
        assert_eq!(finish.await.unwrap(), Ended::Killed { tasks: vec!["slow"] });
        assert!(began.elapsed() < KILL_GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_the_kill_cannot_hold_the_program() {
        let shutdown = Shutdown::new();
        shutdown.spawn("stuck", pending::<()>());
        let ended = shutdown.finish(Duration::ZERO).await;
        assert_eq!(ended, Ended::Killed { tasks: vec!["stuck"] });
    }

    #[tokio::test]
    async fn a_panic_drains_the_program_and_is_told() {
        let shutdown = Shutdown::new();
        let inside = shutdown.clone();
        shutdown.spawn("listener", async move { inside.draining().await });
        let task = shutdown.spawn("engine", async { panic!("a bug") });
        shutdown.draining().await;
        assert_eq!(shutdown.finish(LONG).await, Ended::Panicked { task: "engine" });
        assert!(task.await.unwrap_err().is_panic());
    }

    #[tokio::test]
    async fn a_child_ends_alone_or_with_its_parent() {
        let parent = Shutdown::new();
        let (alone, with_parent) = (parent.child(), parent.child());
        alone.drain();
        assert!(alone.is_draining() && !parent.is_draining() && !with_parent.is_draining());
        parent.kill();
        assert!(with_parent.is_draining() && with_parent.is_killed() && alone.is_killed());
    }

    #[tokio::test]
    async fn an_aborted_task_is_no_longer_listed() {
        let shutdown = Shutdown::new();
        let task = shutdown.spawn("stuck", pending::<()>());
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(shutdown.running().is_empty());
    }
}

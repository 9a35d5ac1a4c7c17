//! History follows the log, on a thread of its own and in bulk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use conductor_core::Seq;
use conductor_protocol::{Code, Problem};
use conductor_store::history::History;
use conductor_store::log::{EventLog, Read};
use tokio::sync::watch;

use crate::gate::Gate;

/// Events taken in together at most.
const MAX_STRETCH: usize = 20_000;
/// How long events gather before they are taken in, when nobody waits for them.
const GATHER: Duration = Duration::from_millis(100);
/// How often what was taken in is made durable, so that the log can be trimmed.
const SYNC_EVERY_EVENTS: u64 = 200_000;
/// How long a list waits for History before it shows what is there.
const WAIT_FOR_HISTORY: Duration = Duration::from_secs(5);
/// Nice value of the thread: answering people comes first.
const NICE: i32 = 5;

enum Nudge {
    /// Somebody waits.
    Hurry,
    /// The end.
    Stop,
}

/// The way to a following History.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    history: Arc<dyn History>,
    nudges: SyncSender<Nudge>,
    applied: watch::Receiver<Seq>,
}

/// The thread, to be joined at the end.
#[derive(Debug)]
pub(crate) struct Thread(std::thread::JoinHandle<()>);

impl Thread {
    /// Waits for the thread. Blocks.
    pub(crate) fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the history's thread panicked");
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(
    log: Arc<dyn EventLog>,
    history: Arc<dyn History>,
    durable: watch::Receiver<Seq>,
    gate: Arc<Gate>,
) -> std::io::Result<(Follower, Thread)> {
    let (nudges, nudged) = sync_channel(1);
    let (tell, applied) = watch::channel(history.applied());
    let following =
        Following { log, history: history.clone(), durable, gate, tell, synced: history.durable() };
    let thread = std::thread::Builder::new().name("history".into()).spawn(move || following.run(&nudged))?;
    Ok((Follower { history, nudges, applied }, Thread(thread)))
}

impl Follower {
    /// The read model.
    pub(crate) fn history(&self) -> &Arc<dyn History> {
        &self.history
    }

    /// Waits until History shows `seq`, shortly; answers whether it does.
    pub(crate) async fn reach(&self, seq: Seq) -> bool {
        let mut applied = self.applied.clone();
        if *applied.borrow() >= seq {
            return true;
        }
        // A nudge that does not fit means that one is there already.
        drop(self.nudges.try_send(Nudge::Hurry));
        let reached = applied.wait_for(|applied| *applied >= seq);
        matches!(tokio::time::timeout(WAIT_FOR_HISTORY, reached).await, Ok(Ok(_)))
    }

    /// Reads from History on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn History) -> Result<T, conductor_store::history::Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let history = self.history.clone();
        let done = tokio::task::spawn_blocking(move || read(&*history)).await;
        match done {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(conductor_store::history::Error::Cursor)) => {
                Err(Problem::at("/cursor", "the cursor is not one of a page"))
            }
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "failed to read the history");
                Err(Problem::new(Code::Internal, "failed to read the history"))
            }
            Err(_) => Err(Problem::new(Code::Internal, "failed to read the history")),
        }
    }

    /// Ends the thread, once it has taken in what is durable.
    pub(crate) fn stop(&self) {
        // Blocks only for as long as the thread takes to see a nudge before this one.
        drop(self.nudges.send(Nudge::Stop));
    }
}

struct Following {
    log: Arc<dyn EventLog>,
    history: Arc<dyn History>,
    durable: watch::Receiver<Seq>,
    gate: Arc<Gate>,
    tell: watch::Sender<Seq>,
    synced: Seq,
}

impl Following {
    fn run(mut self, nudged: &Receiver<Nudge>) {
        lower_priority();
        let mut stopping = false;
        loop {
            let behind = self.catch_up(stopping);
            if stopping {
                break;
            }
            let pause = if behind { Duration::from_secs(1) } else { GATHER };
            match nudged.recv_timeout(pause) {
                Ok(Nudge::Hurry) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Nudge::Stop) | Err(RecvTimeoutError::Disconnected) => stopping = true,
            }
        }
        self.sync();
    }

    /// Takes in what is durable. Answers whether something stands in the way.
    fn catch_up(&mut self, stopping: bool) -> bool {
        loop {
            let durable = *self.durable.borrow_and_update();
            let applied = self.history.applied();
            self.gate.lag(durable.0.saturating_sub(applied.0));
            if applied >= durable {
                return false;
            }
            if let Err(error) = self.take_in(applied) {
                tracing::error!(error = &*error, %applied, "the history cannot follow the event log");
                return true;
            }
            if self.history.applied().0 - self.synced.0 >= SYNC_EVERY_EVENTS && !stopping {
                self.sync();
            }
        }
    }

    fn take_in(&mut self, applied: Seq) -> Result<(), Box<dyn std::error::Error>> {
        match self.log.read_after(applied, MAX_STRETCH)? {
            // Only a log that lost something has less than it said: asking again at once would go on for ever.
            Read::Events(stretch) if stretch.events.is_empty() => {
                Err(format!("event {} is not in the log any more", applied.next()).into())
            }
            Read::Events(stretch) => {
                let seq = self.history.apply(self.log.status().log, &stretch, &*self.log)?;
                self.tell.send_replace(seq);
                Ok(())
            }
            Read::Trimmed { first } => {
                Err(format!("events from {} to {first} are gone from the log", applied.next()).into())
            }
        }
    }

    fn sync(&mut self) {
        match self.history.sync() {
            Ok(seq) => self.synced = seq,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "failed to sync the history")
            }
        }
    }
}

/// Lets the threads that answer people go first.
fn lower_priority() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::debug!(%error, "the history's thread keeps its priority");
    }
}

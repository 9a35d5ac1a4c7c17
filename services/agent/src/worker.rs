//! The worker: it owns the slots, the outbox and the session, and is the only one that decides.
//!
//! One loop takes what comes (reports of slots, results that are kept, the orchestrator's words, signals, time), changes
//! [`state::Worker`], and says what there is to say in one message. Nothing on the way from an assignment to its report
//! waits for a timer.

mod ahead;
mod assign;
mod ending;
mod identity;
mod messages;
mod offers;
mod outputs;
mod report;
mod room;
mod runs;
mod settings;
mod state;
mod unacknowledged;
mod work;

use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;

use conductor_core::InstanceId;
use conductor_runtime::lifecycle::Shutdown;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::outbox::{self, Outbox};
use crate::output;
use crate::process::leftover;
use crate::runner::program::probe::Versions;
use crate::runner::{self, Slots};
use crate::session;
pub use ending::Exit;
pub use identity::Error as IdentityError;
use identity::Identity;
pub use settings::Settings;
use state::{Parts, Worker};

/// How many reports of slots may wait; a slot waits when there are more.
const MAX_REPORTS: usize = 256;
/// How many words of the orchestrator may wait; the socket waits when there are more.
const MAX_EVENTS: usize = 16;
/// How long the session may take to send the last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a worker that is about to leave may take.
const PREDECESSOR: Duration = Duration::from_secs(15);
/// How long one may take to notice that it has to.
const UNAWARE: Duration = Duration::from_secs(2);
const PREDECESSOR_PAUSE: Duration = Duration::from_millis(20);

/// Why a worker cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Outbox(#[from] outbox::Error),
    #[error(transparent)]
    Slots(#[from] runner::Error),
    #[error("end what an earlier life of this agent left running")]
    Leftover(#[source] std::io::Error),
}

/// Works until it is told to end, and says how it ended. `monitor_gone` is ready when the monitor is gone.
///
/// # Errors
/// When the agent's folder, outbox or slots cannot be used.
pub async fn run(
    mut settings: Settings,
    shutdown: &Shutdown,
    monitor_gone: impl Future<Output = ()>,
) -> Result<Exit, Error> {
    let mut identity = identify(&settings).await?;
    let (stored_sender, mut stored) = mpsc::channel(MAX_REPORTS);
    let (outbox, found) = Outbox::open(identity.folder(), identity.is_known(), stored_sender)?;
    identity.keep()?;
    let ended = leftover::end_agent(&identity.agent_id().to_string()).map_err(Error::Leftover)?;
    if ended > 0 {
        tracing::warn!(processes = ended, "ended what an earlier life of this agent had left running");
    }
    settings.programs.sandbox.look_for_network(&settings.keeper);
    settings.programs.sandbox.tidy();
    // Programs are asked before there are slots: after that this process makes no children but keepers.
    let mut versions = Versions::open(identity.folder());
    versions.learn(&settings.programs);
    versions.keep(identity.folder());
    let (report_sender, mut reports) = mpsc::channel(MAX_REPORTS);
    let slots = Slots::start(
        &runner::Settings {
            at_once: settings.slots,
            workspace: settings.workspace.clone(),
            agent_id: identity.agent_id().to_string(),
            keeper: settings.keeper.clone(),
            environment: settings.environment.clone(),
            git: Arc::clone(&settings.git),
            programs: settings.programs.clone(),
        },
        settings.places(),
        &report_sender,
    )?;
    let (event_sender, mut events) = mpsc::channel(MAX_EVENTS);
    let session = shutdown.spawn("session", session::run(settings.target.clone(), event_sender));
    let instance = InstanceId(uuid::Uuid::now_v7().as_u128());
    let (taken_sender, mut taken) = mpsc::channel(MAX_REPORTS);
    let (orders, receiver) = mpsc::unbounded_channel();
    let sender = output::Sender { target: settings.target.clone(), agent_id: identity.agent_id(), instance };
    let sending = shutdown.spawn("output", output::run(sender, receiver, taken_sender));
    let parts = Parts { identity, instance, versions, slots, outbox, output: orders };
    let mut worker = Worker::new(settings, parts, found);
    let mut monitor_gone = std::pin::pin!(monitor_gone);
    let (mut told_to_drain, mut told_to_end, mut alone) = (false, false, false);
    let exit = loop {
        worker.speak();
        if let Some(exit) = worker.ended() {
            break exit;
        }
        let deadline = worker.next_deadline();
        tokio::select! {
            Some(report) = reports.recv() => {
                worker.hear_slot(report);
                while let Ok(report) = reports.try_recv() {
                    worker.hear_slot(report);
                }
            }
            Some(leases) = stored.recv() => worker.stored(leases),
            Some(lease) = taken.recv() => worker.output_taken(lease),
            Some(event) = events.recv() => worker.hear_session(event),
            () = worker.room_to_speak() => {}
            () = until(deadline) => worker.handle_timeout(),
            () = shutdown.draining(), if !told_to_drain => {
                told_to_drain = true;
                worker.drain();
            }
            () = shutdown.killed(), if !told_to_end => {
                told_to_end = true;
                worker.abandon(Exit::Killed);
            }
            () = &mut monitor_gone, if !alone => {
                alone = true;
                tracing::error!("the monitor is gone; the worker ends");
                worker.abandon(Exit::MonitorGone);
            }
        }
    };
    // Who still waits to be heard is not waited for.
    drop((events, stored, reports));
    let (slots, outbox) = worker.leave();
    outbox.close();
    drop(taken);
    if tokio::time::timeout(LAST_WORDS, async { tokio::join!(session, sending) }).await.is_err() {
        tracing::debug!("the session did not close in time");
    }
    close(slots, exit);
    Ok(exit)
}

/// Opens the agent's folder. The worker of an agent that was killed is about to leave, and is waited for.
async fn identify(settings: &Settings) -> Result<Identity, IdentityError> {
    let since = Instant::now();
    loop {
        match Identity::open(&settings.agents, &settings.name) {
            Err(IdentityError::Locked { leaving, .. })
                if since.elapsed() < if leaving { PREDECESSOR } else { UNAWARE } =>
            {
                tokio::time::sleep(PREDECESSOR_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// Gives the slots' threads a moment to leave. One that hangs is ended with the process, and its run with its keeper.
fn close(slots: Slots, exit: Exit) {
    let wait = match exit {
        Exit::Drained | Exit::Revoked => Duration::from_secs(5),
        Exit::Killed | Exit::MonitorGone => Duration::from_millis(200),
    };
    let (done, closed) = std_mpsc::channel();
    let closer = std::thread::Builder::new().name("close-slots".into()).spawn(move || {
        slots.close();
        let _ = done.send(());
    });
    if closer.is_ok() && closed.recv_timeout(wait).is_err() {
        tracing::warn!("not every slot was left in time");
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

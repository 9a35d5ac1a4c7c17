//! Signals, through signal-hook.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};
use signal_hook_tokio::Signals;
use tokio::task::JoinHandle;

use super::Shutdown;

/// The exit code of a program that was told thrice.
const IMPATIENT_EXIT: i32 = 130;

/// Turns the first signal into a drain and the second into a kill, until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    task: JoinHandle<()>,
    emergency: Vec<SigId>,
}

impl Watch {
    pub(super) fn start(shutdown: &Shutdown) -> io::Result<Self> {
        // A third signal ends the process from the handler itself, for the case that the runtime is stuck.
        let told_twice = Arc::new(AtomicBool::new(false));
        let emergency = [SIGTERM, SIGINT]
            .into_iter()
            .map(|signal| {
                flag::register_conditional_shutdown(signal, IMPATIENT_EXIT, Arc::clone(&told_twice))
            })
            .collect::<io::Result<Vec<_>>>()?;
        // SIGHUP gets a handler and not SIG_IGN, which children would inherit.
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let task = tokio::spawn(follow(signals, shutdown.clone(), told_twice));
        Ok(Watch { task, emergency })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
        for id in self.emergency.drain(..) {
            low_level::unregister(id);
        }
    }
}

async fn follow(mut signals: Signals, shutdown: Shutdown, told_twice: Arc<AtomicBool>) {
    while let Some(signal) = signals.next().await {
        let name = low_level::signal_name(signal).unwrap_or("unnamed");
        if signal == SIGHUP {
            tracing::debug!("ignored SIGHUP");
        } else if !shutdown.is_draining() {
            tracing::info!(signal = name, "draining; a second signal ends at once");
            shutdown.drain();
        } else {
            tracing::warn!(signal = name, "ending at once");
            told_twice.store(true, Ordering::SeqCst);
            shutdown.kill();
        }
    }
}

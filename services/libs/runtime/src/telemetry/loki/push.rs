//! The thread that pushes one batch after the other.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_loki::{BackgroundTask, BackgroundTaskController};
use url::Url;

use super::Limits;
use super::layer::{Batch, Shared};

/// Where batches go, and under which label.
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) program: &'static str,
}

/// The half of a batch that pushes it.
pub(super) struct Pushing {
    close: BackgroundTaskController,
    task: BackgroundTask,
}

impl Target {
    /// Makes an empty batch.
    pub(super) fn batch(&self) -> Result<(Batch, Pushing), tracing_loki::Error> {
        let builder = tracing_loki::builder().label("program", self.program)?;
        let (layer, close, task) = builder.build_controller_url(self.url.clone())?;
        Ok((Batch::new(layer), Pushing { close, task }))
    }
}

/// What the thread works with.
pub(super) struct Pusher {
    pub(super) shared: Arc<Shared>,
    pub(super) target: Target,
    pub(super) limits: Limits,
    pub(super) stop: CancellationToken,
}

impl Pusher {
    /// Pushes until it is stopped, and then what is left.
    pub(super) fn run(self, pushing: Pushing) {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.follow(pushing)),
            Err(error) => {
                tracing::error!(%error, "logs are not pushed to Loki");
                self.shared.dropped.add(self.shared.held());
            }
        }
    }

    async fn follow(self, mut pushing: Pushing) {
        let stop = self.stop.clone();
        let flush_deadline = self.limits.flush_deadline;
        let late = async move {
            stop.cancelled().await;
            tokio::time::sleep(flush_deadline).await;
        };
        let late = late.boxed().shared();
        let witness = Witness::default();
        let hearing = Dispatch::new(witness.clone());
        let mut failures = 0;
        loop {
            self.pause(failures).await;
            let stopping = self.stop.is_cancelled();
            if self.shared.held() > 0 {
                let (empty, next) = self.target.batch().expect("the first batch was made the same way");
                let events = self.shared.replace(empty);
                let full = std::mem::replace(&mut pushing, next);
                let pushed = tokio::select! {
                    pushed = self.push(full, &hearing) => witness.failure().map_or(pushed, Err),
                    () = late.clone() => Err("the program ended before it was done".to_owned()),
                };
                failures = self.note(events, pushed, failures);
            }
            if stopping {
                return;
            }
        }
    }

    /// Waits for the batch to fill or its time to come; after failures longer, however much is logged.
    async fn pause(&self, failures: u32) {
        let pause =
            self.limits.every.saturating_mul(2_u32.saturating_pow(failures)).min(self.limits.longest_pause);
        let filled = async {
            if failures > 0 { std::future::pending().await } else { self.shared.filling.notified().await }
        };
        tokio::select! {
            () = filled => {}
            () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn push(&self, batch: Pushing, hearing: &Dispatch) -> Result<(), String> {
        // Closed before it is polled for the first time, a batch goes in one request and its task then ends.
        batch.close.shutdown().await;
        let task = tokio::task::unconstrained(batch.task).with_subscriber(hearing.clone());
        tokio::time::timeout(self.limits.push_deadline, task)
            .await
            .map_err(|_| format!("no answer within {:?}", self.limits.push_deadline))
    }

    /// Counts what was lost, and says when pushing begins to fail and when it works again.
    fn note(&self, events: usize, pushed: Result<(), String>, failures: u32) -> u32 {
        match pushed {
            Ok(()) => {
                if failures > 0 {
                    tracing::info!(dropped_total = self.shared.dropped.total(), "logs reach Loki again");
                }
                0
            }
            Err(error) => {
                self.shared.dropped.add(events);
                if failures == 0 {
                    tracing::warn!(error, "logs do not reach Loki; the log files have them");
                }
                failures.saturating_add(1)
            }
        }
    }
}

/// Hears what tracing-loki says of a push: it tells of a failure by logging it, and in no other way.
#[derive(Clone, Default)]
struct Witness {
    failure: Arc<Mutex<Option<String>>>,
}

impl Witness {
    fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Subscriber for Witness {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() == tracing::Level::ERROR
            && metadata.target().starts_with("tracing_loki")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }

    fn event(&self, event: &Event<'_>) {
        let mut error = ErrorField("unknown error".to_owned());
        event.record(&mut error);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct ErrorField(String);

impl Visit for ErrorField {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "error" {
            self.0 = format!("{value:?}");
        }
    }
}

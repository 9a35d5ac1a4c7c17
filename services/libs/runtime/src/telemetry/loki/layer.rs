//! The layer that fills the batch, and never waits.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Notify;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::Dropped;

/// What the push itself is made of must not be pushed, or each push would bring the next.
const OWN_TARGETS: [&str; 5] = ["tracing_loki", "hyper", "reqwest", "h2", "rustls"];

thread_local! {
    /// Whether this thread is in the layer: a value that logs while it is written would come back into it.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The batch that fills.
pub(super) struct Batch {
    layer: tracing_loki::Layer,
    offered: AtomicUsize,
}

impl Batch {
    pub(super) fn new(layer: tracing_loki::Layer) -> Self {
        Batch { layer, offered: AtomicUsize::new(0) }
    }
}

/// What the layer and the pusher share.
pub(super) struct Shared {
    batch: RwLock<Batch>,
    batch_events: usize,
    pub(super) dropped: Dropped,
    pub(super) filling: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(batch: Batch, batch_events: usize) -> Self {
        let (batch, dropped, filling) = (RwLock::new(batch), Dropped::default(), Notify::new());
        Shared { batch, batch_events, dropped, filling }
    }

    /// How many events the batch holds.
    pub(super) fn held(&self) -> usize {
        let batch = self.batch.read().unwrap_or_else(PoisonError::into_inner);
        batch.offered.load(Ordering::Relaxed).min(self.batch_events)
    }

    /// Puts an empty batch in place of the one that fills, and tells how many events that one holds.
    pub(super) fn replace(&self, empty: Batch) -> usize {
        let mut batch = self.batch.write().unwrap_or_else(PoisonError::into_inner);
        let full = std::mem::replace(&mut *batch, empty);
        full.offered.into_inner().min(self.batch_events)
    }
}

/// Gives events to the batch that fills; what finds no room is counted.
pub(crate) struct LokiLayer {
    shared: Arc<Shared>,
    /// Keeps the fields of spans, with the spans themselves; it is never given an event.
    spans: tracing_loki::Layer,
}

impl LokiLayer {
    pub(super) fn new(shared: Arc<Shared>, spans: Batch) -> Self {
        LokiLayer { shared, spans: spans.layer }
    }

    fn with_batch(&self, act: impl FnOnce(&Batch)) {
        act(&self.shared.batch.read().unwrap_or_else(PoisonError::into_inner));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LokiLayer {
    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        self.spans.on_new_span(attrs, id, ctx);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        self.spans.on_record(id, values, ctx);
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let target = event.metadata().target();
        if OWN_TARGETS.iter().any(|own| target.starts_with(own)) {
            return;
        }
        let inside = Inside::once(|| {
            self.with_batch(|batch| {
                let place = batch.offered.fetch_add(1, Ordering::Relaxed);
                if place < self.shared.batch_events {
                    batch.layer.on_event(event, ctx);
                } else {
                    self.shared.dropped.add(1);
                }
                if place == self.shared.batch_events / 2 {
                    self.shared.filling.notify_one();
                }
            });
        });
        if !inside {
            self.shared.dropped.add(1);
        }
    }
}

/// Marks this thread as inside the layer, also when a value panics while it is written.
struct Inside;

impl Inside {
    fn once(act: impl FnOnce()) -> bool {
        if INSIDE.replace(true) {
            return false;
        }
        let _inside = Inside;
        act();
        true
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_thread_does_not_enter_twice_and_may_again_after_a_panic() {
        let mut inner = None;
        assert!(Inside::once(|| inner = Some(Inside::once(|| unreachable!("entered twice")))));
        assert_eq!(inner, Some(false));
        catch_unwind(AssertUnwindSafe(|| Inside::once(|| panic!("a value that cannot be written"))))
            .unwrap_err();
        assert!(Inside::once(|| {}));
    }
}

//! Loki, by tracing-loki, behind bounds.
//!
//! tracing-loki's own queue has no limit and does not tell what became of an event. So events are given to it in
//! batches: a batch takes events until it is closed, at most [`Limits::batch_events`], and is then pushed whole by one
//! request that succeeds or fails. Two batches exist at most, the one that fills and the one that is pushed; what
//! finds no room is counted, and so is a batch that failed.

mod layer;
mod push;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use url::Url;

pub(super) use layer::LokiLayer;
use layer::Shared;

use super::Error;

/// What tracing-loki's channel holds, less one for the message that closes it.
const CHANNEL_EVENTS: usize = 511;

/// The bounds of what waits for Loki.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many events a batch takes, at most 511.
    pub batch_events: usize,
    /// How long a batch takes events before it is pushed.
    pub every: Duration,
    /// How long one push may take.
    pub push_deadline: Duration,
    /// The longest pause after a push that failed.
    pub longest_pause: Duration,
    /// How long the end waits for what is left.
    pub flush_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            batch_events: CHANNEL_EVENTS,
            every: Duration::from_secs(1),
            push_deadline: Duration::from_secs(10),
            longest_pause: Duration::from_secs(30),
            flush_deadline: Duration::from_secs(2),
        }
    }
}

/// Reads how many events were not pushed.
#[derive(Clone, Debug, Default)]
pub struct Dropped(Arc<AtomicU64>);

impl Dropped {
    /// The number since the start.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, events: usize) {
        self.0.fetch_add(events as u64, Ordering::Relaxed);
    }
}

/// Ends the pushing: when it is dropped, what is left is pushed within [`Limits::flush_deadline`].
#[derive(Debug)]
pub(super) struct Guard {
    shared: Arc<Shared>,
    stop: CancellationToken,
    ended: mpsc::Receiver<()>,
    flush_deadline: Duration,
}

impl Guard {
    pub(super) fn dropped(&self) -> Dropped {
        self.shared.dropped.clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop.cancel();
        // The thread keeps the deadline itself; the margin is for one that does not get to run.
        let _ = self.ended.recv_timeout(self.flush_deadline + Duration::from_millis(500));
    }
}

/// Starts a thread of its own that pushes, so that neither a busy runtime nor its end stands in the way.
pub(super) fn start(url: &Url, program: &'static str, limits: Limits) -> Result<(LokiLayer, Guard), Error> {
    let limits = Limits { batch_events: limits.batch_events.clamp(1, CHANNEL_EVENTS), ..limits };
    let target = push::Target { url: base(url), program };
    let ((batch, pushing), (spans, _)) = (target.batch()?, target.batch()?);
    let shared = Arc::new(Shared::new(batch, limits.batch_events));
    let (stop, (done, ended)) = (CancellationToken::new(), mpsc::channel());
    let pusher = push::Pusher { shared: Arc::clone(&shared), target, limits, stop: stop.clone() };
    thread::Builder::new()
        .name("loki".to_owned())
        .spawn(move || {
            pusher.run(pushing);
            drop(done);
        })
        .map_err(Error::LokiThread)?;
    let guard = Guard { shared: Arc::clone(&shared), stop, ended, flush_deadline: limits.flush_deadline };
    Ok((LokiLayer::new(shared, spans), guard))
}

/// Takes a URL with or without Loki's own path, and keeps a path before it.
fn base(url: &Url) -> Url {
    let mut base = url.clone();
    let path = url.path().trim_end_matches('/');
    base.set_path(&format!("{}/", path.strip_suffix("/loki/api/v1/push").unwrap_or(path)));
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_may_have_lokis_path_and_another_before_it() {
        for (url, wanted) in [
            ("http://loki:3100", "http://loki:3100/"),
            ("http://loki:3100/loki/api/v1/push", "http://loki:3100/"),
            ("https://me:secret@host/logs/", "https://me:secret@host/logs/"),
            ("https://host/logs/loki/api/v1/push", "https://host/logs/"),
        ] {
            assert_eq!(base(&url.parse().unwrap()).as_str(), wanted);
        }
    }
}

//! Follows the orchestrator's state changes once, for all who follow them here, and only while somebody does.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use conductor_client::{Error, Items, Link};
use conductor_protocol::control::{Events, Groups};
use conductor_protocol::event::EventView;
use conductor_protocol::{Code, Problem};
use conductor_web::Site;
use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::feed::Feed;
use super::followers::{Followed, Followers, Following};
use super::ring::{Entry, Ring};

/// The most events that are taken in together.
const MAX_TOGETHER: usize = 512;
/// Those who follow are woken at most this often, so that they find more at a time.
const GATHER: Duration = Duration::from_millis(5);
/// How long who comes first waits until it follows.
const PATIENCE: Duration = Duration::from_secs(2);

/// State changes, for all who follow them; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
    followers: Followers,
}

#[derive(Debug)]
pub(super) struct Shared {
    kept: RwLock<Kept>,
    /// Grows whenever there is more to read.
    grown: watch::Sender<u64>,
}

/// What is kept of which log.
#[derive(Debug, Default)]
struct Kept {
    /// None until the orchestrator was reached.
    log: Option<Arc<str>>,
    ring: Ring,
}

/// What there is after a number.
pub(super) enum Found {
    /// These, perhaps none yet.
    Entries(Vec<Entry>),
    /// Not all of them are here any more; the last is this one.
    Missed { head: u64 },
    /// The log is another one than it was.
    Replaced { log: Arc<str>, head: u64 },
}

impl Hub {
    /// Makes a hub that follows the orchestrator as soon as somebody follows here.
    pub(crate) fn start(site: &Site) -> Self {
        let shared = Shared { kept: RwLock::default(), grown: watch::channel(0).0 };
        let hub = Self { shared: Arc::new(shared), followers: Followers::default() };
        hub.followers.start(site, "event hub", hub.clone());
        hub
    }

    /// Begins to follow here, and waits until the orchestrator is followed.
    ///
    /// # Errors
    /// `unavailable` when it cannot be reached.
    pub(crate) async fn join(&self) -> Result<Following, Problem> {
        let following = self.followers.join();
        let mut grown = self.shared.grown.subscribe();
        let there = grown.wait_for(|_| self.log().is_ok());
        // Without it, `log` says why.
        drop(tokio::time::timeout(PATIENCE, there).await);
        self.log().map(|_| following)
    }

    /// Which log is followed, and the last number that is known of it.
    ///
    /// # Errors
    /// `unavailable` until the orchestrator was reached.
    pub(crate) fn log(&self) -> Result<(Arc<str>, u64), Problem> {
        let kept = self.shared.kept.read().unwrap_or_else(PoisonError::into_inner);
        let log = kept.log.clone().ok_or_else(|| {
            Problem::new(Code::Unavailable, "the orchestrator was not reached yet").retry_after(1)
        })?;
        Ok((log, kept.ring.head()))
    }

    /// Follows state changes after a number where that is kept here, or from now on.
    ///
    /// # Errors
    /// `unavailable` when the orchestrator cannot be reached.
    pub(crate) async fn feed(&self, since: Option<u64>, groups: Groups) -> Result<Feed, Problem> {
        let following = self.join().await?;
        let (log, head) = self.log()?;
        let since = since.filter(|since| self.keeps(*since));
        Ok(Feed::new(
            (Arc::clone(&self.shared), following),
            log,
            since.unwrap_or(head),
            groups,
            self.shared.grown.subscribe(),
        ))
    }

    /// Whether everything after a number is kept here.
    fn keeps(&self, since: u64) -> bool {
        let kept = self.shared.kept.read().unwrap_or_else(PoisonError::into_inner);
        since >= kept.ring.base()
    }
}

impl Followed for Hub {
    async fn follow(&self, link: &mut Link) -> Result<(), Error> {
        let control = link.control().await?;
        // The connection may be an old one, and its welcome too.
        let log = control.status().await?.log;
        let since = self.shared.begin(&log.id, log.seq);
        let mut items = control.events(Events { since: Some(since), follow: true }).await?;
        match self.shared.take_all(&mut items).await {
            // What lies between is not kept any more: everybody has to look anew.
            Err(Error::Refused(problem)) if problem.code == Code::Gone => {
                self.shared.forget();
                Ok(())
            }
            other => other,
        }
    }

    fn forget(&self) {
        self.shared.forget();
    }
}

impl Shared {
    /// Goes on where it ended, when the log is the same; else begins anew. Answers after which number.
    fn begin(&self, log: &str, seq: u64) -> u64 {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let goes_on = kept.log.as_deref() == Some(log) && kept.ring.head() <= seq;
        if !goes_on {
            *kept = Kept { log: Some(log.into()), ring: Ring::after(seq) };
        }
        let head = kept.ring.head();
        drop(kept);
        self.grown.send_modify(|times| *times += 1);
        head
    }

    /// Keeps nothing, so that the next connection begins anew.
    fn forget(&self) {
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) =
            Kept { log: None, ring: Ring::after(u64::MAX) };
    }

    async fn take_all(&self, items: &mut Items<EventView>) -> Result<(), Error> {
        while let Some(first) = items.next().await? {
            let mut views = vec![first];
            let mut end = None;
            while views.len() < MAX_TOGETHER {
                match items.next().now_or_never() {
                    Some(Ok(Some(view))) => views.push(view),
                    Some(Ok(None)) => end = Some(Ok(())),
                    Some(Err(error)) => end = Some(Err(error)),
                    None => break,
                }
                if end.is_some() {
                    break;
                }
            }
            let entries: Vec<_> = views.iter().map(|view| (view.seq, Entry::new(view))).collect();
            {
                let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
                for (seq, entry) in entries {
                    kept.ring.push(seq, entry);
                }
            }
            self.grown.send_modify(|times| *times += 1);
            if let Some(end) = end {
                return end;
            }
            tokio::time::sleep(GATHER).await;
        }
        Ok(())
    }

    /// What there is after a number of a log.
    pub(super) fn read(&self, log: &Arc<str>, after: u64, most: usize) -> Found {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        match &kept.log {
            Some(now) if now != log => Found::Replaced { log: Arc::clone(now), head: kept.ring.head() },
            Some(_) | None => match kept.ring.read(after, most) {
                Some(entries) => Found::Entries(entries),
                None => Found::Missed { head: kept.ring.head() },
            },
        }
    }
}

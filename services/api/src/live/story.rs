//! State changes from any number on: from the log as far as they are of the past, and then as they come.

use std::sync::Arc;

use conductor_client::{Error, Items};
use conductor_protocol::control::Events;
use conductor_protocol::event::EventView;
use conductor_web::{Caller, Refusal};
use futures_util::FutureExt as _;

use super::feed::{Batch, Feed};
use super::lines::{Lines, Place, is_passing};
use super::ring::Entry;
use crate::server::App;

/// The most events of the past that are handed on together.
const MAX_TOGETHER: usize = 256;

/// State changes as one client follows them, from any number on.
#[derive(Debug)]
pub(crate) struct Story {
    lines: Lines,
    caller: Caller,
    feed: Feed,
    past: Option<Past>,
    /// Which log it is of, and its last number when the story began.
    log: (Arc<str>, u64),
}

/// Events that are read from the log.
#[derive(Debug)]
struct Past {
    items: Items<EventView>,
    /// The first, which was read to see whether there is any.
    first: Option<EventView>,
    /// The last that was read.
    last: u64,
    /// Where the feed goes on.
    until: u64,
    /// Why it cannot be read on.
    failed: Option<Error>,
    over: bool,
    _place: Place,
}

impl Story {
    /// Begins after a number, or now.
    ///
    /// # Errors
    /// `gone` when what came after the number is not kept any more; `unavailable` without an orchestrator.
    pub(crate) async fn begin(app: &App, caller: &Caller, since: Option<u64>) -> Result<Self, Refusal> {
        let feed = app.hub.feed(since, caller.identity.groups.clone()).await?;
        let log = app.hub.log()?;
        let (lines, caller) = (app.lines.clone(), caller.clone());
        let mut story = Self { lines, caller, feed, past: None, log };
        if let Some(since) = since
            && since < story.feed.after()
        {
            story.look_back(since).await?;
        }
        Ok(story)
    }

    /// Which log it is of, and its last number when the story began.
    pub(crate) fn log(&self) -> (&str, u64) {
        (&self.log.0, self.log.1)
    }

    /// The last number that was told of, or passed over.
    pub(crate) fn after(&self) -> u64 {
        self.past.as_ref().map_or(self.feed.after(), |past| past.last)
    }

    /// Reads what came after a number from the log, before it goes on.
    ///
    /// # Errors
    /// `gone` when that is not kept any more.
    pub(crate) async fn look_back(&mut self, after: u64) -> Result<(), Refusal> {
        self.past = Some(Past::begin(&self.lines, &self.caller, after, self.feed.after()).await?);
        Ok(())
    }

    /// Waits for what comes next; nothing when nothing comes any more. Cancel safe but for a moment after a connection was
    /// lost, after which it is read anew.
    ///
    /// # Errors
    /// When the past cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, Refusal> {
        while let Some(past) = &mut self.past {
            match past.next().await {
                Ok(Some(mut entries)) => {
                    entries.retain(|entry| entry.is_for(&self.caller.identity.groups));
                    if !entries.is_empty() {
                        return Ok(Some(Batch::Entries(entries)));
                    }
                }
                Ok(None) => self.past = None,
                Err(error) if is_passing(&error) => {
                    let (last, until) = (past.last, past.until);
                    self.past = Some(Past::begin(&self.lines, &self.caller, last, until).await?);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.feed.next().await)
    }
}

impl Past {
    async fn begin(lines: &Lines, caller: &Caller, after: u64, until: u64) -> Result<Self, Error> {
        let place = lines.place(caller).await?;
        let mut items = place.control().events(Events { since: Some(after), follow: false }).await?;
        let first = items.next().await?;
        Ok(Self { items, first, last: after, until, failed: None, over: false, _place: place })
    }

    /// The next ones; nothing at the end. Cancel safe: it waits only for the first of them.
    async fn next(&mut self) -> Result<Option<Vec<Entry>>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut entries = Vec::new();
        let mut next = match self.first.take() {
            Some(first) => Some(first),
            None if self.over => None,
            None => self.items.next().await?,
        };
        if next.is_none() {
            return Ok(None);
        }
        while let Some(view) = next.take() {
            if view.seq > self.until {
                self.over = true;
                break;
            }
            self.last = view.seq;
            entries.extend(Entry::new(&view));
            if entries.len() >= MAX_TOGETHER {
                break;
            }
            match self.items.next().now_or_never() {
                Some(Ok(more)) => {
                    self.over = more.is_none();
                    next = more;
                }
                // Told after what is there by now.
                Some(Err(error)) => self.failed = Some(error),
                None => {}
            }
        }
        Ok(Some(entries))
    }
}

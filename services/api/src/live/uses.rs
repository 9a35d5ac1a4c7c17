//! What tasks that run use, followed once for all who follow it here. None of it is of the log: it has no number, and
//! only the latest of each task is kept and told.

use std::collections::HashMap;
use std::sync::Arc;

use conductor_client::{Error, Link};
use conductor_core::TaskId;
use conductor_protocol::control::{Groups, UsageNews};
use conductor_web::Site;
use tokio::sync::watch;

use super::followers::{Followed, Followers, Following};

/// What tasks that run use, for all who follow it; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Uses {
    latest: watch::Sender<Latest>,
    followers: Followers,
}

/// The latest of each task that runs.
#[derive(Debug, Default)]
struct Latest {
    /// Grows with everything that is taken in.
    version: u64,
    tasks: HashMap<TaskId, Use>,
}

/// What a task has used so far.
#[derive(Debug)]
struct Use {
    version: u64,
    group: String,
    /// As JSON, written once for all who follow.
    event: Arc<str>,
}

/// What one client follows: it holds a number, and nothing of what it has not read yet.
#[derive(Debug)]
pub(crate) struct UsesFeed {
    latest: watch::Receiver<Latest>,
    seen: u64,
    groups: Groups,
    _following: Following,
}

impl Uses {
    /// Follows the orchestrator as soon as somebody follows here.
    pub(crate) fn start(site: &Site) -> Self {
        let uses = Self { latest: watch::Sender::default(), followers: Followers::default() };
        uses.followers.start(site, "usage of what runs", uses.clone());
        uses
    }

    /// Follows what tasks of some groups use: all that run at first, then those that have used more.
    pub(crate) fn feed(&self, groups: Groups) -> UsesFeed {
        let _following = self.followers.join();
        UsesFeed { latest: self.latest.subscribe(), seen: 0, groups, _following }
    }
}

impl Followed for Uses {
    async fn follow(&self, link: &mut Link) -> Result<(), Error> {
        let mut items = link.control().await?.usage_of_all().await?;
        // It begins with all that run.
        self.forget();
        while let Some(news) = items.next().await? {
            self.latest.send_modify(|latest| latest.take(news));
        }
        Ok(())
    }

    fn forget(&self) {
        self.latest.send_modify(|latest| latest.tasks.clear());
    }
}

impl Latest {
    fn take(&mut self, news: UsageNews) {
        self.version += 1;
        for over in news.over {
            self.tasks.remove(&over.id);
        }
        for used in news.used {
            let Ok(event) = serde_json::to_string(&used) else { continue };
            let (version, event) = (self.version, event.into());
            self.tasks.insert(used.id, Use { version, group: used.group, event });
        }
    }

    fn after(&self, version: u64, groups: &Groups) -> Vec<Arc<str>> {
        let is_seen = |group: &String| match groups {
            Groups::All => true,
            Groups::Only(only) => only.contains(group),
        };
        let news = self.tasks.values().filter(|it| it.version > version && is_seen(&it.group));
        news.map(|it| Arc::clone(&it.event)).collect()
    }
}

impl UsesFeed {
    /// Waits for what comes next, the latest of each task; nothing when nothing comes any more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Vec<Arc<str>>> {
        loop {
            let events = {
                let latest = self.latest.borrow_and_update();
                let events = latest.after(self.seen, &self.groups);
                self.seen = latest.version;
                events
            };
            if !events.is_empty() {
                return Some(events);
            }
            self.latest.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(used: &[(u128, &str, u64)], over: &[u128]) -> UsageNews {
        let used = used.iter().map(|(id, group, tokens)| {
            serde_json::json!({"id": TaskId(*id).to_string(), "group": group, "attempt": 1,
                "usage": {"input_tokens": 0, "output_tokens": tokens, "cached_input_tokens": 0, "turns": 0, "tool_calls": 0}})
        });
        let over = over.iter().map(|id| serde_json::json!({"id": TaskId(*id).to_string()}));
        let (used, over): (Vec<_>, Vec<_>) = (used.collect(), over.collect());
        serde_json::from_value(serde_json::json!({"used": used, "over": over})).unwrap()
    }

    async fn tokens(feed: &mut UsesFeed) -> Vec<u64> {
        let told = feed.next().await.unwrap();
        let tokens = told.iter().map(|event| {
            let event: serde_json::Value = serde_json::from_str(event).unwrap();
            event["usage"]["output_tokens"].as_u64().unwrap()
        });
        let mut tokens: Vec<_> = tokens.collect();
        tokens.sort_unstable();
        tokens
    }

    #[tokio::test]
    async fn a_slow_client_is_told_the_latest_of_each_task_and_of_none_that_is_over() {
        let uses = Uses { latest: watch::Sender::default(), followers: Followers::default() };
        let take = |news| uses.latest.send_modify(|latest| latest.take(news));
        take(news(&[(1, "a", 10), (2, "b", 20), (3, "a", 30)], &[]));
        let mut all = uses.feed(Groups::All);
        let mut some = uses.feed(Groups::Only(vec!["b".into()]));
        assert_eq!((tokens(&mut all).await, tokens(&mut some).await), (vec![10, 20, 30], vec![20]));
        for count in 11..1_000 {
            take(news(&[(1, "a", count)], &[]));
        }
        take(news(&[(2, "b", 21), (3, "a", 31)], &[]));
        take(news(&[], &[3]));
        assert_eq!((tokens(&mut all).await, tokens(&mut some).await), (vec![21, 999], vec![21]));
        assert_eq!(uses.latest.borrow().tasks.len(), 2, "nothing is kept of what is over");
    }
}

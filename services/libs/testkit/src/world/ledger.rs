//! What the orchestrator told of its tasks, event by event, over any number of its deaths: a second set of books that is
//! compared with the orchestrator's own.

use std::collections::BTreeMap;
use std::time::Duration;

use conductor_client::{Control, Error, Options, Patience, Target, TaskTold, Told};
use conductor_protocol::control::{Events, ListRequest};
use conductor_protocol::task::State;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{READY, World, within};

/// Follows the events of an orchestrator from its first on.
#[derive(Debug)]
pub struct Ledger {
    told: watch::Receiver<Told>,
    follower: JoinHandle<()>,
}

impl Ledger {
    /// Begins to follow.
    #[must_use]
    pub fn follow(world: &World) -> Self {
        let (sender, told) = watch::channel(Told::default());
        let target = Target::of_home(world.home());
        Self { told, follower: tokio::spawn(follow(target, sender)) }
    }

    /// Waits until what was told is as it should be.
    ///
    /// # Panics
    /// When it is not in time, or something was told that may never be.
    pub async fn until<T>(&self, limit: Duration, what: &str, mut look: impl FnMut(&Told) -> Option<T>) -> T {
        let mut told = self.told.clone();
        let mut found = None;
        let wait = async {
            let reached = told.wait_for(|told| {
                found = look(told);
                found.is_some() || !told.faults.is_empty()
            });
            reached.await.map(drop).expect("the follower lives as long as the ledger");
        };
        let in_time = tokio::time::timeout(limit, wait).await.is_ok();
        let now = self.now();
        assert!(now.faults.is_empty(), "{:#?}", now.faults);
        match found {
            Some(found) => found,
            None => panic!("in time {in_time}: not within {limit:?}: {what}; live: {:#?}", live(&now)),
        }
    }

    /// Waits until so many tasks have ended.
    ///
    /// # Panics
    /// As [`Ledger::until`].
    pub async fn finished(&self, limit: Duration, count: usize) {
        let what = format!("{count} tasks have ended");
        self.until(limit, &what, |told| (told.finished() >= count).then_some(())).await;
    }

    /// What was told so far.
    #[must_use]
    pub fn now(&self) -> Told {
        self.told.borrow().clone()
    }

    /// Compares the books with the orchestrator's own at rest: every event since the first, read anew, tells the same,
    /// nothing that may never be was told, and each task stands where it was told to.
    ///
    /// # Panics
    /// When they differ.
    pub async fn check(&self, world: &World) -> Told {
        let control = world.connect().await;
        let reader = world.reader().await;
        let anew = within(READY, "the events are read", async {
            let mut events = reader.events(Events { since: Some(0), follow: false }).await?;
            let mut anew = Told::default();
            while let Some(event) = events.next().await? {
                anew.take(&event);
            }
            Ok::<_, Error>(anew)
        });
        let anew = anew.await.expect("the events can be read");
        let kept =
            self.until(READY, "the follower caught up", |told| (told.seq >= anew.seq).then(|| told.clone()));
        let kept = kept.await;
        assert!(anew.faults.is_empty(), "{:#?}", anew.faults);
        assert_eq!(kept.tasks.len(), anew.tasks.len(), "followed and read anew");
        for (id, task) in &anew.tasks {
            let followed = &kept.tasks[id];
            assert_eq!((followed.finished, &followed.ends), (task.finished, &task.ends), "task {id}");
            let view = control.get(id.parse().expect("an event names its task by its id")).await;
            let view = view.unwrap_or_else(|error| panic!("task {id} is lost: {error}"));
            assert_eq!(Some(view.state), task.finished, "task {id}");
        }
        let told: BTreeMap<_, _> = anew.tasks.iter().map(|(id, task)| (id.clone(), task.finished)).collect();
        assert_eq!(listed(&control).await, told, "the list and the events");
        anew
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Where every task stands by the list, page by page.
async fn listed(control: &Control) -> BTreeMap<String, Option<State>> {
    let mut listed = BTreeMap::new();
    let mut request = ListRequest { limit: Some(100), ..ListRequest::default() };
    loop {
        let page = control.list(request.clone()).await.expect("the tasks can be listed");
        for task in page.items {
            let before = listed.insert(task.id.to_string(), Some(task.state));
            assert!(before.is_none(), "task {} is listed twice", task.id);
        }
        match page.next_cursor {
            Some(cursor) => request.cursor = Some(cursor),
            None => return listed,
        }
    }
}

fn live(told: &Told) -> Vec<(&String, &TaskTold)> {
    told.tasks.iter().filter(|(_, task)| task.finished.is_none()).take(10).collect()
}

async fn follow(target: Target, sender: watch::Sender<Told>) {
    let mut link = conductor_client::Link::new(target, Options::new("ledger"), Patience::For(READY));
    loop {
        // Without an orchestrator for so long the test has long failed.
        let Ok(control) = link.control().await else { return };
        let since = sender.borrow().seq;
        let Ok(mut events) = control.events(Events { since: Some(since), follow: true }).await else {
            continue;
        };
        while let Ok(Some(event)) = events.next().await {
            sender.send_modify(|told| told.take(&event));
        }
    }
}

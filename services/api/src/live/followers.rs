//! Following the orchestrator once for all who follow something here, and only while somebody does.

use std::time::Duration;

use conductor_client::{Error, Link, Options, WhenFull};
use conductor_web::Site;
use tokio::sync::watch;

/// The first pause between two attempts to connect; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long it goes on when nobody follows any more: a page that is loaded anew is gone for a moment only.
const LINGER: Duration = Duration::from_secs(10);

/// What is followed.
pub(super) trait Followed: Send + Sync + 'static {
    /// Follows on one connection to its end.
    fn follow(&self, link: &mut Link) -> impl Future<Output = Result<(), Error>> + Send;

    /// Keeps nothing, as nobody follows any more.
    fn forget(&self);
}

/// How many follow; clones count the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Followers(watch::Sender<usize>);

/// Has the orchestrator followed for as long as it lives.
#[derive(Debug)]
pub(crate) struct Following(Followers);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.0.send_modify(|followers| *followers -= 1);
    }
}

impl Followers {
    /// Begins to follow.
    pub(super) fn join(&self) -> Following {
        self.0.send_modify(|followers| *followers += 1);
        Following(self.clone())
    }

    /// Has something followed until the program ends, whenever there are followers.
    pub(super) fn start(&self, site: &Site, name: &'static str, followed: impl Followed) {
        let (followers, site) = (self.clone(), site.clone());
        let shutdown = site.shutdown().clone();
        shutdown.spawn(name, async move {
            tokio::select! {
                () = followers.serve(&site, &followed) => {}
                () = site.shutdown().draining() => {}
            }
        });
    }

    async fn serve(&self, site: &Site, followed: &impl Followed) {
        let options =
            Options::new(concat!("conductor-api ", env!("CARGO_PKG_VERSION"))).when_full(WhenFull::Wait);
        let mut link = site.another_link(options).await;
        let mut pause = FIRST_PAUSE;
        loop {
            let mut followers = self.0.subscribe();
            if followers.wait_for(|followers| *followers > 0).await.is_err() {
                return;
            }
            tokio::select! {
                ended = followed.follow(&mut link) => match ended {
                    Ok(()) => pause = FIRST_PAUSE,
                    Err(error) => {
                        tracing::debug!(error = &error as &dyn std::error::Error, "nothing to follow");
                    }
                },
                () = deserted(followers) => {
                    if *self.0.borrow() == 0 {
                        followed.forget();
                    }
                    pause = FIRST_PAUSE;
                    continue;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Waits until nobody has followed for a while.
async fn deserted(mut followers: watch::Receiver<usize>) {
    while followers.wait_for(|followers| *followers == 0).await.is_ok() {
        let again = followers.wait_for(|followers| *followers > 0);
        if tokio::time::timeout(LINGER, again).await.is_err() {
            return;
        }
    }
}

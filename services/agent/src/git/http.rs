//! Asking a server over HTTP from the thread of a slot, which waits here as it waits for its processes.

use std::time::Duration;

use conductor_outbound::{Outbound, Reach, Refused, system};

use super::program::{Error, Git};
use super::settings::{Login, shown};
use crate::runner::Inbox;

/// How often it is looked whether the run was ended.
const LOOK: Duration = Duration::from_millis(100);
/// The most characters of an answer that are told.
const MAX_SHOWN_CHARS: usize = 300;

/// The way to servers.
pub(super) struct Http<'a> {
    pub outbound: Outbound,
    pub login: Option<Login>,
    /// Names what is asked, where it fails.
    what: &'static str,
    inbox: &'a Inbox,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Http<'a> {
    /// Gets ready to ask; one answer may take as long as `timeout`.
    ///
    /// # Errors
    /// When the authorities cannot be read, or the system has no descriptor left.
    pub fn open(
        git: &Git<'a>,
        login: Option<Login>,
        what: &'static str,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let reach = Reach { allowed: git.settings.config.allow_private.clone(), key: "git.allow_private" };
        let outbound = Outbound::new(reach, system(), timeout, git.settings.authorities()?.as_deref());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::disk("ask a server"))?;
        Ok(Self { outbound, login, what, inbox: git.inbox, runtime })
    }

    /// Waits for an answer, unless the run shall end.
    ///
    /// # Errors
    /// When the run shall end, or there is no answer.
    pub fn wait<T>(&self, asked: impl Future<Output = Result<T, Refused>>) -> Result<T, Error> {
        self.runtime.block_on(async {
            let ended = async {
                loop {
                    tokio::time::sleep(LOOK).await;
                    if let Some(end) = self.inbox.ends() {
                        return end;
                    }
                }
            };
            tokio::select! {
                biased;
                answer = asked => answer.map_err(|refused| self.failed(refused.why)),
                end = ended => Err(Error::Ended(end)),
            }
        })
    }

    /// Waits before it is asked again.
    ///
    /// # Errors
    /// When the run shall end.
    pub fn rest(&self, pause: Duration) -> Result<(), Error> {
        self.inbox.rest(pause).map_err(Error::Ended)
    }

    /// A failure in these words.
    pub fn failed(&self, words: impl Into<String>) -> Error {
        Error::Git { what: self.what.to_owned(), words: words.into() }
    }

    /// What a server says, as people may read it.
    pub fn shown(&self, said: &str) -> String {
        shown(said, self.login.as_ref(), MAX_SHOWN_CHARS)
    }
}

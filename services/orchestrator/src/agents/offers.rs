//! What connected agents say of their runners beside what the machine needs to know: it is theirs to say anew whenever they
//! connect, so it is in no log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conductor_core::AgentId;
use conductor_protocol::agent::{RunnerView, SandboxView};
use conductor_protocol::control::AgentView;

/// The most things that hold or lack which are kept of a sandbox.
const MAX_WORDS: usize = 32;
/// The longest of them in characters.
const MAX_WORD_CHARS: usize = 120;

/// What is known of a runner.
#[derive(Debug)]
struct Offer {
    name: String,
    credential: Option<bool>,
    gateway: Option<bool>,
    sandbox: Option<SandboxView>,
}

/// What was said, by agent and session.
type Known = BTreeMap<(AgentId, u64), Vec<Offer>>;

/// What connected agents offer. There are as many as there are sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offers(Arc<Mutex<Known>>);

impl Offers {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what an agent says when it connects.
    pub(super) fn joined(&self, agent: AgentId, session: u64, runners: &[RunnerView]) {
        let offer = |it: &RunnerView| Offer {
            name: it.name.clone(),
            credential: it.credential,
            gateway: it.gateway,
            sandbox: it.sandbox.clone().map(shortened),
        };
        self.known().insert((agent, session), runners.iter().map(offer).collect());
    }

    /// Forgets what was said in a session that is over.
    pub(super) fn left(&self, agent: AgentId, session: u64) {
        self.known().remove(&(agent, session));
    }

    /// Fills in what is known of an agent's runners.
    pub(crate) fn add_to(&self, view: &mut AgentView) {
        let known = self.known();
        let mut sessions = known.range((view.agent_id, 0)..=(view.agent_id, u64::MAX));
        let Some((_, offers)) = sessions.next_back() else { return };
        for runner in &mut view.runners {
            if let Some(offer) = offers.iter().find(|offer| offer.name == runner.name) {
                runner.credential = offer.credential;
                runner.gateway = offer.gateway;
                runner.sandbox.clone_from(&offer.sandbox);
            }
        }
    }
}

fn shortened(mut sandbox: SandboxView) -> SandboxView {
    for words in [&mut sandbox.holds, &mut sandbox.lacks] {
        words.truncate(MAX_WORDS);
        for word in words {
            if let Some((end, _)) = word.char_indices().nth(MAX_WORD_CHARS) {
                word.truncate(end);
            }
        }
    }
    sandbox
}

#[cfg(test)]
mod tests {
    use conductor_core::Wall;
    use conductor_protocol::control::AgentRunner;

    use super::*;

    fn sandboxed(name: &str, holds: usize) -> RunnerView {
        let holds = vec!["é".repeat(2 * MAX_WORD_CHARS); holds];
        let sandbox = Some(SandboxView { holds, ..SandboxView::default() });
        RunnerView { credential: Some(true), sandbox, ..RunnerView::ready(name) }
    }

    #[test]
    fn what_an_older_session_said_is_neither_told_nor_taken_for_the_newer() {
        let offers = Offers::default();
        offers.joined(AgentId(1), 1, &[sandboxed("claude", 1)]);
        offers.joined(AgentId(1), 2, &[RunnerView::ready("claude")]);
        offers.left(AgentId(1), 1);
        let runners = vec![AgentRunner { name: "claude".into(), ..AgentRunner::default() }];
        let mut view = AgentView {
            name: "one".into(),
            agent_id: AgentId(1),
            host: String::new(),
            version: String::new(),
            state: "connected".into(),
            slots: 1,
            free: 1,
            labels: Vec::new(),
            runners,
            tasks: Vec::new(),
            joined_at: Wall(0),
            disk_full: false,
        };
        offers.add_to(&mut view);
        assert_eq!((view.runners[0].credential, &view.runners[0].sandbox), (None, &None));
        offers.left(AgentId(1), 2);
        assert!(offers.known().is_empty());
    }

    #[test]
    fn an_agent_cannot_say_without_end() {
        let offers = Offers::default();
        offers.joined(AgentId(1), 1, &[sandboxed("claude", 2 * MAX_WORDS)]);
        let known = offers.known();
        let sandbox = known[&(AgentId(1), 1)][0].sandbox.as_ref().unwrap();
        assert_eq!((sandbox.holds.len(), sandbox.holds[0].chars().count()), (MAX_WORDS, MAX_WORD_CHARS));
    }
}

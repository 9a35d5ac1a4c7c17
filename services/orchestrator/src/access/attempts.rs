//! The tokens of running attempts. None is stored: each comes from a key of this state, the task and the lease, and is worth
//! something as long as the lease lives.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use conductor_core::{Lease, SecretDigest, TaskId};
use conductor_runtime::credentials::{Secret, SecretKind};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::digest_of;

/// Sets these tokens apart from whatever else the key may be used for.
const LABEL: &[u8] = b"conductor attempt v1\0";

/// Makes tokens of attempts, and knows them again.
#[derive(Debug)]
pub(crate) struct AttemptTokens {
    key: Secret,
    /// What live leases' tokens hash to, as far as anybody asked: at most one for each live lease.
    known: Mutex<HashMap<SecretDigest, (Lease, TaskId)>>,
}

impl AttemptTokens {
    pub(crate) fn new(key: Secret) -> Self {
        Self { key, known: Mutex::default() }
    }

    /// The token of an attempt.
    pub(crate) fn token(&self, task: TaskId, lease: Lease) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.reveal().as_bytes())
            .expect("a key of any length will do");
        mac.update(LABEL);
        mac.update(format!("{task} {lease}").as_bytes());
        let mut token = SecretKind::Attempt.prefix().to_owned();
        token.push_str(&hex::encode(mac.finalize().into_bytes()));
        token
    }

    /// The attempt whose token hashes to this, among the live leases. A lease's token is worked out once, so that guesses cost
    /// no more than a look.
    pub(super) fn find(
        &self,
        digest: SecretDigest,
        live: &HashMap<Lease, TaskId>,
    ) -> Option<(TaskId, Lease)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (lease, _)| live.contains_key(lease));
        let done: HashSet<Lease> = known.values().map(|(lease, _)| *lease).collect();
        for (lease, task) in live.iter().filter(|(lease, _)| !done.contains(lease)) {
            known.insert(digest_of(&self.token(*task, *lease)), (*lease, *task));
        }
        known.get(&digest).map(|(lease, task)| (*task, *lease))
    }
}

#[cfg(test)]
mod tests {
    use conductor_core::Incarnation;

    use super::*;

    #[test]
    fn a_token_is_known_as_long_as_its_lease_lives() {
        let tokens = AttemptTokens::new(Secret::new("key"));
        let lease = |number| Lease { incarnation: Incarnation(1), number };
        let token = tokens.token(TaskId(7), lease(1));
        assert!(token.starts_with("cna_") && token.len() == 68, "{token}");
        let digest = digest_of(&token);
        let live = HashMap::from([(lease(1), TaskId(7)), (lease(2), TaskId(8))]);
        assert_eq!(tokens.find(digest, &live), Some((TaskId(7), lease(1))));
        assert_eq!(tokens.find(digest_of("cna_guess"), &live), None);
        assert_eq!(tokens.find(digest, &HashMap::from([(lease(2), TaskId(8))])), None, "its lease is gone");
        assert_eq!(tokens.find(digest, &HashMap::from([(lease(1), TaskId(9))])), None, "of another task");
        assert!(tokens.known.lock().unwrap().len() <= 1, "what is gone is forgotten");
    }

    #[test]
    fn attempts_tasks_and_keys_have_tokens_of_their_own() {
        let lease = |number| Lease { incarnation: Incarnation(1), number };
        let tokens = AttemptTokens::new(Secret::new("key"));
        let token = tokens.token(TaskId(7), lease(1));
        assert_eq!(token, tokens.token(TaskId(7), lease(1)), "a restart gives the same");
        assert_ne!(token, tokens.token(TaskId(7), lease(2)));
        assert_ne!(token, tokens.token(TaskId(8), lease(1)));
        assert_ne!(token, AttemptTokens::new(Secret::new("other")).token(TaskId(7), lease(1)));
    }
}

//! Who secrets stand for, remembered for a moment: a revocation holds as soon as that is over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use conductor_protocol::control::Identity;

/// How long an answer holds.
pub(crate) const FRESH_MS: u64 = 1_000;
/// How long a secret that was good is known as one that was: who shows it is not held up by another's guesses.
const KNOWN_MS: u64 = 3_600_000;
/// How long a secret that was not good is known as one that was not.
const BAD_MS: u64 = 60_000;
/// The most answers that are remembered.
const MAX_ANSWERS: usize = 8_192;

/// What the orchestrator said of secrets, by their digest.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    answers: Mutex<HashMap<String, Answer>>,
}

#[derive(Debug)]
struct Answer {
    at_ms: u64,
    /// Nothing for a secret that stands for nobody.
    identity: Option<Identity>,
    /// When it last stood for somebody.
    good_ms: Option<u64>,
}

impl Identities {
    /// The answer that still holds: `Some(None)` for a secret that stands for nobody.
    pub(crate) fn fresh(&self, digest: &str, now_ms: u64) -> Option<Option<Identity>> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get(digest)?;
        (now_ms.saturating_sub(answer.at_ms) < FRESH_MS).then(|| answer.identity.clone())
    }

    /// Whether a secret was good not long ago.
    pub(crate) fn was_good(&self, digest: &str, now_ms: u64) -> bool {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(digest).is_some_and(|answer| answer.is_known(now_ms))
    }

    /// Whether a secret was shown not long ago and was not good then either: showing it again is no new guess.
    pub(crate) fn was_bad(&self, digest: &str, now_ms: u64) -> bool {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get(digest).filter(|answer| answer.identity.is_none());
        answer.is_some_and(|answer| now_ms.saturating_sub(answer.at_ms) < BAD_MS)
    }

    /// Remembers an answer that was asked for at `now_ms`.
    pub(crate) fn put(&self, digest: &str, identity: Option<Identity>, now_ms: u64) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MAX_ANSWERS && !answers.contains_key(digest) {
            make_room(&mut answers, now_ms);
        }
        let before = answers.get(digest).and_then(|answer| answer.good_ms);
        let good_ms = if identity.is_some() { Some(now_ms) } else { before };
        answers.insert(digest.to_owned(), Answer { at_ms: now_ms, identity, good_ms });
    }

    /// Forgets one answer, because it was just changed.
    pub(crate) fn forget(&self, digest: &str) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
    }

    /// Forgets all answers, because a token was just taken.
    pub(crate) fn forget_all(&self) {
        for answer in self.answers.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            answer.at_ms = answer.at_ms.saturating_sub(FRESH_MS);
        }
    }
}

impl Answer {
    fn is_known(&self, now_ms: u64) -> bool {
        self.good_ms.is_some_and(|good_ms| now_ms.saturating_sub(good_ms) < KNOWN_MS)
    }
}

/// Lets go of what holds no more; then of guesses; then of everything.
fn make_room(answers: &mut HashMap<String, Answer>, now_ms: u64) {
    answers.retain(|_, it| it.is_known(now_ms) || now_ms.saturating_sub(it.at_ms) < BAD_MS);
    if answers.len() >= MAX_ANSWERS {
        answers.retain(|_, it| it.is_known(now_ms));
    }
    if answers.len() >= MAX_ANSWERS {
        answers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conductor_protocol::control::{Groups, Role, TokenKind};

    fn somebody() -> Identity {
        let kind = TokenKind::Runtime;
        Identity {
            name: "ci".into(),
            role: Role::Viewer,
            groups: Groups::All,
            expires_at: None,
            kind,
            attempt: None,
        }
    }

    #[test]
    fn an_answer_holds_for_a_second_good_or_bad() {
        let identities = Identities::default();
        identities.put("a", Some(somebody()), 5_000);
        identities.put("b", None, 5_000);
        assert_eq!(identities.fresh("a", 5_999), Some(Some(somebody())));
        assert_eq!(identities.fresh("b", 5_999), Some(None));
        assert_eq!(identities.fresh("a", 6_000), None);
        assert_eq!(identities.fresh("c", 5_000), None);
        identities.put("a", Some(somebody()), 9_000);
        identities.forget_all();
        assert_eq!(identities.fresh("a", 9_000), None);
        assert!(identities.was_good("a", 9_000));
    }

    #[test]
    fn a_flood_of_guesses_does_not_push_out_who_is_known() {
        let identities = Identities::default();
        identities.put("known", Some(somebody()), 0);
        for guess in 0..3 * MAX_ANSWERS {
            identities.put(&guess.to_string(), None, 10);
        }
        assert!(identities.was_good("known", 10) && !identities.was_good("7", 10));
        assert!(identities.answers.lock().unwrap().len() <= MAX_ANSWERS);
    }
}

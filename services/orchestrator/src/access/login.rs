//! Codes that open one session of an admin, so that a browser gets in by a link. They live as long as the process.

use std::sync::{Mutex, PoisonError};

use conductor_core::{Mono, SecretDigest};
use subtle::ConstantTimeEq as _;

/// How long a code may be used.
pub(super) const CODE_MS: u64 = 15 * 60_000;
/// How many codes there are at once; the oldest goes.
const MAX_CODES: usize = 100;

/// The codes that were not used yet, the oldest first. Held only for a look or an entry.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<Vec<(SecretDigest, Mono)>>);

impl Logins {
    /// Takes in a code.
    pub(super) fn add(&self, code: SecretDigest, now: Mono) {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|(_, until)| *until > now);
        if codes.len() == MAX_CODES {
            codes.remove(0);
        }
        codes.push((code, now.after(CODE_MS)));
    }

    /// Uses a code up; answers whether it was one.
    pub(super) fn take(&self, code: SecretDigest, now: Mono) -> bool {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|(_, until)| *until > now);
        let before = codes.len();
        codes.retain(|(known, _)| !bool::from(known.0.ct_eq(&code.0)));
        codes.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(number: u8) -> SecretDigest {
        SecretDigest([number; 32])
    }

    #[test]
    fn a_code_opens_once_and_not_after_a_quarter_of_an_hour() {
        let logins = Logins::default();
        logins.add(code(1), Mono(0));
        logins.add(code(2), Mono(0));
        assert!(!logins.take(code(3), Mono(1)));
        assert!(logins.take(code(1), Mono(CODE_MS - 1)));
        assert!(!logins.take(code(1), Mono(CODE_MS - 1)), "it is used up");
        assert!(!logins.take(code(2), Mono(CODE_MS)), "its time is over");
    }

    #[test]
    fn the_oldest_code_makes_room() {
        let logins = Logins::default();
        for number in 0..=u8::try_from(MAX_CODES).expect("few") {
            logins.add(code(number), Mono(u64::from(number)));
        }
        assert!(!logins.take(code(0), Mono(200)));
        assert!(logins.take(code(1), Mono(200)));
    }
}

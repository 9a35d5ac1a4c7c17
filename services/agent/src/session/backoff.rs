//! How long to wait before connecting again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(10);

/// Doubles with every failure from 100 ms to 10 s, each time shortened by up to a half at random, so that many agents
/// that lost the same orchestrator do not come back at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub fn new() -> Self {
        Self { next: FIRST }
    }

    /// Starts again from the shortest wait.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }

    /// How long to wait now.
    pub fn next(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(MOST);
        let random =
            u32::from_le_bytes(*uuid::Uuid::new_v4().as_bytes().first_chunk().expect("16 bytes hold 4"));
        whole.mul_f64(1.0 - f64::from(random) / f64::from(u32::MAX) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_are_spread() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..50).map(|_| backoff.next()).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST, "{:?}", waits[0]);
        assert!(waits[20..].iter().all(|wait| *wait >= MOST / 2 && *wait <= MOST));
        assert!(waits[20..].windows(2).any(|pair| pair[0] != pair[1]), "no jitter");
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}

//! Chance that can be repeated: the same seed gives the same choices.

use std::time::Duration;

/// A generator of choices. It says its seed, so that a failure can be repeated with `CONDUCTOR_TEST_SEED`.
#[derive(Debug, Clone)]
pub struct Seed {
    first: u64,
    state: u64,
}

impl Seed {
    /// Makes a generator from `CONDUCTOR_TEST_SEED`, else from the process id, and prints the seed.
    ///
    /// # Panics
    /// When the variable is no number.
    #[must_use]
    pub fn from_env() -> Self {
        let first = match std::env::var("CONDUCTOR_TEST_SEED") {
            Ok(text) => text.parse().expect("CONDUCTOR_TEST_SEED is a number"),
            Err(_) => u64::from(std::process::id()),
        };
        println!("seed {first}; repeat with CONDUCTOR_TEST_SEED={first}");
        Self::new(first)
    }

    /// Makes a generator from a number.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { first: seed, state: seed }
    }

    /// The number it was made from.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The next number (splitmix64).
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    ///
    /// # Panics
    /// When `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// A time from `low` to `high` milliseconds.
    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.below(high - low + 1))
    }
}

/// How much longer than by default a test shall be: `CONDUCTOR_TEST_SCALE`, 1 when it is not set.
///
/// # Panics
/// When the variable is no number from 1 on.
#[must_use]
pub fn scale() -> u64 {
    match std::env::var("CONDUCTOR_TEST_SCALE") {
        Ok(text) => {
            text.parse().ok().filter(|scale| *scale > 0).expect("CONDUCTOR_TEST_SCALE is a number from 1 on")
        }
        Err(_) => 1,
    }
}

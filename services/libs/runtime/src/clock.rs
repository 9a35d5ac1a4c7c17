//! The one place that reads the time. Everything else is given a [`Reading`].

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};
use tokio::sync::watch;

/// The clock for leases and timeouts: it goes on while the machine is suspended and never goes back.
#[cfg(target_os = "linux")]
const MONO: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const MONO: ClockId = ClockId::Monotonic;

/// Timers stand still while the machine is suspended, so a long sleep looks at the clock this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Milliseconds since the machine started; comparable only within one boot.
    pub mono_ms: u64,
    /// Milliseconds since the Unix epoch.
    pub wall_ms: i64,
}

/// A source of time: the machine's, or one that a test moves by hand.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clocks.
    #[default]
    System,
    /// A clock that stands still until it is moved.
    Manual(ManualClock),
}

impl Clock {
    /// Reads both clocks.
    pub fn now(&self) -> Reading {
        match self {
            Clock::System => Reading {
                mono_ms: u64::try_from(millis(clock_gettime(MONO)))
                    .expect("the monotonic clock starts at zero"),
                wall_ms: millis(clock_gettime(ClockId::Realtime)),
            },
            Clock::Manual(manual) => manual.now(),
        }
    }

    /// Waits until the monotonic clock shows `mono_ms` or more.
    pub async fn sleep_until(&self, mono_ms: u64) {
        match self {
            Clock::System => loop {
                let left = Duration::from_millis(mono_ms.saturating_sub(self.now().mono_ms));
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
            },
            Clock::Manual(manual) => manual.sleep_until(mono_ms).await,
        }
    }
}

/// A clock for tests; its clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    reading: watch::Sender<Reading>,
}

impl ManualClock {
    /// Makes a clock that shows `start`.
    pub fn new(start: Reading) -> Self {
        ManualClock { reading: watch::Sender::new(start) }
    }

    /// Reads both clocks.
    pub fn now(&self) -> Reading {
        *self.reading.borrow()
    }

    /// Moves both clocks forward and wakes who waits for it.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).expect("a test advances by less than an age of the universe");
        self.reading.send_modify(|reading| {
            reading.mono_ms += ms;
            reading.wall_ms += ms.cast_signed();
        });
    }

    /// Sets the wall clock alone, as an administrator or NTP would.
    pub fn set_wall_ms(&self, wall_ms: i64) {
        self.reading.send_modify(|reading| reading.wall_ms = wall_ms);
    }

    async fn sleep_until(&self, mono_ms: u64) {
        self.reading
            .subscribe()
            .wait_for(|reading| reading.mono_ms >= mono_ms)
            .await
            .expect("the sender lives as long as this clock");
    }
}

fn millis(time: Timespec) -> i64 {
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_never_goes_back_and_shows_this_century() {
        let clock = Clock::default();
        let first = clock.now();
        let second = clock.now();
        assert!(second.mono_ms >= first.mono_ms);
        assert!(first.wall_ms > 1_700_000_000_000, "{first:?}");
        assert!(first.mono_ms > 0);
    }

    #[tokio::test]
    async fn manual_clock_wakes_sleepers_only_when_their_time_has_come() {
        let manual = ManualClock::new(Reading { mono_ms: 100, wall_ms: 1_000 });
        let clock = Clock::Manual(manual.clone());
        let sleeper = tokio::spawn(async move {
            clock.sleep_until(150).await;
            clock.now()
        });
        manual.advance(Duration::from_millis(49));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        manual.advance(Duration::from_millis(1));
        assert_eq!(sleeper.await.unwrap(), Reading { mono_ms: 150, wall_ms: 1_050 });
    }

    #[test]
    fn setting_the_wall_clock_leaves_the_monotonic_one_alone() {
        let manual = ManualClock::new(Reading { mono_ms: 7, wall_ms: 1_000 });
        manual.set_wall_ms(-5);
        assert_eq!(manual.now(), Reading { mono_ms: 7, wall_ms: -5 });
    }

    #[tokio::test]
    async fn system_sleep_ends_no_earlier_than_asked() {
        let clock = Clock::System;
        let until = clock.now().mono_ms + 3;
        clock.sleep_until(until).await;
        assert!(clock.now().mono_ms >= until);
    }
}

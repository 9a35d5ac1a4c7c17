//! The two clocks. `Mono` never jumps and is used for leases, timeouts and backoff; `Wall` is what people read and is
//! used for `run_at`, schedules and records. Only wall instants are kept in the log; `Mono` is rebased when loaded.

use std::fmt;

/// Milliseconds of a clock that only moves forward, also while the machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(pub i64);

impl Mono {
    /// The instant `ms` milliseconds later.
    #[must_use]
    pub fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl Wall {
    /// The instant `ms` milliseconds later.
    #[must_use]
    pub fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `now` until this instant; 0 when it has passed.
    #[must_use]
    pub fn remaining_ms(self, now: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(now.0)).unwrap_or(0)
    }
}

impl fmt::Display for Wall {
    /// Writes it as RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY_S: i64 = 86_400;
        let seconds = self.0.div_euclid(1_000);
        let (days, of_day) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
        // Years are counted from March, so that the day that comes and goes is a year's last.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Both clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For leases, timeouts and backoff.
    pub mono: Mono,
    /// For `run_at`, schedules and records.
    pub wall: Wall,
}

impl Now {
    /// Moves a wall instant that was written down onto the monotonic clock.
    #[must_use]
    pub fn rebase(self, instant: Wall) -> Mono {
        self.mono.after(instant.remaining_ms(self.wall))
    }
}

/// When the machine next has something to do by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deadline {
    /// The earliest monotonic deadline.
    pub mono: Option<Mono>,
    /// The earliest wall deadline (`run_at`, schedules); a jump of the wall clock may bring it nearer.
    pub wall: Option<Wall>,
}

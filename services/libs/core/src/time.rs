//! The two clocks. `Mono` never jumps and is used for leases, timeouts and backoff; `Wall` is what people read and is
//! used for `run_at`, schedules and records. Only wall instants are kept in the log; `Mono` is rebased when loaded.

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

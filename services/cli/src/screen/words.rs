//! Times, sizes and texts for people.

use std::time::Duration;

use conductor_core::Wall;
use conductor_runtime::clock::Clock;

/// The time.
pub fn now() -> Wall {
    Wall(Clock::System.now().wall_ms)
}

/// A duration, as exact as people want it.
pub fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{}.{} s", seconds, duration.subsec_millis() / 100),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// The time between two instants.
pub fn elapsed_between(from: Wall, to: Wall) -> String {
    elapsed(Duration::from_millis(u64::try_from(to.0 - from.0).unwrap_or(0)))
}

/// How long ago something was, in its largest unit.
pub fn ago(at: Wall, now: Wall) -> String {
    let seconds = u64::try_from(now.0 - at.0).unwrap_or(0) / 1_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A size in its largest unit.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) * 10 / 1_024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// The first line of a text that says something.
pub fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_short() {
        for (ms, text) in
            [(0, "0 ms"), (999, "999 ms"), (1_250, "1.2 s"), (61_000, "1m01s"), (3_660_000, "1h01m")]
        {
            assert_eq!(elapsed(Duration::from_millis(ms)), text);
        }
        for (count, text) in [(0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (1_572_864, "1.5 MiB")] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(bytes(u64::MAX), "16383.9 PiB");
        assert_eq!(ago(Wall(0), Wall(90_000)), "1m");
        assert_eq!(ago(Wall(5), Wall(0)), "0s", "clocks differ");
    }

    #[test]
    fn the_first_line_is_the_first_that_says_something() {
        assert_eq!(first_line("\n  \n Fix it\nnow"), "Fix it");
        assert_eq!(first_line(""), "");
    }
}

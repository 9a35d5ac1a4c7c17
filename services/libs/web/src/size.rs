//! Sizes as people read them.

/// What follows bytes, each a thousand of the one before.
const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];

/// A size in bytes.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(
            [0, 999, 1_000, 9_960, 999_600, 12_000_000].map(bytes),
            ["0 B", "999 B", "1.0 kB", "10 kB", "1.0 MB", "12 MB"]
        );
    }
}

//! Durations as people write them: `90s`, `5m`, `1h30m`, `500ms`.

use std::time::Duration;

/// The units, longest first, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a duration is empty; write it like 90s, 5m or 1h30m")]
    Empty,
    #[error("{0:?} has no unit; write it like 90s, 5m or 1h30m")]
    NoUnit(String),
    #[error("unknown unit {unit:?} in {text:?}; the units are d, h, m, s and ms")]
    UnknownUnit { text: String, unit: String },
    #[error("{0:?} is not a duration; write it like 90s, 5m or 1h30m")]
    NotADuration(String),
    #[error("the units in {0:?} must go from long to short, each at most once")]
    Order(String),
    #[error("{0:?} is too long for a duration")]
    TooLong(String),
}

/// Reads a duration such as `90s`, `5m`, `2h`, `1h30m` or `500ms`.
///
/// # Errors
/// Says what is wrong with the text; a number needs a unit.
pub fn parse(text: &str) -> Result<Duration, Error> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(Error::Empty);
    }
    let mut total_ms: u64 = 0;
    let mut allowed = UNITS.as_slice();
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after, |c| c.is_ascii_alphabetic());
        match (number.is_empty(), unit.is_empty()) {
            (false, true) if after.is_empty() => return Err(Error::NoUnit(text.to_owned())),
            (false, false) => {}
            (true, _) | (false, true) => return Err(Error::NotADuration(text.to_owned())),
        }
        let Some(&(_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(Error::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() });
        };
        let Some(at) = allowed.iter().position(|(name, _)| *name == unit) else {
            return Err(Error::Order(text.to_owned()));
        };
        allowed = &allowed[at + 1..];
        total_ms = number
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(unit_ms))
            .and_then(|ms| total_ms.checked_add(ms))
            .ok_or_else(|| Error::TooLong(text.to_owned()))?;
        rest = after;
    }
    Ok(Duration::from_millis(total_ms))
}

/// Writes a duration the way [`parse`] reads it, to the millisecond.
pub fn format(duration: Duration) -> String {
    let mut left_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left_ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, unit_ms) in UNITS {
        let count = left_ms / unit_ms;
        left_ms %= unit_ms;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("90s", 90_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1d2h3m4s5ms", 93_784_005),
            (" 10s ", 10_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, part) in [
            ("", "empty"),
            ("90", "no unit"),
            ("90x", "unknown unit \"x\""),
            ("5M", "unknown unit \"M\""),
            ("1.5h", "not a duration"),
            ("-5s", "not a duration"),
            ("5s-", "not a duration"),
            ("s", "not a duration"),
            ("1h 30m", "not a duration"),
            ("30m1h", "from long to short"),
            ("1h1h", "from long to short"),
            ("99999999999999999999s", "too long"),
            ("9999999999999999d", "too long"),
            ("５m", "not a duration"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?} gave {error:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for ms in [0, 1, 999, 1_000, 61_001, 86_400_000, 90_061_001, u64::MAX] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse(&format(duration)), Ok(duration));
        }
        assert_eq!(format(Duration::from_secs(5_400)), "1h30m");
    }
}

//! When a limit ends, where a program only says it in words for people.

use jiff::Zoned;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// The words before the time.
const BEFORE: &str = "try again at ";
/// What is said is cut to whole minutes.
const MINUTE_SECONDS: i64 = 60;
/// A time further away is not believed.
const MAX_SECONDS: i64 = 40 * 24 * 3_600;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time zone in which a program that has this `TZ` speaks.
pub(super) fn zone(variable: Option<&str>) -> TimeZone {
    variable.and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(TimeZone::system)
}

/// The end of a limit in seconds since 1970, as Codex tells it: `try again at 3:05 PM.`, which is today, or
/// `try again at Nov 24th, 2026 3:05 PM.`; none where no such time is said, or it is over.
pub(super) fn said_in(message: &str, now: &Zoned) -> Option<i64> {
    let at = message.to_ascii_lowercase().find(BEFORE)? + BEFORE.len();
    let words: Vec<&str> = message[at..].split(['.', ';']).next()?.split_whitespace().collect();
    let (date, time, half) = match words.as_slice() {
        [time, half] => (now.date(), time, half),
        [month, day, year, time, half] => (date(month, day, year)?, time, half),
        _ => return None,
    };
    let (hour, minute) = time.split_once(':')?;
    let hour = hour.parse::<i8>().ok().filter(|hour| (1..=12).contains(hour))? % 12;
    let hour = match half.to_ascii_uppercase().as_str() {
        "AM" => hour,
        "PM" => hour + 12,
        _ => return None,
    };
    let time = DateTime::from_parts(date, jiff::civil::Time::new(hour, minute.parse().ok()?, 0, 0).ok()?);
    let ends = time.to_zoned(now.time_zone().clone()).ok()?.timestamp().as_second() + MINUTE_SECONDS;
    let left = ends - now.timestamp().as_second();
    (1..=MAX_SECONDS).contains(&left).then_some(ends)
}

fn date(month: &str, day: &str, year: &str) -> Option<Date> {
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? + 1;
    let day = day.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()?;
    Date::new(year.trim_end_matches(',').parse().ok()?, i8::try_from(month).ok()?, day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(message: &str) -> Option<i64> {
        let now: Zoned = "2026-11-23T14:00:30+01:00[Europe/Berlin]".parse().unwrap();
        said_in(message, &now).map(|ends| ends - now.timestamp().as_second())
    }

    #[test]
    fn the_time_is_read_as_it_is_said_and_in_its_zone() {
        let hit = "You've hit your usage limit. ";
        assert_eq!(left(&format!("{hit}Try again at 2:05 PM.")), Some(330));
        assert_eq!(
            left(&format!("{hit}Upgrade to Pro, or try again at 2:00 PM.")),
            Some(30),
            "the minute counts"
        );
        assert_eq!(left(&format!("{hit}Try again at Nov 24th, 2026 12:01 AM.")), Some(10 * 3_600 + 90));
        assert_eq!(
            left(&format!("{hit}Try again at Dec 1st, 2026 12:00 PM.")),
            Some(7 * 86_400 + 22 * 3_600 + 30)
        );
    }

    #[test]
    fn what_is_no_time_to_come_is_none() {
        for words in [
            "Try again later.",
            "Try again at 1:00 PM.",
            "Try again at 13:00 PM.",
            "Try again at noon.",
            "Try again at Nov 24th, 2036 1:00 AM.",
            "Try again at Smarch 3rd, 2026 1:00 AM.",
            "Try again at ",
        ] {
            assert_eq!(left(words), None, "{words}");
        }
    }
}

//! When a cron expression comes due.

use conductor_core::Wall;
use conductor_protocol::Problem;
use cronexpr::Crontab;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// How far back occurrences are looked for, since a clock that is put forward moves them: more than any change of a clock.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(4);
/// Occurrences that are looked at for one that is to come; no expression has more within the time that is looked back.
const MAX_LOOKS: usize = 1_000;

/// A cron expression in its time zone.
#[derive(Debug)]
pub(crate) struct Cron {
    /// What comes due by the time that passes.
    elapsing: Crontab,
    /// The same by what a clock on the wall shows, for an expression that names its times; and the clock's zone.
    shown: Option<(Crontab, TimeZone)>,
}

impl Cron {
    /// Reads an expression of five fields and an IANA time zone; UTC when none is given.
    ///
    /// # Errors
    /// Says which of the two cannot be read.
    pub(crate) fn parse(expression: &str, time_zone: Option<&str>) -> Result<Self, Problem> {
        let time_zone = time_zone.unwrap_or("UTC");
        let Ok(zone) = TimeZone::get(time_zone) else {
            return Err(Problem::at(
                "/time_zone",
                format!("{time_zone:?} is not an IANA time zone such as Europe/Paris"),
            ));
        };
        if expression.split_whitespace().count() != 5 {
            let detail = "a cron expression has five fields: minute, hour, day of month, month, day of week";
            return Err(Problem::at("/cron", detail));
        }
        let read = |zone: &str| {
            cronexpr::parse_crontab(&format!("{expression} {zone}"))
                .map_err(|error| Problem::at("/cron", error.to_string().trim().to_owned()))
        };
        let names_times = !expression.split_whitespace().take(2).any(|field| field.starts_with('*'));
        let shown = if names_times { Some((read("UTC")?, zone)) } else { None };
        Ok(Self { elapsing: read(time_zone)?, shown })
    }

    /// The first instant after `now` at which it comes due. A time that a change of the clock skips is due as much later as
    /// the clock was put forward; one that comes twice is due the first time. What is due every so often goes on by the time
    /// that passes.
    ///
    /// # Errors
    /// When it never does.
    pub(crate) fn after(&self, now: Wall) -> Result<Wall, Problem> {
        let never = || Problem::at("/cron", "the expression never comes due");
        let now = Timestamp::from_millisecond(now.0).map_err(|_| never())?;
        let next = match &self.shown {
            None => self.elapsing.find_next(now).map_err(|_| never())?.timestamp(),
            Some((shown, zone)) => next_shown(shown, zone, now).ok_or_else(never)?,
        };
        Ok(Wall(next.as_millisecond()))
    }
}

/// The next occurrence by a clock on the wall. The clock's times stand for those of UTC, which has no changes.
fn next_shown(shown: &Crontab, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let clock = TimeZone::UTC.to_timestamp(zone.to_datetime(now)).ok()?;
    let mut at = clock.checked_sub(LOOK_BACK).ok()?;
    for _ in 0..MAX_LOOKS {
        at = shown.find_next(at).ok()?.timestamp();
        let due = zone.to_timestamp(TimeZone::UTC.to_datetime(at)).ok()?;
        if due > now {
            return Some(due);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> Wall {
        conductor_protocol::text::parse_rfc3339(text).expect("a time")
    }

    #[test]
    fn an_expression_comes_due_in_its_own_time_zone() {
        let cron = Cron::parse("30 8 * * 1-5", Some("Europe/Paris")).expect("parses");
        assert_eq!(cron.after(wall("2026-01-30T12:00:00Z")), Ok(wall("2026-02-02T07:30:00Z")));
        assert_eq!(cron.after(wall("2026-07-01T06:30:00Z")), Ok(wall("2026-07-02T06:30:00Z")));
    }

    #[test]
    fn a_time_that_the_clock_change_skips_does_not_stop_the_schedule() {
        let cron = Cron::parse("30 2 * * *", Some("Europe/Paris")).expect("parses");
        let next = cron.after(wall("2026-03-28T12:00:00Z")).expect("comes due");
        assert!(next > wall("2026-03-28T12:00:00Z") && next < wall("2026-03-31T00:00:00Z"), "{next:?}");
    }

    /// The times at which it comes due from one instant to another.
    fn between(cron: &str, from: &str, to: &str) -> Vec<String> {
        let cron = Cron::parse(cron, Some("Europe/Paris")).expect("parses");
        let (mut now, end, mut found) = (wall(from), wall(to), Vec::new());
        while let Ok(next) = cron.after(now)
            && next < end
        {
            let time = jiff::Timestamp::from_millisecond(next.0).expect("a time");
            found.push(time.to_string());
            now = next;
        }
        found
    }

    #[test]
    fn a_time_that_comes_twice_is_due_once() {
        // At 03:00 of summer time, which is 01:00 UTC, the clocks go back to 02:00.
        let found = between("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn what_is_due_every_half_hour_goes_on_through_both_changes_of_the_clock() {
        for (from, to) in [
            ("2026-10-24T22:15:00Z", "2026-10-25T04:15:00Z"),
            ("2026-03-28T22:15:00Z", "2026-03-29T04:15:00Z"),
        ] {
            assert_eq!(between("*/30 * * * *", from, to).len(), 12, "from {from}");
        }
    }

    #[test]
    fn a_day_whose_clock_skips_the_time_has_its_occurrence_all_the_same() {
        let found = between("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
        assert_eq!(
            found,
            ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"],
            "half past three, and half past two"
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let pointer = |result: Result<Cron, Problem>| result.expect_err("refused").errors[0].pointer.clone();
        assert_eq!(pointer(Cron::parse("61 * * * *", None)), "/cron");
        assert_eq!(pointer(Cron::parse("* * * *", None)), "/cron");
        assert_eq!(pointer(Cron::parse("* * * * *", Some("Mars/Olympus"))), "/time_zone");
    }
}

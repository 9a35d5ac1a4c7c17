//! When a cron expression comes due.

use conductor_core::Wall;
use conductor_protocol::Problem;

/// A cron expression in its time zone.
#[derive(Debug)]
pub(crate) struct Cron(cronexpr::Crontab);

impl Cron {
    /// Reads an expression of five fields and an IANA time zone; UTC when none is given.
    ///
    /// # Errors
    /// Says which of the two cannot be read.
    pub(crate) fn parse(expression: &str, time_zone: Option<&str>) -> Result<Self, Problem> {
        let time_zone = time_zone.unwrap_or("UTC");
        if jiff::tz::TimeZone::get(time_zone).is_err() {
            return Err(Problem::at(
                "/time_zone",
                format!("{time_zone:?} is not an IANA time zone such as Europe/Paris"),
            ));
        }
        if expression.split_whitespace().count() != 5 {
            let detail = "a cron expression has five fields: minute, hour, day of month, month, day of week";
            return Err(Problem::at("/cron", detail));
        }
        cronexpr::parse_crontab(&format!("{expression} {time_zone}"))
            .map(Self)
            .map_err(|error| Problem::at("/cron", error.to_string().trim().to_owned()))
    }

    /// The first instant after `now` at which it comes due.
    ///
    /// # Errors
    /// When it never does.
    pub(crate) fn after(&self, now: Wall) -> Result<Wall, Problem> {
        let never = || Problem::at("/cron", "the expression never comes due");
        let from = jiff::Timestamp::from_millisecond(now.0).map_err(|_| never())?;
        let next = self.0.find_next(from).map_err(|_| never())?;
        Ok(Wall(next.timestamp().as_millisecond()))
    }
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

    #[test]
    fn what_cannot_be_read_is_named() {
        let pointer = |result: Result<Cron, Problem>| result.expect_err("refused").errors[0].pointer.clone();
        assert_eq!(pointer(Cron::parse("61 * * * *", None)), "/cron");
        assert_eq!(pointer(Cron::parse("* * * *", None)), "/cron");
        assert_eq!(pointer(Cron::parse("* * * * *", Some("Mars/Olympus"))), "/time_zone");
    }
}

//! Hours and minutes: written while events are taken in, and read step by step.

use conductor_core::{Name, Wall};
use rusqlite::Connection;

use crate::database;
use crate::history::fold::{self, GroupSums, Spans};
use crate::history::{Hour, KEPT_MINUTES, MAX_STEPS, TrendsQuery};

/// Minutes of an hour.
const HOUR_MINUTES: i64 = 60;

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

/// Gives the tables of files of an earlier build what they lack.
pub(super) fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    for table in ["hours", "minutes"] {
        if !database::has_column(connection, table, "failed_cost")? {
            let add = format!("ALTER TABLE {table} ADD COLUMN failed_cost INTEGER NOT NULL DEFAULT 0");
            connection.execute_batch(&add)?;
        }
    }
    Ok(())
}

/// Adds to an hour of a group.
pub(super) fn write_hour(
    connection: &Connection,
    hour: i64,
    group: &Name,
    found: &GroupSums,
) -> rusqlite::Result<()> {
    let sums = &found.sums;
    connection
        .prepare_cached(
            "INSERT INTO hours (hour, grp, first_seq, last_seq, submitted, started, succeeded, failed, cancelled,
                 wait_ms, wait_max_ms, run_ms, tokens, cost, failed_cost)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
             ON CONFLICT DO UPDATE SET
                 first_seq = coalesce(first_seq, excluded.first_seq),
                 last_seq = coalesce(excluded.last_seq, last_seq),
                 submitted = submitted + excluded.submitted,
                 started = started + excluded.started,
                 succeeded = succeeded + excluded.succeeded,
                 failed = failed + excluded.failed,
                 cancelled = cancelled + excluded.cancelled,
                 wait_ms = wait_ms + excluded.wait_ms,
                 wait_max_ms = max(wait_max_ms, excluded.wait_max_ms),
                 run_ms = run_ms + excluded.run_ms,
                 tokens = tokens + excluded.tokens,
                 cost = cost + excluded.cost,
                 failed_cost = failed_cost + excluded.failed_cost",
        )?
        .execute(rusqlite::params![
            hour,
            group.as_str(),
            found.submitted_seqs.map(|(first, _)| first.0.cast_signed()),
            found.submitted_seqs.map(|(_, last)| last.0.cast_signed()),
            number(sums.submitted),
            number(sums.started),
            number(sums.succeeded),
            number(sums.failed),
            number(sums.cancelled),
            number(sums.wait_ms),
            number(sums.wait_max_ms),
            number(sums.run_ms),
            number(sums.tokens),
            number(sums.cost_usd_micros),
            number(sums.failed_cost_usd_micros),
        ])
        .map(drop)
}

/// A sum as the file keeps it. One that is too large stays so large that it shows, and small enough to add to.
fn number(sum: u64) -> i64 {
    i64::try_from(sum).unwrap_or(i64::MAX / 1024).min(i64::MAX / 1024)
}

/// Adds to the minutes, and lets go of those that are too old.
pub(super) fn write_minutes(connection: &Connection, minutes: &Spans) -> rusqlite::Result<()> {
    for ((minute, group), found) in minutes {
        let sums = &found.sums;
        connection
            .prepare_cached(
                "INSERT INTO minutes (minute, grp, submitted, started, succeeded, failed, cancelled,
                     wait_ms, wait_max_ms, run_ms, tokens, cost, failed_cost)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                 ON CONFLICT DO UPDATE SET
                     submitted = submitted + excluded.submitted,
                     started = started + excluded.started,
                     succeeded = succeeded + excluded.succeeded,
                     failed = failed + excluded.failed,
                     cancelled = cancelled + excluded.cancelled,
                     wait_ms = wait_ms + excluded.wait_ms,
                     wait_max_ms = max(wait_max_ms, excluded.wait_max_ms),
                     run_ms = run_ms + excluded.run_ms,
                     tokens = tokens + excluded.tokens,
                     cost = cost + excluded.cost,
                 failed_cost = failed_cost + excluded.failed_cost",
            )?
            .execute(rusqlite::params![
                minute,
                group.as_str(),
                number(sums.submitted),
                number(sums.started),
                number(sums.succeeded),
                number(sums.failed),
                number(sums.cancelled),
                number(sums.wait_ms),
                number(sums.wait_max_ms),
                number(sums.run_ms),
                number(sums.tokens),
                number(sums.cost_usd_micros),
                number(sums.failed_cost_usd_micros),
            ])?;
    }
    let Some(newest) = minutes.keys().map(|(minute, _)| *minute).max() else { return Ok(()) };
    connection
        .prepare_cached("DELETE FROM minutes WHERE minute < ?1")?
        .execute([newest - KEPT_MINUTES])
        .map(drop)
}

/// Adds up step by step.
pub(super) fn trends(connection: &Connection, query: &TrendsQuery) -> rusqlite::Result<Vec<Hour>> {
    let steps = query.steps.min(MAX_STEPS);
    let step = i64::from(query.step_minutes.max(1));
    let by_hour = step % HOUR_MINUTES == 0;
    let last = fold::minute_of(query.until).div_euclid(step);
    let first = last - i64::try_from(steps).expect("bounded") + 1;
    let mut found: Vec<Hour> = (first..=last)
        .map(|number| Hour { from: Wall(number.saturating_mul(step * MINUTE_MS)), ..Hour::default() })
        .collect();
    // Minutes that a span of the table stands for.
    let (table, span) = if by_hour { ("hours", HOUR_MINUTES) } else { ("minutes", 1) };
    let column = if by_hour { "hour" } else { "minute" };
    let mut select = connection.prepare_cached(&format!(
        "SELECT grp, {column}, submitted, started, succeeded, failed, cancelled, wait_ms, wait_max_ms, run_ms, tokens,
             cost, failed_cost FROM {table} WHERE {column} >= ?1 AND {column} < ?2"
    ))?;
    let begin = |number: i64| number.saturating_mul(step) / span;
    let mut rows = select.query([begin(first), begin(last + 1)])?;
    while let Some(row) = rows.next()? {
        let group = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if query.visible.as_ref().is_some_and(|groups| groups.iter().all(|name| name.as_str() != group)) {
            continue;
        }
        let number: i64 = row.get(1)?;
        let place = (number * span).div_euclid(step) - first;
        let place = usize::try_from(place).ok().and_then(|place| found.get_mut(place));
        place.expect("only what lies in the steps was asked for").add(&read(row)?);
    }
    Ok(found)
}

/// The sums of a row, which stand after its group and its number.
pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Hour> {
    let number = |place| row.get::<_, i64>(place).map(|number| u64::try_from(number).unwrap_or(0));
    Ok(Hour {
        from: Wall::default(),
        submitted: number(2)?,
        started: number(3)?,
        succeeded: number(4)?,
        failed: number(5)?,
        cancelled: number(6)?,
        wait_ms: number(7)?,
        wait_max_ms: number(8)?,
        run_ms: number(9)?,
        tokens: number(10)?,
        cost_usd_micros: number(11)?,
        failed_cost_usd_micros: number(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_an_earlier_build_get_what_they_lack_once() {
        let connection = Connection::open_in_memory().unwrap();
        let old = "CREATE TABLE hours (hour INTEGER, cost INTEGER); INSERT INTO hours VALUES (1, 2);
            CREATE TABLE minutes (minute INTEGER, cost INTEGER)";
        connection.execute_batch(old).unwrap();
        for _ in 0..2 {
            set_up(&connection).unwrap();
        }
        let failed_cost: i64 =
            connection.query_row("SELECT failed_cost FROM hours", [], |row| row.get(0)).unwrap();
        assert_eq!(failed_cost, 0, "what was counted before is not known to have failed");
    }
}

//! Sums, and what retention asks for.

use conductor_core::{TaskId, Wall};
use rusqlite::Connection;

use super::list;
use super::row::Trouble;
use super::spans;
use crate::history::{Hour, Stats, StatsQuery, fold};

/// Hours of 31 days.
const MAX_HOURS: usize = 744;

/// Adds up.
pub(super) fn stats(connection: &Connection, query: &StatsQuery) -> Result<Stats, Trouble> {
    let sees = |group: &str| {
        query.visible.as_ref().is_none_or(|groups| groups.iter().any(|name| name.as_str() == group))
    };
    Ok(Stats { states: list::states(connection, sees)?, hours: hours(connection, query.since, sees)? })
}

fn hours(
    connection: &Connection,
    since: Option<Wall>,
    sees: impl Fn(&str) -> bool,
) -> rusqlite::Result<Vec<Hour>> {
    let mut select = connection.prepare_cached(
        "SELECT grp, hour, submitted, started, succeeded, failed, cancelled, wait_ms, wait_max_ms, run_ms, tokens, cost,
             failed_cost FROM hours WHERE hour >= ?1 ORDER BY hour DESC",
    )?;
    let mut rows = select.query([since.map_or(i64::MIN, fold::hour_of)])?;
    let mut hours: Vec<Hour> = Vec::new();
    while let Some(row) = rows.next()? {
        if !sees(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?) {
            continue;
        }
        let from = fold::hour_begins(row.get(1)?);
        if hours.last().is_none_or(|hour| hour.from != from) {
            if hours.len() == MAX_HOURS {
                break;
            }
            hours.push(Hour { from, ..Hour::default() });
        }
        hours.last_mut().expect("one was pushed").add(&spans::read(row)?);
    }
    Ok(hours)
}

/// Lists tasks that ended before an instant, those first that ended first.
pub(super) fn ended_before(
    connection: &Connection,
    before: Wall,
    limit: usize,
) -> Result<Vec<TaskId>, Trouble> {
    let mut select = connection.prepare_cached(
        "SELECT id FROM tasks WHERE finished_at IS NOT NULL AND finished_at < ?1 ORDER BY finished_at LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = select.query_map((before.0, limit), |row| row.get::<_, [u8; 16]>(0))?;
    Ok(rows.map(|id| id.map(|id| TaskId(u128::from_be_bytes(id)))).collect::<rusqlite::Result<_>>()?)
}

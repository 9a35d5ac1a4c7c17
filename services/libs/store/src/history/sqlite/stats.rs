//! Sums, the audit, and what retention asks for.

use conductor_core::{Seq, TaskId, Wall};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::list;
use super::row::Trouble;
use super::spans;
use crate::history::{AuditPage, AuditQuery, AuditRecord, Hour, MAX_PAGE, Stats, StatsQuery, fold};
use crate::record::Decoder;

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
        "SELECT grp, hour, submitted, started, succeeded, failed, cancelled, wait_ms, wait_max_ms, run_ms, tokens, cost
         FROM hours WHERE hour >= ?1 ORDER BY hour DESC",
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

/// Lists what people and programs did.
pub(super) fn audit(connection: &Connection, query: &AuditQuery, as_of: Seq) -> Result<AuditPage, Trouble> {
    let limit = match query.limit {
        0 => MAX_PAGE,
        limit => limit.min(MAX_PAGE),
    };
    let mut sql = "SELECT seq, crc, body FROM audit WHERE seq < ?".to_owned();
    let older_than = query.older_than.map_or(i64::MAX, |seq| seq.0.cast_signed());
    let mut values = vec![Value::Integer(older_than)];
    let mut also = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    };
    also(" AND actor = ?", query.actor.as_ref().map(|name| Value::Text(name.to_string())));
    also(" AND action = ?", query.action.as_ref().map(|name| Value::Text(name.to_string())));
    also(" AND at >= ?", query.after.map(|at| Value::Integer(at.0)));
    also(" AND at < ?", query.before.map(|at| Value::Integer(at.0)));
    sql.push_str(&format!(" ORDER BY seq DESC LIMIT {}", limit + 1));
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(rusqlite::params_from_iter(values))?;
    let mut decoder = Decoder::default();
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read(row, &mut decoder)?);
    }
    let more = records.len() > limit;
    records.truncate(limit);
    let next = records.last().filter(|_| more).map(|record| record.seq);
    Ok(AuditPage { records, next, as_of })
}

fn read(row: &rusqlite::Row<'_>, decoder: &mut Decoder) -> Result<AuditRecord, Trouble> {
    let place = |seq: i64| format!("the audit of event {seq}");
    let seq: i64 = row.get(0)?;
    let crc: u32 = row.get(1)?;
    let body = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
    if crc32fast::hash(body) != crc {
        return Err(Trouble::Record { place: place(seq), what: "its digest does not match".to_owned() });
    }
    decoder.audit(body).map_err(|error| Trouble::Record { place: place(seq), what: error.to_string() })
}

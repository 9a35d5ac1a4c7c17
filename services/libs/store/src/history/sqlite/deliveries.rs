//! What was told of tasks.

use conductor_core::{Name, Notice, Route, Seq, TaskId, Tried, Wall};
use rusqlite::Connection;

use super::row::Trouble;
use crate::history::fold::Told;
use crate::history::{DeliveryRecord, DeliveryState, MAX_PAGE};

/// Numbers that stand for how a delivery stands.
const PENDING: i64 = 0;
const DELIVERED: i64 = 1;
const GIVEN_UP: i64 = 2;

fn notice_number(notice: Notice) -> i64 {
    match notice {
        Notice::Finished => 0,
        Notice::Failed => 1,
        Notice::Waiting => 2,
        Notice::Unservable => 3,
        Notice::DiskFloor => 4,
        Notice::ScheduleStopped => 5,
        Notice::LaneClosed => 6,
        Notice::BudgetNear => 7,
    }
}

fn notice_of(number: i64) -> Option<Notice> {
    let all = [
        Notice::Finished,
        Notice::Failed,
        Notice::Waiting,
        Notice::Unservable,
        Notice::DiskFloor,
        Notice::ScheduleStopped,
        Notice::LaneClosed,
        Notice::BudgetNear,
    ];
    all.into_iter().find(|notice| notice_number(*notice) == number)
}

/// Writes what happened, in order.
pub(super) fn write(connection: &Connection, told: &[Told]) -> rusqlite::Result<()> {
    for told in told {
        match told {
            Told::Due(record) => {
                let rule = match &record.route {
                    Route::Webhook => None,
                    Route::Rule(name) => Some(name.as_str()),
                };
                connection
                    .prepare_cached(
                        "INSERT INTO deliveries (seq, task, rule, notice, tries, state, next_at, last_at)
                         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?6)",
                    )?
                    .execute((
                        record.seq.0.cast_signed(),
                        record.task.0.to_be_bytes(),
                        rule,
                        notice_number(record.notice),
                        PENDING,
                        record.last_at.0,
                    ))?;
            }
            Told::Tried { delivery, at, tried, answer } => {
                let (state, next_at) = match tried {
                    Tried::Delivered => (DELIVERED, None),
                    Tried::Again { next_at } => (PENDING, Some(next_at.0)),
                    Tried::GivenUp => (GIVEN_UP, None),
                };
                connection
                    .prepare_cached(
                        "UPDATE deliveries SET sent_to = ?2, tries = tries + 1, state = ?3, next_at = ?4,
                             status = ?5, error = ?6, last_at = ?7
                         WHERE seq = ?1",
                    )?
                    .execute((
                        delivery.0.cast_signed(),
                        &*answer.to,
                        state,
                        next_at,
                        answer.status,
                        answer.error.as_deref(),
                        at.0,
                    ))?;
            }
        }
    }
    Ok(())
}

/// Forgets what was told of a task.
pub(super) fn delete(connection: &Connection, task: TaskId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM deliveries WHERE task = ?1")?
        .execute([task.0.to_be_bytes()])
        .map(drop)
}

/// Lists what was told of a task, the newest first.
pub(super) fn list(connection: &Connection, task: TaskId) -> Result<Vec<DeliveryRecord>, Trouble> {
    let mut select = connection.prepare_cached(
        "SELECT seq, rule, notice, sent_to, tries, state, next_at, status, error, last_at
         FROM deliveries WHERE task = ?1 ORDER BY seq DESC LIMIT ?2",
    )?;
    let limit = i64::try_from(MAX_PAGE).expect("a small number");
    let mut rows = select.query((task.0.to_be_bytes(), limit))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row, task)?);
    }
    Ok(found)
}

fn read(row: &rusqlite::Row<'_>, task: TaskId) -> Result<DeliveryRecord, Trouble> {
    let seq: i64 = row.get(0)?;
    let bad =
        |what: &str| Trouble::Record { place: format!("the delivery of event {seq}"), what: what.to_owned() };
    let rule: Option<String> = row.get(1)?;
    let route = match rule {
        None => Route::Webhook,
        Some(rule) => Route::Rule(Name::new(&rule).map_err(|error| bad(&error.to_string()))?),
    };
    let state = match row.get::<_, i64>(5)? {
        PENDING => {
            DeliveryState::Pending { next_at: Wall(row.get::<_, Option<i64>>(6)?.unwrap_or_default()) }
        }
        DELIVERED => DeliveryState::Delivered,
        GIVEN_UP => DeliveryState::GivenUp,
        _ => return Err(bad("its state is not known")),
    };
    Ok(DeliveryRecord {
        seq: Seq(seq.cast_unsigned()),
        task,
        route,
        notice: notice_of(row.get(2)?).ok_or_else(|| bad("what it tells is not known"))?,
        to: row.get::<_, Option<String>>(3)?.map(Into::into),
        tries: row.get(4)?,
        state,
        status: row.get(7)?,
        error: row.get::<_, Option<String>>(8)?.map(Into::into),
        last_at: Wall(row.get(9)?),
    })
}

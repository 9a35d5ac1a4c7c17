//! Rows of batches and payloads, written and read with their digests.

use conductor_core::{Event, Seq};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::log::ahead::Bad;
use crate::log::digest::{self, Head};
use crate::log::{Batch, Payload, PayloadKey, Stretch};
use crate::record::Decoder;

/// Writes a batch, whose events are encoded already, with its payloads.
pub(super) fn write_batch(connection: &Connection, batch: &Batch, body: &[u8]) -> rusqlite::Result<()> {
    let head = Head::of(batch);
    connection
        .prepare_cached(
            "INSERT INTO batches (first_seq, count, batch_id, fence, crc, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            head.first.cast_signed(),
            head.count.cast_signed(),
            head.id,
            head.fence.cast_signed(),
            head.crc(body),
            body,
        ))?;
    write_payloads(connection, &batch.payloads)?;
    if !batch.deleted_payloads.is_empty() {
        let mut delete = connection.prepare_cached("DELETE FROM payloads WHERE key = ?1")?;
        for key in &batch.deleted_payloads {
            delete.execute([key.0.to_be_bytes()])?;
        }
    }
    Ok(())
}

pub(super) fn write_payloads(connection: &Connection, payloads: &[Payload]) -> rusqlite::Result<()> {
    if payloads.is_empty() {
        return Ok(());
    }
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO payloads (key, crc, body) VALUES (?1, ?2, ?3)")?;
    for payload in payloads {
        let key = payload.key.0.to_be_bytes();
        insert.execute((key, digest::payload(&key, &payload.bytes), payload.bytes.as_slice()))?;
    }
    Ok(())
}

/// The columns that [`read_batch`] reads.
pub(super) const BATCH_COLUMNS: &str = "first_seq, count, batch_id, fence, crc, body";

/// Reads a batch from its row and checks it.
pub(super) fn read_batch(row: &Row<'_>, decoder: &mut Decoder) -> rusqlite::Result<Result<Stretch, Bad>> {
    let (head, body) = match checked(row)? {
        Ok(found) => found,
        Err(bad) => return Ok(Err(bad)),
    };
    let count = usize::try_from(head.count).unwrap_or(usize::MAX);
    let events: Result<Vec<Event>, _> = decoder.events(body, count);
    Ok(events
        .map(|events| Stretch { first: Seq(head.first), events })
        .map_err(|error| Bad { place: format!("event {}", head.first), what: error.to_string() }))
}

/// Checks a batch in its row, and answers its first event and its last.
pub(super) fn check_batch(row: &Row<'_>) -> rusqlite::Result<Result<(Seq, Seq), Bad>> {
    Ok(checked(row)?.map(|(head, _)| (Seq(head.first), Seq(head.first + head.count - 1))))
}

fn checked<'a>(row: &'a Row<'_>) -> rusqlite::Result<Result<(Head, &'a [u8]), Bad>> {
    let head = Head {
        first: row.get::<_, i64>(0)?.cast_unsigned(),
        count: row.get::<_, i64>(1)?.cast_unsigned(),
        id: row.get(2)?,
        fence: row.get::<_, i64>(3)?.cast_unsigned(),
    };
    let crc: u32 = row.get(4)?;
    let body = row.get_ref(5)?.as_blob()?;
    if head.crc(body) == crc {
        return Ok(Ok((head, body)));
    }
    let what = "the digest of the batch does not match".to_owned();
    Ok(Err(Bad { place: format!("event {}", head.first), what }))
}

/// Reads one payload, checks it and shows it, if it is there.
pub(super) fn read_payload(
    connection: &Connection,
    key: PayloadKey,
    visit: impl FnOnce(&[u8]),
) -> rusqlite::Result<Result<(), Bad>> {
    let mut find = connection.prepare_cached("SELECT crc, body FROM payloads WHERE key = ?1")?;
    let bytes = key.0.to_be_bytes();
    let mut rows = find.query([bytes])?;
    let Some(row) = rows.next()? else { return Ok(Ok(())) };
    let crc: u32 = row.get(0)?;
    let body = row.get_ref(1)?.as_blob()?;
    if digest::payload(&bytes, body) == crc {
        visit(body);
        return Ok(Ok(()));
    }
    Ok(Err(bad_payload(key.0)))
}

/// Says which payload is not what was written.
pub(super) fn bad_payload(key: u128) -> Bad {
    Bad { place: format!("payload {key:032x}"), what: "its digest does not match".to_owned() }
}

/// The first event that is kept, and the last.
pub(super) fn bounds(connection: &Connection) -> rusqlite::Result<Option<(Seq, Seq)>> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).optional();
    let first = number("SELECT first_seq FROM batches ORDER BY first_seq LIMIT 1")?;
    let last = number("SELECT first_seq + count - 1 FROM batches ORDER BY first_seq DESC LIMIT 1")?;
    Ok(first.zip(last).map(|(first, last)| (Seq(first.cast_unsigned()), Seq(last.cast_unsigned()))))
}

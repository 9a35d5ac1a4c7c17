//! Trimming: the oldest batches go, a few at a time, and their room is used again.

use conductor_core::Seq;

use super::inbox::Inbox;
use super::row;
use super::snapshot::{ask, write};
use crate::log::SnapshotError;

/// Batches that go in one transaction; a batch that is appended waits for one of these at most.
const BATCHES_PER_SLICE: i64 = 64;

/// Removes batches whose last event is at most `upto`, and answers the oldest event that is kept.
pub(super) fn run(inbox: &Inbox, upto: Seq) -> Result<Seq, SnapshotError> {
    loop {
        let (first, more) = ask(inbox, move |writer| slice(writer, upto))?;
        if !more {
            return Ok(first);
        }
    }
}

fn slice(writer: &mut super::writer::Writer, upto: Seq) -> Result<(Seq, bool), SnapshotError> {
    let status = writer.shared.status();
    let upto = upto.min(status.snapshot.unwrap_or_default());
    let removed = std::cell::Cell::new(0);
    write(writer, |connection| {
        let mut delete = connection.prepare_cached(
            "DELETE FROM batches WHERE first_seq IN (
                 SELECT first_seq FROM batches WHERE first_seq <= ?1 AND first_seq + count - 1 <= ?1
                 ORDER BY first_seq LIMIT ?2)",
        )?;
        removed.set(delete.execute((upto.0.cast_signed(), BATCHES_PER_SLICE))?);
        Ok(())
    })?;
    let first = row::bounds(&writer.database.connection)
        .map_err(|source| SnapshotError::Write { path: writer.shared.path.clone(), source: source.into() })?
        .map_or(status.last.next(), |(first, _)| first);
    writer.shared.update(|status| status.first = first);
    Ok((first, removed.get() as i64 == BATCHES_PER_SLICE))
}

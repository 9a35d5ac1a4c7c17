//! The tables of the log's file, and how the connection that writes is set up.

use rusqlite::Connection;

use crate::database::Kind;

/// The log's file. A batch is a row of its own: one insert for many events, found by the number of its first. Payloads
/// lie beside the events, since they are fetched and deleted one by one. A snapshot counts once its row is there.
pub(super) const KIND: Kind = Kind {
    what: "an event log of Conductor",
    application_id: 0x434e_444c,
    format: 1,
    page_bytes: 4096,
    schema: "
        CREATE TABLE meta (
            id INTEGER PRIMARY KEY CHECK (id = 0),
            log_id BLOB NOT NULL,
            fence INTEGER NOT NULL,
            crc INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE batches (
            first_seq INTEGER PRIMARY KEY,
            count INTEGER NOT NULL,
            batch_id BLOB NOT NULL,
            fence INTEGER NOT NULL,
            crc INTEGER NOT NULL,
            body BLOB NOT NULL
        ) STRICT;
        CREATE TABLE payloads (
            key BLOB PRIMARY KEY,
            crc INTEGER NOT NULL,
            body BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE snapshots (
            seq INTEGER PRIMARY KEY,
            chunks INTEGER NOT NULL,
            crc INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE chunks (
            seq INTEGER NOT NULL,
            number INTEGER NOT NULL,
            crc INTEGER NOT NULL,
            body BLOB NOT NULL,
            UNIQUE (seq, number)
        ) STRICT;
    ",
};

/// Pages that the writer keeps in memory, in KiB. It appends, so few are enough, and SQLite looks through all of them at
/// the end of a transaction that split a page.
const WRITER_CACHE_KIB: i32 = 2_048;

/// The same for a reader.
pub(super) const READER_CACHE_KIB: i32 = 2_048;

/// Bytes that the write-ahead log shrinks to after it grew beyond.
const WAL_KEPT_BYTES: u32 = 64 << 20;

/// Sets up the connection that writes: each commit waits for the disk, and pages are moved when the writer says so.
pub(super) fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// What there is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) log_id: u128,
    pub(super) fence: u64,
}

impl Meta {
    fn crc(self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.log_id.to_be_bytes());
        hasher.update(&self.fence.to_be_bytes());
        hasher.finalize()
    }
}

/// Writes what there is one of.
pub(super) fn write_meta(connection: &Connection, meta: Meta) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT OR REPLACE INTO meta (id, log_id, fence, crc) VALUES (0, ?1, ?2, ?3)",
            (meta.log_id.to_be_bytes(), meta.fence.cast_signed(), meta.crc()),
        )
        .map(drop)
}

/// Reads what there is one of; none when it does not check.
pub(super) fn read_meta(connection: &Connection) -> rusqlite::Result<Option<Meta>> {
    connection.query_row("SELECT log_id, fence, crc FROM meta WHERE id = 0", [], |row| {
        let log_id: [u8; 16] = row.get(0)?;
        let meta = Meta { log_id: u128::from_be_bytes(log_id), fence: row.get::<_, i64>(1)?.cast_unsigned() };
        Ok((meta.crc() == row.get::<_, u32>(2)?).then_some(meta))
    })
}

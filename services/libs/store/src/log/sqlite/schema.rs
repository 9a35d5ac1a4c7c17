//! The tables of the log's file, and how a connection to it is set up.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// Marks the file as a Conductor event log (`CNDL`).
pub(super) const APPLICATION_ID: i32 = 0x434e_444c;

/// The format that is written; a newer one is refused.
pub(super) const FORMAT: u32 = 1;

/// The whole schema. A batch is a row of its own: one insert for many events, found by the number of its first. Payloads
/// lie beside the events, since they are fetched and deleted one by one. A snapshot counts once its row is there.
const SCHEMA: &str = "
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
";

/// Bytes of a page. Larger pages hold more payloads each, and make the smallest commit larger.
const PAGE_BYTES: u32 = 4096;

/// Bytes of pages that the writer keeps in memory, in KiB and negative as SQLite wants it.
const WRITER_CACHE_KIB: i32 = -16_384;

/// The same for a reader.
const READER_CACHE_KIB: i32 = -2_048;

/// Bytes that the write-ahead log shrinks to after it grew beyond.
const WAL_KEPT_BYTES: u32 = 64 << 20;

/// Makes the tables in a new file.
pub(super) fn create(path: &Path, log_id: u128) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    write_meta(&transaction, Meta { log_id, fence: 0 })?;
    transaction.commit()?;
    // Closing the only connection moves everything from the write-ahead log into the file.
    connection.close().map_err(|(_, error)| error)
}

/// Opens the connection that writes.
pub(super) fn writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Opens a connection that only reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.pragma_update(None, "cache_size", READER_CACHE_KIB)?;
    Ok(connection)
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

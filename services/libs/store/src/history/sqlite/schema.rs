//! The tables of History's file.

use rusqlite::Connection;

use crate::database::Kind;

/// A task is one row: its record, and beside it what is searched for. Its number is the event that submitted it, so that
/// the newest tasks lie together at the end. Statistics are added up while events are taken in.
pub(super) const KIND: Kind = Kind {
    what: "a history of Conductor",
    application_id: 0x434e_4448,
    format: 1,
    page_bytes: 4096,
    schema: "
        CREATE TABLE progress (
            id INTEGER PRIMARY KEY CHECK (id = 0),
            log_id BLOB,
            applied INTEGER NOT NULL,
            synced INTEGER NOT NULL
        ) STRICT;
        INSERT INTO progress (id, applied, synced) VALUES (0, 0, 0);
        CREATE TABLE tasks (
            seq INTEGER PRIMARY KEY,
            id BLOB NOT NULL UNIQUE,
            grp TEXT NOT NULL,
            state INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            finished_at INTEGER,
            runner TEXT NOT NULL,
            ran_on TEXT,
            task_type TEXT NOT NULL,
            name TEXT,
            created_by TEXT NOT NULL,
            failure INTEGER,
            cost INTEGER NOT NULL,
            labels TEXT NOT NULL,
            search TEXT NOT NULL,
            crc INTEGER NOT NULL,
            body BLOB NOT NULL
        ) STRICT;
        CREATE INDEX tasks_by_place ON tasks (grp, state);
        CREATE INDEX tasks_by_end ON tasks (finished_at) WHERE finished_at IS NOT NULL;
        CREATE INDEX tasks_by_cost ON tasks (cost) WHERE cost > 0;
        CREATE TABLE places (
            grp TEXT NOT NULL,
            state INTEGER NOT NULL,
            tasks INTEGER NOT NULL,
            PRIMARY KEY (grp, state)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE hours (
            hour INTEGER NOT NULL,
            grp TEXT NOT NULL,
            first_seq INTEGER,
            last_seq INTEGER,
            submitted INTEGER NOT NULL,
            started INTEGER NOT NULL,
            succeeded INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            cancelled INTEGER NOT NULL,
            wait_ms INTEGER NOT NULL,
            wait_max_ms INTEGER NOT NULL,
            run_ms INTEGER NOT NULL,
            tokens INTEGER NOT NULL,
            cost INTEGER NOT NULL,
            failed_cost INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (hour, grp)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE minutes (
            minute INTEGER NOT NULL,
            grp TEXT NOT NULL,
            submitted INTEGER NOT NULL,
            started INTEGER NOT NULL,
            succeeded INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            cancelled INTEGER NOT NULL,
            wait_ms INTEGER NOT NULL,
            wait_max_ms INTEGER NOT NULL,
            run_ms INTEGER NOT NULL,
            tokens INTEGER NOT NULL,
            cost INTEGER NOT NULL,
            failed_cost INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (minute, grp)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE deliveries (
            seq INTEGER PRIMARY KEY,
            task BLOB NOT NULL,
            rule TEXT,
            notice INTEGER NOT NULL,
            sent_to TEXT,
            tries INTEGER NOT NULL,
            state INTEGER NOT NULL,
            next_at INTEGER,
            status INTEGER,
            error TEXT,
            last_at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX deliveries_by_task ON deliveries (task);
        CREATE TABLE audit (
            seq INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            crc INTEGER NOT NULL,
            body BLOB NOT NULL,
            digest BLOB
        ) STRICT;
        CREATE TABLE agents (
            id BLOB PRIMARY KEY,
            name TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
    ",
};

/// Which tasks are below which; a table that files of an earlier build do not have.
const CHILDREN: &str = "
    CREATE TABLE IF NOT EXISTS children (
        parent BLOB NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (parent, seq)
    ) STRICT, WITHOUT ROWID;
";

/// Pages that the writer keeps in memory, in KiB.
const WRITER_CACHE_KIB: i32 = 8_192;

/// The same for a reader.
pub(super) const READER_CACHE_KIB: i32 = 2_048;

/// Pages in the write-ahead log from which on they are moved into the file.
pub(super) const CHECKPOINT_PAGES: u32 = 8_000;

/// Bytes that the write-ahead log shrinks to after it grew beyond.
const WAL_KEPT_BYTES: u32 = 64 << 20;

/// Sets up the connection that writes. Commits do not wait for the disk: what a loss of power takes, the log still has,
/// since it is trimmed only to what was synced.
pub(super) fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.execute_batch(CHILDREN)?;
    super::spans::set_up(connection)?;
    super::audit::set_up(connection)
}

//! The audit: records in a row, each with a digest over itself and the digest before it.
//!
//! Whoever changes a record, takes one out or puts one in breaks the row from there on. Whoever can write the file can also
//! make a new row of digests; that shows against a digest that was kept elsewhere.

use conductor_core::Seq;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

use super::row::Trouble;
use crate::database;
use crate::history::{
    AuditDigest, AuditFault, AuditPage, AuditQuery, AuditRecord, AuditStretch, AuditVerified,
    MAX_AUDIT_VERIFIED, MAX_PAGE,
};
use crate::record::{self, Decoder};

/// Where the row of digests ends; a table that files of an earlier build do not have.
const HEAD: &str = "
    CREATE TABLE IF NOT EXISTS audit_head (
        id INTEGER PRIMARY KEY CHECK (id = 0),
        seq INTEGER NOT NULL,
        digest BLOB NOT NULL
    ) STRICT;
";
const FIRST: AuditDigest = AuditDigest([0; 32]);

/// Adds what files of an earlier build do not have. Their records stay without a digest.
pub(super) fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(HEAD)?;
    if database::has_column(connection, "audit", "digest")? {
        return Ok(());
    }
    connection.execute_batch("ALTER TABLE audit ADD COLUMN digest BLOB")
}

/// Adds records at the end of the row. Runs inside a transaction.
pub(super) fn write(connection: &Connection, records: &[AuditRecord]) -> rusqlite::Result<()> {
    let Some(last) = records.last() else { return Ok(()) };
    let mut digest = head(connection)?.map_or(FIRST, |(_, digest)| digest);
    for record in records {
        let body = record::encode_audit(record);
        digest = after(digest, record.seq, &body);
        connection
            .prepare_cached(
                "INSERT INTO audit (seq, at, actor, action, crc, body, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                record.seq.0.cast_signed(),
                record.at.0,
                record.actor.name.as_str(),
                record.action.as_str(),
                crc32fast::hash(&body),
                body,
                digest.0,
            ))?;
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO audit_head (id, seq, digest) VALUES (0, ?1, ?2)")?
        .execute((last.seq.0.cast_signed(), digest.0))
        .map(drop)
}

fn head(connection: &Connection) -> rusqlite::Result<Option<(Seq, AuditDigest)>> {
    connection
        .prepare_cached("SELECT seq, digest FROM audit_head WHERE id = 0")?
        .query_row([], |row| Ok((Seq(row.get::<_, i64>(0)?.cast_unsigned()), AuditDigest(row.get(1)?))))
        .optional()
}

fn after(before: AuditDigest, Seq(seq): Seq, body: &[u8]) -> AuditDigest {
    let digest = Sha256::new().chain_update(before.0).chain_update(seq.to_be_bytes()).chain_update(body);
    AuditDigest(digest.finalize().into())
}

/// Lists what people and programs did.
pub(super) fn list(connection: &Connection, query: &AuditQuery, as_of: Seq) -> Result<AuditPage, Trouble> {
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

/// Goes along the row of digests from where an earlier call came to.
pub(super) fn verify(connection: &Connection, stretch: &AuditStretch) -> Result<AuditVerified, Trouble> {
    let mut select = connection.prepare_cached(
        "SELECT seq, crc, body, at, actor, action, digest FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let until = stretch.until.map_or(i64::MAX, |seq| seq.0.cast_signed());
    let limit = i64::try_from(MAX_AUDIT_VERIFIED).unwrap_or(i64::MAX);
    let mut rows = select.query((stretch.after.0.cast_signed(), until, limit))?;
    let mut found =
        AuditVerified { through: stretch.after, digest: stretch.digest, ..AuditVerified::default() };
    let mut decoder = Decoder::default();
    while let Some(row) = rows.next()? {
        let seq = Seq(row.get::<_, i64>(0)?.cast_unsigned());
        if let Err(what) = found.go_on(seq, row, &mut decoder)? {
            return Ok(AuditVerified { fault: Some(AuditFault { seq, what: what.to_owned() }), ..found });
        }
    }
    found.more = found.records + found.undigested == MAX_AUDIT_VERIFIED;
    if !found.more && stretch.until.is_none() {
        found.fault = missing_at_the_end(head(connection)?, &found);
    }
    Ok(found)
}

impl AuditVerified {
    /// Takes the next record in, or says what is wrong with it.
    fn go_on(
        &mut self,
        seq: Seq,
        row: &rusqlite::Row<'_>,
        decoder: &mut Decoder,
    ) -> Result<Result<(), &'static str>, Trouble> {
        let record = match read(row, decoder) {
            Ok(record) => record,
            Err(Trouble::Record { .. }) => return Ok(Err("it was changed: it cannot be read any more")),
            Err(trouble) => return Err(trouble),
        };
        let kept: Option<[u8; 32]> = row.get(6)?;
        self.through = seq;
        let Some(kept) = kept.map(AuditDigest) else {
            if self.digest.is_some() {
                return Ok(Err("it has no digest, and those before it have"));
            }
            self.undigested += 1;
            return Ok(Ok(()));
        };
        let body = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        if after(self.digest.unwrap_or(FIRST), seq, body) != kept {
            return Ok(Err("it was changed, or one before it was changed, taken out or put in"));
        }
        let column = |at: usize| row.get::<_, String>(at);
        let is_listed_as_it_is = row.get::<_, i64>(3)? == record.at.0
            && column(4)? == record.actor.name.as_str()
            && column(5)? == record.action.as_str();
        if !is_listed_as_it_is {
            return Ok(Err("it is listed as something else than it is"));
        }
        self.digest = Some(kept);
        self.records += 1;
        Ok(Ok(()))
    }
}

fn missing_at_the_end(head: Option<(Seq, AuditDigest)>, found: &AuditVerified) -> Option<AuditFault> {
    let fault = |seq, what: &str| Some(AuditFault { seq, what: what.to_owned() });
    match (head, found.digest) {
        (Some((seq, _)), _) if seq > found.through => fault(seq, "it is missing, at the end of the audit"),
        (Some((_, kept)), Some(digest)) if kept == digest => None,
        (None, None) => None,
        (Some(_) | None, _) => fault(found.through, "it is not what the audit ends with"),
    }
}

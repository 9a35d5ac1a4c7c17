//! What lies in Redis, written and read with its digests.

use std::path::Path;

use conductor_core::Seq;
use redis::{Cmd, FromRedisValue, ParsingError, Value};

use crate::log::ahead::Bad;
use crate::log::digest::{self, Head};
use crate::log::{Payload, PayloadKey, ReadError, Stretch};
use crate::record::Decoder;

/// Bytes of the digest before a payload or chunk.
const DIGEST_BYTES: usize = 4;
/// How many payloads are asked for at once.
const PAYLOADS_AT_ONCE: usize = 128;

/// Writes a payload down.
pub(super) fn payload(payload: &Payload) -> ([u8; 16], Vec<u8>) {
    let key = payload.key.0.to_be_bytes();
    let crc = digest::payload(&key, &payload.bytes);
    (key, with_digest(crc, &payload.bytes))
}

/// Puts a digest before bytes.
pub(super) fn with_digest(crc: u32, body: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(DIGEST_BYTES + body.len());
    value.extend_from_slice(&crc.to_be_bytes());
    value.extend_from_slice(body);
    value
}

/// Takes the digest off.
pub(super) fn split_digest(value: &[u8]) -> Option<(u32, &[u8])> {
    let (crc, body) = value.split_first_chunk::<DIGEST_BYTES>()?;
    Some((u32::from_be_bytes(*crc), body))
}

/// Checks a payload and gives its bytes.
pub(super) fn read_payload(key: PayloadKey, value: &[u8]) -> Result<&[u8], Bad> {
    let bytes = key.0.to_be_bytes();
    split_digest(value)
        .filter(|(crc, body)| digest::payload(&bytes, body) == *crc)
        .map(|(_, body)| body)
        .ok_or_else(|| Bad {
            place: format!("payload {:032x}", key.0),
            what: "its digest does not match".to_owned(),
        })
}

/// Reads payloads, some at a time, and shows each that is there with its place among the keys.
///
/// `at` is the hash that has them, and what names the server in an error.
pub(super) fn visit_payloads(
    (hash, address): (&str, &Path),
    keys: &[PayloadKey],
    ask: impl Fn(Cmd) -> Result<Vec<Option<Vec<u8>>>, ReadError>,
    visit: &mut dyn FnMut(usize, &[u8]),
) -> Result<(), ReadError> {
    let mut place = 0;
    for keys in keys.chunks(PAYLOADS_AT_ONCE) {
        let mut command = redis::cmd("HMGET");
        command.arg(hash);
        for key in keys {
            command.arg(&key.0.to_be_bytes()[..]);
        }
        for (key, value) in keys.iter().zip(ask(command)?) {
            if let Some(value) = value {
                visit(place, read_payload(*key, &value).map_err(|bad| bad.at(address))?);
            }
            place += 1;
        }
    }
    Ok(())
}

/// A batch as it lies in the stream.
#[derive(Debug)]
pub(super) struct Entry {
    id: String,
    fields: Vec<(String, Vec<u8>)>,
}

impl FromRedisValue for Entry {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (id, fields) = redis::from_redis_value(value)?;
        Ok(Self { id, fields })
    }
}

/// Reads where a batch ends and how many events it has from its name in the stream.
pub(super) fn parse_id(id: &str) -> Option<(u64, u64)> {
    let (last, count) = id.split_once('-')?;
    let (last, count) = (last.parse().ok()?, count.parse().ok()?);
    (count >= 1 && count <= last).then_some((last, count))
}

impl Entry {
    /// Checks it and reads its events.
    pub(super) fn read(&self, decoder: &mut Decoder) -> Result<Stretch, Bad> {
        let bad = |what: &str| Bad { place: format!("batch {}", self.id), what: what.to_owned() };
        let field = |name: &str| {
            let found = self.fields.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_slice()).ok_or_else(|| bad("a part of it is missing"))
        };
        let number = |name: &str| {
            let text = std::str::from_utf8(field(name)?).ok().and_then(|text| text.parse::<u64>().ok());
            text.ok_or_else(|| bad("a number in it does not read"))
        };
        let (last, count) = parse_id(&self.id).ok_or_else(|| bad("its name is none of a batch"))?;
        let id = field("batch")?.try_into().map_err(|_| bad("its id does not read"))?;
        let head = Head { first: last - count + 1, count, id, fence: number("fence")? };
        let body = field("events")?;
        if u64::from(head.crc(body)) != number("crc")? {
            return Err(bad("the digest of the batch does not match"));
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let events = decoder.events(body, count).map_err(|error| bad(&error.to_string()))?;
        Ok(Stretch { first: Seq(head.first), events })
    }
}

//! Identifiers. Every one is a type of its own, so that none can stand in for another.

use std::fmt;
use std::str::FromStr;

/// Says that a text is not an id of the expected form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a UUID in its hyphenated form")
    }
}

impl std::error::Error for ParseIdError {}

/// Writes a 128-bit id as a hyphenated UUID.
fn write_uuid(value: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let part = |shift: u32, mask: u128| (value >> shift) & mask;
    write!(
        f,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 0xffff_ffff),
        part(80, 0xffff),
        part(64, 0xffff),
        part(48, 0xffff),
        part(0, 0xffff_ffff_ffff)
    )
}

/// Reads a hyphenated UUID.
fn parse_uuid(text: &str) -> Result<u128, ParseIdError> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return Err(ParseIdError);
    }
    let mut value = 0u128;
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return Err(ParseIdError);
            }
            continue;
        }
        let digit = char::from(*byte).to_digit(16).ok_or(ParseIdError)?;
        value = value << 4 | u128::from(digit);
    }
    Ok(value)
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_uuid(text).map(Self)
            }
        }
    };
}

uuid_id! {
    /// Names a task for good.
    TaskId
}
uuid_id! {
    /// Names an agent over its restarts; kept in the agent's own folder.
    AgentId
}
uuid_id! {
    /// Names one life of an agent's worker.
    InstanceId
}
uuid_id! {
    /// Names a question that a run put to a person.
    RequestId
}
uuid_id! {
    /// Names a schedule.
    ScheduleId
}
uuid_id! {
    /// Names an idempotency key: the digest of the token's name and the key it sent.
    KeyId
}

/// Digest of a canonical request body, to tell a repeated submit from another one under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyDigest(pub u128);

/// Position of an event in the log. The first event has 1; 0 is before all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A random number logged at every start, take-over and restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(pub u64);

/// The right to work on one attempt of a task. Its number only grows; it keeps the incarnation it was given under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The incarnation that gave the lease.
    pub incarnation: Incarnation,
    /// Grows with every assignment, over all incarnations.
    pub number: u64,
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.incarnation.0, self.number)
    }
}

impl FromStr for Lease {
    type Err = ParseLeaseError;

    fn from_str(text: &str) -> Result<Self, ParseLeaseError> {
        let (incarnation, number) = text.split_once('-').ok_or(ParseLeaseError)?;
        if incarnation.len() != 16 {
            return Err(ParseLeaseError);
        }
        Ok(Self {
            incarnation: Incarnation(u64::from_str_radix(incarnation, 16).map_err(|_| ParseLeaseError)?),
            number: number.parse().map_err(|_| ParseLeaseError)?,
        })
    }
}

/// Says that a text is not a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseLeaseError;

impl fmt::Display for ParseLeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a lease of the form <16 hex digits>-<number>")
    }
}

impl std::error::Error for ParseLeaseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_writes() {
        let id = TaskId(0x0190_1234_5678_7abc_8def_0123_4567_89ab);
        assert_eq!(id.to_string(), "01901234-5678-7abc-8def-0123456789ab");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_malformed_id_is_refused() {
        for text in
            ["", "01901234", "01901234-5678-7abc-8def-0123456789ag", "01901234+5678-7abc-8def-0123456789ab"]
        {
            assert_eq!(text.parse::<TaskId>(), Err(ParseIdError), "{text}");
        }
    }

    #[test]
    fn a_lease_reads_back_what_it_writes() {
        let lease = Lease { incarnation: Incarnation(0xab), number: 7 };
        assert_eq!(lease.to_string(), "00000000000000ab-7");
        assert_eq!(lease.to_string().parse(), Ok(lease));
        assert_eq!("ab-7".parse::<Lease>(), Err(ParseLeaseError));
    }
}

//! Records of ids, numbers and instants.

use std::fmt;

use conductor_core::{
    AgentId, BodyDigest, Incarnation, InstanceId, KeyId, Lease, Name, RequestId, ScheduleId, Seq, TaskId,
    Wall,
};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::context::{Context, Invalid};
use super::mirror::{Mirror, mirror_struct};

/// 128 bits, written as they are: random bits only get longer as a variable-length number.
pub(super) struct Bits128([u8; 16]);

impl Serialize for Bits128 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bits128 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Bits128;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("16 bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bits128, E> {
                bytes.try_into().map(Bits128).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

macro_rules! mirror_id {
    ($($id:ident),*) => {$(
        impl<'a> Mirror<'a> for $id {
            type Record = Bits128;

            fn to_record(&'a self) -> Self::Record {
                Bits128(self.0.to_be_bytes())
            }

            fn from_record(record: Self::Record, _: &mut Context) -> Result<Self, Invalid> {
                Ok(Self(u128::from_be_bytes(record.0)))
            }
        }
    )*};
}

mirror_id!(TaskId, AgentId, InstanceId, RequestId, ScheduleId, KeyId, BodyDigest);

macro_rules! mirror_newtype {
    ($($type:ident($inner:ty)),*) => {$(
        impl<'a> Mirror<'a> for $type {
            type Record = $inner;

            fn to_record(&'a self) -> Self::Record {
                self.0
            }

            fn from_record(record: Self::Record, _: &mut Context) -> Result<Self, Invalid> {
                Ok(Self(record))
            }
        }
    )*};
}

mirror_newtype!(Seq(u64), Wall(i64), Incarnation(u64));

mirror_struct!(Lease => LeaseV1 { incarnation: Incarnation, number: u64 });

impl<'a> Mirror<'a> for Name {
    type Record = &'a str;

    fn to_record(&'a self) -> Self::Record {
        self.as_str()
    }

    fn from_record(record: Self::Record, context: &mut Context) -> Result<Self, Invalid> {
        context.name(record)
    }
}

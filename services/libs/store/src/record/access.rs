//! Records of tokens and sessions.

use std::fmt;

use conductor_core::{Groups, LoginSession, Name, Role, SecretDigest, Token, Wall};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::context::{Context, Invalid};
use super::mirror::{Mirror, mirror_enum, mirror_struct};

/// 256 bits, written as they are.
pub(super) struct Bits256([u8; 32]);

impl Serialize for Bits256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bits256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Bits256;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bits256, E> {
                bytes.try_into().map(Bits256).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

impl<'a> Mirror<'a> for SecretDigest {
    type Record = Bits256;

    fn to_record(&'a self) -> Self::Record {
        Bits256(self.0)
    }

    fn from_record(record: Self::Record, _: &mut Context) -> Result<Self, Invalid> {
        Ok(Self(record.0))
    }
}

mirror_enum!(Groups => GroupsV1 { All, Only(groups: Box<[Name]>) });

mirror_struct!(Token => TokenV1 {
    name: Name,
    role: Role,
    groups: Groups,
    digest: SecretDigest,
    created_at: Wall,
    created_by: Name,
    expires_at: Option<Wall>,
});

mirror_struct!(LoginSession => LoginSessionV1 {
    digest: SecretDigest,
    token: SecretDigest,
    created_at: Wall,
    expires_at: Wall,
});

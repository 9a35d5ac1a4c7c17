//! Core values as text: ids, leases, instants. Used with `#[serde(with = ..)]` on wire types.

use conductor_core::Wall;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Writes an instant as RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn rfc3339(at: Wall) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(timestamp) => format!("{timestamp:.3}"),
        Err(_) => format!("{timestamp:.3}", timestamp = jiff::Timestamp::MAX),
    }
}

/// Reads an RFC 3339 instant with any offset.
///
/// # Errors
/// Says what is wrong with the text.
pub fn parse_rfc3339(text: &str) -> Result<Wall, String> {
    let timestamp: jiff::Timestamp = text
        .parse()
        .map_err(|_| "not an RFC 3339 time before 9999-12-31, such as 2026-01-31T08:00:00Z".to_owned())?;
    Ok(Wall(timestamp.as_millisecond()))
}

/// An instant as RFC 3339.
pub mod instant {
    use super::{Deserialize, Deserializer, Serializer, Wall, parse_rfc3339, rfc3339};
    use serde::de::Error as _;

    /// Writes it.
    ///
    /// # Errors
    /// As the serializer does.
    pub fn serialize<S: Serializer>(at: &Wall, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(*at))
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the text is not RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Wall, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// An instant as RFC 3339, or nothing.
pub mod optional_instant {
    use super::{Deserialize, Deserializer, Serializer, Wall, parse_rfc3339, rfc3339};
    use serde::de::Error as _;

    /// Writes it.
    ///
    /// # Errors
    /// As the serializer does.
    pub fn serialize<S: Serializer>(at: &Option<Wall>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => serializer.serialize_str(&rfc3339(*at)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the text is not RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Wall>, D::Error> {
        let text = Option::<std::borrow::Cow<str>>::deserialize(deserializer)?;
        text.map(|text| parse_rfc3339(&text).map_err(D::Error::custom)).transpose()
    }
}

/// Any core value that writes itself and reads itself back.
pub mod display {
    use super::{Deserialize, Deserializer, Serializer};
    use serde::de::Error as _;
    use std::fmt::Display;
    use std::str::FromStr;

    /// Writes it.
    ///
    /// # Errors
    /// As the serializer does.
    pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the text is not of the form.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Any core value that writes itself and reads itself back, or nothing.
pub mod optional_display {
    use super::{Deserialize, Deserializer, Serializer};
    use serde::de::Error as _;
    use std::fmt::Display;
    use std::str::FromStr;

    /// Writes it.
    ///
    /// # Errors
    /// As the serializer does.
    pub fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the text is not of the form.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<std::borrow::Cow<str>>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// A list of core values that write themselves and read themselves back.
pub mod display_list {
    use super::{Deserialize, Deserializer, Serializer};
    use serde::de::Error as _;
    use std::fmt::Display;
    use std::str::FromStr;

    /// Writes it.
    ///
    /// # Errors
    /// As the serializer does.
    pub fn serialize<T: Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(ToString::to_string))
    }

    /// Reads it.
    ///
    /// # Errors
    /// When a text is not of the form.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

/// A name.
pub mod name {
    use super::{Deserialize, Deserializer, Serializer};
    use conductor_core::Name;
    use serde::de::Error as _;

    /// Writes it.
    ///
    /// # Errors
    /// As the serializer does.
    pub fn serialize<S: Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name.as_str())
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the text cannot be a name.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Name::new(&text).map_err(D::Error::custom)
    }
}

/// Reads bytes written as base64.
///
/// # Errors
/// When the text is not base64.
pub fn from_base64<E: serde::de::Error>(text: &str) -> Result<Vec<u8>, E> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| E::custom("not base64"))
}

/// Reads a duration in whole seconds that must be more than nothing.
///
/// # Errors
/// When it is zero.
pub fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        0 => Err(D::Error::custom("must be more than 0")),
        seconds => Ok(seconds),
    }
}

/// Pairs as an object, in their order.
pub mod map {
    use std::fmt;
    use std::marker::PhantomData;

    use serde::de::{MapAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// The most pairs that are made room for before they are read.
    const MAX_ROOM: usize = 1_024;

    /// Writes them.
    ///
    /// # Errors
    /// As the serializer does.
    pub fn serialize<K, V, S>(pairs: &[(K, V)], serializer: S) -> Result<S::Ok, S::Error>
    where
        K: Serialize,
        V: Serialize,
        S: Serializer,
    {
        serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
    }

    /// Reads them.
    ///
    /// # Errors
    /// When it is not an object of such pairs.
    pub fn deserialize<'de, K, V, D>(deserializer: D) -> Result<Vec<(K, V)>, D::Error>
    where
        K: Deserialize<'de>,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        struct Pairs<K, V>(PhantomData<fn() -> (K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Pairs<K, V> {
            type Value = Vec<(K, V)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or_default().min(MAX_ROOM));
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_reads_back_with_any_offset() {
        assert_eq!(rfc3339(Wall(1_769_846_400_123)), "2026-01-31T08:00:00.123Z");
        assert_eq!(parse_rfc3339("2026-01-31T09:00:00+01:00"), Ok(Wall(1_769_846_400_000)));
        assert!(parse_rfc3339("tomorrow").is_err());
    }
}

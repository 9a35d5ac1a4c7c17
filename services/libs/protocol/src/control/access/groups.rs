//! The groups that a token reaches, and how they are written.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The groups that a token reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Groups {
    /// All of them, and tasks without one.
    #[default]
    All,
    /// These alone.
    Only(Vec<String>),
}

/// People may give the list as it is, as the tokens file has it.
impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Groups;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\" or a list of groups")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Groups, E> {
                match text {
                    "all" => Ok(Groups::All),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<Groups, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(names)).map(Groups::Only)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Groups, A::Error> {
                let mut only = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "only" || only.is_some() {
                        return Err(de::Error::unknown_field(&key, &["only"]));
                    }
                    only = Some(map.next_value()?);
                }
                only.map(Groups::Only).ok_or_else(|| de::Error::missing_field("only"))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

#[cfg(feature = "schema")]
mod schema {
    use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
    use utoipa::openapi::{RefOr, Schema};
    use utoipa::{PartialSchema, ToSchema};

    use super::Groups;

    impl PartialSchema for Groups {
        fn schema() -> RefOr<Schema> {
            let about = "The groups that a token reaches: all of them, and tasks without one; or those listed alone, which may \
                         be given as the list itself.";
            let text = || ObjectBuilder::new().schema_type(Type::String);
            let list = || ArrayBuilder::new().items(text());
            let only =
                ObjectBuilder::new().schema_type(Type::Object).property("only", list()).required("only");
            OneOfBuilder::new()
                .item(text().enum_values(Some(["all"])))
                .item(only)
                .item(list())
                .description(Some(about))
                .into()
        }
    }

    impl ToSchema for Groups {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_as_people_write_them_and_as_they_are_told() {
        let read = |json: &str| crate::json::read::<Groups>(json, "");
        let only = Groups::Only(vec!["red".to_owned(), "blue".to_owned()]);
        for json in [r#"["red","blue"]"#, r#"{"only":["red","blue"]}"#] {
            assert_eq!(read(json).expect(json), only);
        }
        assert_eq!(read("\"all\"").expect("all"), Groups::All);
        for groups in [Groups::All, only] {
            let told = serde_json::to_string(&groups).expect("JSON");
            assert_eq!(read(&told).expect("as it was told"), groups);
        }
        for json in ["\"red\"", "{}", "5", r#"{"only":["red"],"but":[]}"#, r#"{"only":"red"}"#] {
            let problem = read(json).expect_err(json);
            assert!(!problem.detail.contains("expected value"), "{json}: {}", problem.detail);
        }
    }
}

//! The configuration as `config show` gives it.

use config::ValueKind;
use url::Url;

use super::error::Origin;
use super::load::Loaded;
use super::schema;

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";

/// One value as `config show` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its path, with dots.
    pub key: String,
    /// Its value; secrets are redacted.
    pub value: serde_json::Value,
    /// Where it is written.
    pub origin: Origin,
}

impl Loaded {
    /// Gives every value that holds, secrets redacted, sorted by key.
    pub fn shown(&self) -> Vec<Shown> {
        self.values
            .values()
            .map(|leaf| Shown {
                key: leaf.path.join("."),
                value: if leaf.path == ["notify"] {
                    super::notify::shown(json(&leaf.value))
                } else if schema::find(&leaf.path).is_some_and(|key| key.secret)
                    && leaf.value != ValueKind::Nil
                {
                    REDACTED.into()
                } else {
                    json(&leaf.value)
                },
                origin: leaf.origin.clone(),
            })
            .collect()
    }

    /// Gives the configuration as one document, secrets redacted.
    pub fn shown_json(&self) -> serde_json::Value {
        let mut root = serde_json::Map::new();
        for (leaf, shown) in self.values.values().zip(self.shown()) {
            let (last, sections) = leaf.path.split_last().expect("a key has a name");
            let mut at = &mut root;
            for section in sections {
                let entry = at.entry(section.clone()).or_insert_with(|| serde_json::Map::new().into());
                at = entry.as_object_mut().expect("no key is a section too");
            }
            at.insert(last.clone(), shown.value);
        }
        root.into()
    }

    /// Gives the configuration as YAML, secrets redacted, as a file could hold it.
    pub fn shown_yaml(&self) -> String {
        serde_norway::to_string(&self.shown_json()).expect("JSON can be written as YAML")
    }
}

pub(super) fn json(value: &ValueKind) -> serde_json::Value {
    match value {
        ValueKind::Nil => serde_json::Value::Null,
        ValueKind::Boolean(flag) => (*flag).into(),
        ValueKind::I64(number) => (*number).into(),
        ValueKind::U64(number) => (*number).into(),
        ValueKind::Float(number) => (*number).into(),
        ValueKind::String(text) => without_password(text).into(),
        ValueKind::Array(items) => items.iter().map(|item| json(&item.kind)).collect::<Vec<_>>().into(),
        ValueKind::Table(table) => table
            .iter()
            .map(|(name, value)| (name.clone(), json(&value.kind)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other @ (ValueKind::I128(_) | ValueKind::U128(_)) => other.to_string().into(),
    }
}

fn without_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() => match url.set_password(Some("redacted")) {
            Ok(()) => url.into(),
            Err(()) => REDACTED.to_owned(),
        },
        Ok(_) | Err(_) => text.to_owned(),
    }
}

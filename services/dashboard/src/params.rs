//! The parameters of a query or a form.

use conductor_protocol::Code;
use conductor_web::{Refusal, Whole};

/// The most parameters that are read.
const MAX_PARAMS: usize = 2_000;

/// The parameters of a query or a form, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `a=b&c=d`.
    #[must_use]
    pub fn parse(encoded: &[u8]) -> Self {
        Self(
            url::form_urlencoded::parse(encoded)
                .take(MAX_PARAMS)
                .map(|(k, v)| (k.into_owned(), v.into_owned()))
                .collect(),
        )
    }

    /// Reads the body of a form.
    #[must_use]
    pub fn of_form(body: &Whole) -> Self {
        Self::parse(&body.0)
    }

    /// Adds one.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// The first value of that name which is not blank, without blanks around it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Whether the name is there at all, blank or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The same as [`Params::get`], empty when there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// All values of that name which are not blank.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The value of that name as a number or something else that is written as text.
    ///
    /// # Errors
    /// When it is there and is none.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let bad = || Refusal::new(Code::InvalidRequest, format!("{name} is not valid"));
        self.get(name).map(|text| text.parse().map_err(|_| bad())).transpose()
    }

    /// Those that are not blank and not named in `without`, written for a URL.
    #[must_use]
    pub fn query(&self, without: &[&str]) -> String {
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            if !value.trim().is_empty() && !without.contains(&name.as_str()) {
                encoded.append_pair(name, value);
            }
        }
        encoded.finish()
    }

    /// The words of a list that is parted by commas or blanks.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        self.all(name)
            .flat_map(|text| text.split([',', ' ', '\n', '\t']))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_nothing_and_repeats_are_kept() {
        let params = Params::parse(b"a=1&a=+&a=2&b=%E6%BC%A2&c=");
        assert_eq!(params.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(params.get("b"), Some("漢"));
        assert_eq!(params.get("c"), None);
        assert_eq!(params.query(&["b"]), "a=1&a=2");
        assert_eq!(params.parsed::<u8>("a").unwrap(), Some(1));
        assert!(params.parsed::<u8>("b").is_err());
        assert_eq!(Params::parse(b"l=x,+y,,z").list("l"), ["x", "y", "z"]);
    }
}

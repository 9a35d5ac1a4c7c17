//! What stands behind the question mark.

use std::ops::RangeInclusive;
use std::str::FromStr;

use conductor_protocol::{Code, FieldError, Problem};

/// The most parameters of a request.
const MAX_PARAMETERS: usize = 100;

/// The parameters of a request, all of them known ones.
#[derive(Debug, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Reads a query that has no other parameters than the known ones.
    ///
    /// # Errors
    /// Names every parameter that is not known.
    pub(crate) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let Some(query) = query else { return Ok(Self::default()) };
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().take(MAX_PARAMETERS + 1).collect();
        if pairs.len() > MAX_PARAMETERS {
            let detail = format!("at most {MAX_PARAMETERS} parameters");
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        let unknown = |name: &str| {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            FieldError {
                pointer: pointer(name),
                detail: format!("not a parameter of this path; it has {known}"),
            }
        };
        let faults: Vec<FieldError> = pairs
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .map(|(name, _)| unknown(name))
            .collect();
        if faults.is_empty() { Ok(Self { pairs }) } else { Err(Problem::invalid(faults)) }
    }

    /// All values of a parameter.
    pub(crate) fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that is given once at most.
    ///
    /// # Errors
    /// When it is given twice, or holds a zero byte, which no text of ours does.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Problem::at(pointer(name), "given more than once")),
            (Some(value), None) if value.contains('\0') => {
                Err(Problem::at(pointer(name), "holds a zero byte"))
            }
            (value, None) => Ok(value),
        }
    }

    /// The same, to keep.
    ///
    /// # Errors
    /// As [`Params::one`].
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        Ok(self.one(name)?.map(ToOwned::to_owned))
    }

    /// A number.
    ///
    /// # Errors
    /// When it is none, or not within the range.
    pub(crate) fn number<T>(&self, name: &str, range: RangeInclusive<T>) -> Result<Option<T>, Problem>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let expected = || format!("{text:?} is not a number from {} to {}", range.start(), range.end());
        number.map(Some).ok_or_else(|| Problem::at(pointer(name), expected()))
    }

    /// Yes or no; no when it is not given.
    ///
    /// # Errors
    /// When it is neither.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(Problem::at(pointer(name), format!("{other:?} is neither true nor false"))),
        }
    }
}

fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_parameter_is_named() {
        let problem = Params::read(Some("limit=3&lmit=4&a/b=1"), &["limit"]).expect_err("unknown ones");
        let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/lmit", "/a~1b"]);
    }

    #[test]
    fn values_are_decoded_and_checked() {
        let params =
            Params::read(Some("q=a%20b+c&limit=501&f=yes&t=1&t=2&z=%00"), &["q", "limit", "f", "t", "z"])
                .expect("all known");
        assert_eq!(params.one("q"), Ok(Some("a b c")));
        assert_eq!(params.number("limit", 1..=500_u32).expect_err("too many").errors[0].pointer, "/limit");
        assert!(params.flag("f").is_err());
        assert!(params.one("t").is_err());
        assert!(params.one("z").is_err());
        assert_eq!(params.all("t").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(params.number::<u32>("none", 0..=1), Ok(None));
    }
}

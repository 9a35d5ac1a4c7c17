//! What a value may be, checked before anything uses it.

use std::path::Path;

use config::{Value, ValueKind};
use serde::de::value::{Error as ValueError, StrDeserializer};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use url::Url;

use super::network::Network;

/// The longest text of several lines.
const MAX_LINES_BYTES: usize = 64 << 10;

/// The form of a key's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A whole number within bounds.
    Whole { min: u64, max: u64 },
    /// An amount of money, not negative.
    Amount,
    /// True or false.
    Flag,
    /// A text that is not empty.
    Text,
    /// A text of one line or more.
    Lines,
    /// A list of texts of one line.
    Texts,
    /// A name as runners, groups and labels have.
    Name,
    /// A list of names.
    Names,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An absolute path.
    Path,
    /// A list of absolute paths.
    Paths,
    /// `host:port`, with an IPv6 address in brackets.
    HostPort,
    /// An absolute http or https URL.
    Url,
    /// A network, such as 10.0.0.0/8, or a single address.
    Network,
    /// A list of networks.
    Networks,
    /// A filter of log events.
    LogFilter,
    /// An IANA time zone.
    TimeZone,
    /// An e-mail address.
    Mailbox,
    /// A host name, an address or a network.
    Reachable,
    /// A list of host names, addresses and networks.
    Reachables,
    /// Who is told of what.
    Notify,
    /// What hosts of git repositories ask for.
    GitCredentials,
}

impl Kind {
    /// Checks a value that has the types of YAML.
    pub(super) fn check(self, value: &ValueKind) -> Result<ValueKind, String> {
        let mismatch = || format!("expected {}, found {}", self.expected(), describe(value));
        match (self, value) {
            (Kind::Whole { min, max }, _) => {
                let number = match *value {
                    ValueKind::I64(number) => u64::try_from(number).ok(),
                    ValueKind::U64(number) => Some(number),
                    _ => None,
                };
                number.filter(|n| (min..=max).contains(n)).map(ValueKind::U64).ok_or_else(mismatch)
            }
            (Kind::Amount, &ValueKind::I64(number)) if number >= 0 =>
            {
                #[expect(clippy::cast_precision_loss, reason = "no budget comes near 2^53 dollars")]
                Ok(ValueKind::Float(number as f64))
            }
            (Kind::Amount, &ValueKind::Float(number)) if number >= 0.0 && number.is_finite() => {
                Ok(ValueKind::Float(number))
            }
            (Kind::Flag, &ValueKind::Boolean(flag)) => Ok(ValueKind::Boolean(flag)),
            (Kind::GitCredentials, value) => {
                super::git::credentials(super::show::json(value)).map(|_| value.clone())
            }
            (Kind::Notify, value) => super::notify::rules(super::show::json(value)).map(|_| value.clone()),
            (
                Kind::Texts | Kind::Names | Kind::Paths | Kind::Networks | Kind::Reachables,
                ValueKind::Array(items),
            ) => {
                let items = items.iter().map(|item| Ok(Value::new(None, self.item().check(&item.kind)?)));
                items.collect::<Result<Vec<_>, String>>().map(ValueKind::Array)
            }
            (
                Kind::Amount
                | Kind::Flag
                | Kind::Texts
                | Kind::Names
                | Kind::Paths
                | Kind::Networks
                | Kind::Reachables,
                _,
            ) => Err(mismatch()),
            (_, ValueKind::String(text)) => match self.check_text(text) {
                None => Ok(ValueKind::String(text.clone())),
                Some(why) => Err(format!("{}{why}", mismatch())),
            },
            (_, _) => Err(mismatch()),
        }
    }

    /// Checks a value that is written as text, as variables and flags are. Lists are separated by commas.
    pub(super) fn read(self, text: &str) -> Result<ValueKind, String> {
        let text = text.trim();
        let value = match self {
            Kind::Whole { .. } => text.parse().map(ValueKind::I64).ok(),
            Kind::Amount => text.parse().map(ValueKind::Float).ok(),
            Kind::Flag => text.parse().map(ValueKind::Boolean).ok(),
            Kind::Notify | Kind::GitCredentials => serde_json::from_str(text).ok().map(super::notify::value),
            Kind::Texts | Kind::Names | Kind::Paths | Kind::Networks | Kind::Reachables => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(ValueKind::Array(items.map(|item| Value::new(None, item)).collect()))
            }
            Kind::Text
            | Kind::Lines
            | Kind::Name
            | Kind::Choice(_)
            | Kind::Path
            | Kind::HostPort
            | Kind::Url
            | Kind::Network
            | Kind::Reachable
            | Kind::LogFilter
            | Kind::TimeZone
            | Kind::Mailbox => None,
        };
        self.check(&value.unwrap_or_else(|| ValueKind::String(text.to_owned())))
    }

    /// Says what the value should be; fits "expected ...".
    pub(super) fn expected(self) -> String {
        match self {
            Kind::Whole { min, max } if max >= i64::MAX.cast_unsigned() => {
                format!("a whole number, at least {min}")
            }
            Kind::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Amount => "an amount of 0 or more".to_owned(),
            Kind::Flag => "true or false".to_owned(),
            Kind::Text => "a text".to_owned(),
            Kind::Lines => format!("a text of at most {MAX_LINES_BYTES} bytes"),
            Kind::Texts => "a list of texts".to_owned(),
            Kind::Name => "a name".to_owned(),
            Kind::Names => "a list of names".to_owned(),
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
            Kind::Path => "an absolute path".to_owned(),
            Kind::Paths => "a list of absolute paths".to_owned(),
            Kind::HostPort => "host:port, such as 127.0.0.1:8081".to_owned(),
            Kind::Url => "a URL that begins with http:// or https://".to_owned(),
            Kind::Network => "a network or an address, such as 10.0.0.0/8".to_owned(),
            Kind::Networks => "a list of networks or addresses, such as 10.0.0.0/8".to_owned(),
            Kind::LogFilter => {
                "error, warn, info, debug, trace, off, or a filter such as info,conductor_agent=debug"
                    .to_owned()
            }
            Kind::TimeZone => "an IANA time zone such as Europe/Paris".to_owned(),
            Kind::Mailbox => "an e-mail address".to_owned(),
            Kind::Reachable => "a host name, an address or a network".to_owned(),
            Kind::Reachables => "a list of host names, addresses and networks".to_owned(),
            Kind::Notify => "a list of rules; as text, JSON".to_owned(),
            Kind::GitCredentials => "a list of credentials; as text, JSON".to_owned(),
        }
    }

    fn item(self) -> Kind {
        match self {
            Kind::Names => Kind::Name,
            Kind::Paths => Kind::Path,
            Kind::Networks => Kind::Network,
            Kind::Reachables => Kind::Reachable,
            _ => Kind::Text,
        }
    }

    /// Tells why a text does not fit, with more than [`Kind::expected`] says when there is more to say.
    fn check_text(self, text: &str) -> Option<String> {
        let fits = |fits: bool| (!fits).then(String::new);
        match self {
            Kind::Text => fits(!text.is_empty() && !text.contains(['\0', '\n'])),
            Kind::Lines => {
                fits(!text.trim().is_empty() && text.len() <= MAX_LINES_BYTES && !text.contains('\0'))
            }
            Kind::Name => name_problem(text).map(|why| format!(": {why}")),
            Kind::Choice(words) => fits(words.contains(&text)),
            Kind::Path => fits(Path::new(text).is_absolute() && !text.contains('\0')),
            Kind::HostPort => fits(is_host_port(text)),
            Kind::Url => fits(is_url(text)),
            Kind::LogFilter => fits(is_log_filter(text)),
            Kind::Mailbox => fits(super::notify::is_mailbox(text)),
            Kind::TimeZone => fits(jiff::tz::TimeZone::get(text).is_ok()),
            Kind::Reachable => text.parse::<super::notify::Reachable>().err().map(|why| format!(": {why}")),
            Kind::Network => fits(Network::parse(text).is_some()),
            Kind::Whole { .. }
            | Kind::Amount
            | Kind::Flag
            | Kind::Texts
            | Kind::Names
            | Kind::Paths
            | Kind::Networks
            | Kind::Reachables
            | Kind::Notify
            | Kind::GitCredentials => fits(false),
        }
    }
}

/// Tells why a text cannot be a name, by the one rule that the whole of Conductor has.
pub(super) fn name_problem(text: &str) -> Option<String> {
    let text = StrDeserializer::<ValueError>::new(text);
    conductor_protocol::text::name::deserialize(text).err().map(|error| error.to_string())
}

/// Says what a value is, for a message.
pub(super) fn describe(value: &ValueKind) -> String {
    match value {
        ValueKind::Nil => "null".to_owned(),
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(_) => "a list".to_owned(),
        ValueKind::Table(_) => "a section".to_owned(),
        other => other.to_string(),
    }
}

fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_fits = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        }
    };
    host_fits && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

fn is_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// A bare word that is no level would be taken for the name of a target, and everything else would be silent.
fn is_log_filter(text: &str) -> bool {
    let bare_words_are_levels = text
        .split(',')
        .filter(|part| !part.contains(['=', '[', ']', '{', '}']))
        .all(|part| part.trim().parse::<LevelFilter>().is_ok() && !part.trim().is_empty());
    bare_words_are_levels && EnvFilter::try_new(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(kind: Kind, texts: &[&str]) {
        for text in texts {
            if let Err(error) = kind.read(text) {
                panic!("{kind:?} refused {text:?}: {error}");
            }
        }
    }

    fn refuses(kind: Kind, texts: &[&str]) {
        for text in texts {
            let error = kind.read(text).expect_err(text);
            assert!(error.starts_with("expected "), "{error}");
        }
    }

    #[test]
    fn numbers_have_bounds_and_are_whole() {
        let kind = Kind::Whole { min: 1, max: 10 };
        accepts(kind, &["1", " 10 ", "007"]);
        refuses(kind, &["0", "11", "-1", "1.5", "ten", "", "1e1", "99999999999999999999", "true"]);
        assert_eq!(
            kind.check(&ValueKind::Float(2.0)).unwrap_err(),
            "expected a whole number from 1 to 10, found 2"
        );
        assert!(kind.check(&ValueKind::String("2".into())).is_err(), "a quoted number is a text");
        accepts(Kind::Whole { min: 0, max: i64::MAX.cast_unsigned() }, &["9223372036854775807"]);
    }

    #[test]
    fn amounts_are_finite_and_not_negative() {
        accepts(Kind::Amount, &["0", "1.5", "3"]);
        refuses(Kind::Amount, &["-1", "NaN", "inf", "five", ""]);
        assert!(Kind::Amount.check(&ValueKind::I64(5)).is_ok());
        assert!(Kind::Amount.check(&ValueKind::I64(-5)).is_err());
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        accepts(Kind::HostPort, &["127.0.0.1:0", "[::1]:8081", "localhost:65535", "my-host.example:80"]);
        refuses(
            Kind::HostPort,
            &["8081", ":8081", "localhost", "localhost:65536", "::1:80", "a b:80", "h:+8", "h:"],
        );
    }

    #[test]
    fn urls_are_absolute_and_of_the_web() {
        accepts(Kind::Url, &["http://loki:3100", "https://user:secret@example.com/path"]);
        refuses(Kind::Url, &["loki:3100", "ftp://example.com", "/path", "http://"]);
    }

    #[test]
    fn names_follow_the_rule_of_names() {
        accepts(Kind::Name, &["gpu/a100", "team:x", "größe"]);
        refuses(Kind::Name, &["a b", ""]);
        refuses(Kind::Names, &["a,b c"]);
        assert!(
            Kind::Name
                .read("a b")
                .unwrap_err()
                .ends_with("found \"a b\": a name may not hold the character ' '")
        );
        let names = Kind::Names.read("gpu, fast,,").unwrap();
        assert!(matches!(names, ValueKind::Array(items) if items.len() == 2));
    }

    #[test]
    fn paths_are_absolute() {
        accepts(Kind::Path, &["/a", "/a/../b"]);
        refuses(Kind::Path, &["a", "./a", "~/a", ""]);
        refuses(Kind::Paths, &["/a,b"]);
    }

    #[test]
    fn a_mistyped_level_is_not_taken_for_a_target() {
        accepts(
            Kind::LogFilter,
            &["info", "WARN", "off", "info,conductor_agent=debug", "[span{task_id=7}]=trace"],
        );
        refuses(Kind::LogFilter, &["verbose", "infos,a=debug", "a=loud", "", "info,,"]);
    }

    #[test]
    fn a_time_zone_is_one_that_is_known() {
        accepts(Kind::TimeZone, &["UTC", "Asia/Tokyo", "America/Argentina/Buenos_Aires"]);
        refuses(Kind::TimeZone, &["", "Mars/Olympus", "+02:00"]);
    }

    #[test]
    fn choices_are_listed_when_none_was_taken() {
        let kind = Kind::Choice(&["cut", "fail"]);
        accepts(kind, &["cut"]);
        assert_eq!(kind.read("drop").unwrap_err(), "expected one of cut, fail, found \"drop\"");
        assert!(kind.check(&ValueKind::Boolean(true)).unwrap_err().ends_with("found true"));
    }
}

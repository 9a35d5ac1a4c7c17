//! Who is told of what: `notify[]` and `webhooks.*`.

use std::net::IpAddr;
use std::str::FromStr;

use config::{Value, ValueKind};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::network::Network;

/// A rule of `notify[]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyRule {
    /// What is told.
    pub on: Vec<NotifyOn>,
    /// Only of tasks in this group.
    #[serde(default)]
    pub group: Option<String>,
    /// Where to.
    pub to: NotifyTo,
}

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyOn {
    /// A task is over, however it ended.
    Finished,
    /// A task failed.
    Failed,
    /// A task waits for a person.
    Waiting,
    /// Nothing that is connected can run what waits.
    Unservable,
    /// The state volume has less free space than it must.
    DiskFloor,
    /// A schedule stopped, because who made it may not submit there any more.
    ScheduleStopped,
    /// A budget is spent to four fifths.
    #[serde(rename = "budget_80")]
    Budget80,
    /// A credential's lane closed.
    LaneClosed,
}

/// Where a rule leads. The URLs are secrets: who knows one can write there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyTo {
    /// A receiver of signed webhooks.
    Webhook(Url),
    /// An incoming webhook of Slack, Mattermost or Discord (with `/slack` at its end).
    Slack(Url),
    /// A topic of ntfy.
    Ntfy(Url),
    /// A mailbox.
    Mailto(String),
}

/// `webhooks.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// What webhooks are signed with; unset, a key of its own that is made at the first start.
    pub signing_key: Option<String>,
    /// Addresses that webhooks may go to although they are not public.
    #[serde(deserialize_with = "networks")]
    pub allow_private: Vec<Reachable>,
}

/// A host name, an address or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reachable {
    /// A host by its name, in lower case.
    Host(String),
    /// All addresses of a network.
    Network(Network),
}

impl Reachable {
    /// Whether this host, at this address, is meant.
    #[must_use]
    pub fn holds(&self, host: &str, at: IpAddr) -> bool {
        match self {
            Self::Host(name) => name.eq_ignore_ascii_case(host),
            Self::Network(network) => network.contains(at),
        }
    }
}

impl FromStr for Reachable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(network) = Network::parse(text) {
            return Ok(Self::Network(network));
        }
        let is_host = !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        match is_host {
            true => Ok(Self::Host(text.to_ascii_lowercase())),
            false => Err(format!("{text:?} is neither a host, an address nor a network such as 10.0.0.0/8")),
        }
    }
}

pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Reachable>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

/// Reads rules, and says what is wrong with the first that is not one.
pub(super) fn rules(value: serde_json::Value) -> Result<Vec<NotifyRule>, String> {
    let serde_json::Value::Array(items) = value else { return Err("not a list of rules".to_owned()) };
    if items.len() > MAX_RULES {
        return Err(format!("at most {MAX_RULES} rules, are {}", items.len()));
    }
    let read = |(place, item): (usize, serde_json::Value)| {
        let rule: NotifyRule =
            serde_json::from_value(item).map_err(|error| format!("rule {}: {error}", place + 1))?;
        check(&rule).map_err(|why| format!("rule {}: {why}", place + 1))?;
        Ok(rule)
    };
    items.into_iter().enumerate().map(read).collect()
}

/// Rules without what is secret in them: who knows the whole URL can write there.
pub(super) fn shown(mut rules: serde_json::Value) -> serde_json::Value {
    let rules_shown = rules.as_array_mut().into_iter().flatten();
    let places = rules_shown.filter_map(|rule| rule.get_mut("to")?.as_object_mut());
    // A mailbox is no secret.
    let urls = places.flat_map(|to| to.iter_mut().filter(|(way, _)| *way != "mailto"));
    for (_, to) in urls {
        let origin = to.as_str().and_then(|text| text.parse::<Url>().ok()).map(|url| url.origin());
        *to = origin
            .map_or_else(
                || "[redacted]".to_owned(),
                |origin| format!("{}/[redacted]", origin.ascii_serialization()),
            )
            .into();
    }
    rules
}

/// Reads rules that were checked.
pub(super) fn typed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NotifyRule>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    value.map_or_else(|| Ok(Vec::new()), |value| rules(value).map_err(serde::de::Error::custom))
}

/// Rules that were written as JSON, as a value of the configuration.
pub(super) fn value(json: serde_json::Value) -> ValueKind {
    match json {
        serde_json::Value::Null => ValueKind::Nil,
        serde_json::Value::Bool(value) => ValueKind::Boolean(value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => ValueKind::I64(whole),
            (None, other) => ValueKind::Float(other.unwrap_or_default()),
        },
        serde_json::Value::String(text) => ValueKind::String(text),
        serde_json::Value::Array(items) => {
            ValueKind::Array(items.into_iter().map(|item| Value::new(None, value(item))).collect())
        }
        serde_json::Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, field)| (name, Value::new(None, value(field))));
            ValueKind::Table(fields.collect())
        }
    }
}

/// The most rules.
const MAX_RULES: usize = 100;
/// The longest e-mail address, as SMTP has it.
const MAX_MAILBOX_BYTES: usize = 254;

fn check(rule: &NotifyRule) -> Result<(), String> {
    if rule.on.is_empty() {
        return Err("on: names nothing".to_owned());
    }
    if let Some(why) = rule.group.as_deref().and_then(super::kind::name_problem) {
        return Err(format!("group: {why}"));
    }
    let url = match &rule.to {
        NotifyTo::Webhook(url) | NotifyTo::Slack(url) | NotifyTo::Ntfy(url) => url,
        NotifyTo::Mailto(to) if is_mailbox(to) => return Ok(()),
        NotifyTo::Mailto(_) => return Err("to: an e-mail address, such as ops@example.com".to_owned()),
    };
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(()),
        _ => Err("to: a URL that begins with http:// or https://".to_owned()),
    }
}

/// Whether a text is an address that mail may be sent to. Whether it is there, its server says.
pub(super) fn is_mailbox(text: &str) -> bool {
    let strange = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c);
    let parts = text.rsplit_once('@').filter(|_| text.len() <= MAX_MAILBOX_BYTES && !text.contains(strange));
    parts.is_some_and(|(who, host)| {
        !who.is_empty() && !who.contains('@') && !host.is_empty() && !host.starts_with('.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_what_begins_like_it() {
        let net = |text: &str| text.parse::<Reachable>().expect("one");
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(net("10.0.0.0/8").holds("x", ip("10.255.0.1")));
        assert!(!net("10.0.0.0/8").holds("x", ip("11.0.0.1")));
        assert!(
            net("127.0.0.1").holds("x", ip("127.0.0.1")) && !net("127.0.0.1").holds("x", ip("127.0.0.2"))
        );
        assert!(net("fd00::/8").holds("x", ip("fd12::1")) && !net("fd00::/8").holds("x", ip("fe80::1")));
        assert!(net("Hooks.Internal").holds("hooks.internal", ip("10.0.0.1")));
        for bad in ["", "10.0.0.0/33", "a b", "::/129"] {
            assert!(bad.parse::<Reachable>().is_err(), "{bad}");
        }
    }

    #[test]
    fn where_a_rule_leads_is_not_shown() {
        let rules = serde_json::json!([{"on": ["failed"], "to": {"slack": "https://hooks.example/T0/secret?x=secret"}}]);
        let shown = shown(rules.clone());
        assert!(!shown.to_string().contains("secret"), "{shown}");
        assert_eq!(shown[0]["to"]["slack"], "https://hooks.example/[redacted]");
        assert!(super::rules(shown).is_ok(), "it can be a file again");
    }

    #[test]
    fn a_rule_that_cannot_be_one_is_named_by_its_place() {
        let good = serde_json::json!({"on": ["failed"], "to": {"slack": "https://hooks.example/x"}});
        let refused = |rule: serde_json::Value| rules(serde_json::json!([good, rule])).expect_err("refused");
        assert_eq!(rules(serde_json::json!([good])).expect("good").len(), 1);
        assert!(
            rules(serde_json::json!([{"on": ["budget_80"], "to": {"slack": "https://hooks.example/x"}}]))
                .is_ok()
        );
        let mut bad = good.clone();
        bad["to"] = serde_json::json!({"slack": "ftp://x"});
        assert!(refused(bad).starts_with("rule 2: to:"));
        let mut bad = good.clone();
        for to in ["", "ops", "@example.com", "a b@example.com", "a@b\r\nX: y", "<a@b>"] {
            bad["to"] = serde_json::json!({"mailto": to});
            assert!(refused(bad.clone()).starts_with("rule 2: to:"), "{to}");
        }
        let mail = serde_json::json!([{"on": ["failed"], "to": {"mailto": "ops@example.com"}}]);
        assert_eq!(shown(mail.clone()), mail);
        rules(mail).expect("a mailbox");
        let mut bad = good.clone();
        bad["too"] = serde_json::json!(1);
        assert!(refused(bad).contains("too"));
    }
}

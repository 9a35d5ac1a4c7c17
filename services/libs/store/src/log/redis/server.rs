//! What the server is and how it keeps what it is told, looked at once at the start.

use std::collections::HashMap;

use redis::{InfoDict, RedisResult};

use super::OpenError;
use super::address::Address;
use super::wire::Wire;

/// The oldest Redis whose scripts and streams do what the log needs. Valkey says that it is one of 7.2.
const OLDEST: (u32, u32) = (7, 0);

/// What is asked of its settings.
const SETTINGS: [&str; 5] =
    ["maxmemory-policy", "appendonly", "appendfsync", "no-appendfsync-on-rewrite", "save"];

/// When what was acknowledged is on the server's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kept {
    /// Before it is acknowledged.
    Before,
    /// About every second.
    EverySecond,
    /// Before it is acknowledged, but for while the file is rewritten.
    ButRewrites,
    /// When the system writes it.
    Sometime,
    /// In a file that is appended to, at a moment that the server does not tell.
    Unknown,
    /// Now and then, as a whole, by these rules.
    Saves(String),
    /// Never.
    Never,
}

/// What a server says of itself.
#[derive(Debug)]
struct Server {
    version: Option<(u32, u32)>,
    is_replica: bool,
    policy: Option<String>,
    kept: Kept,
}

/// Refuses a server that cannot keep a log, and says in the log what a crash of it can lose.
pub(super) fn check(wire: &mut Wire, address: &Address, require_fsync: bool) -> Result<(), OpenError> {
    let server = ask(wire).map_err(|source| address.failed(source))?;
    let shown = address.shown().display();
    if let Some(why) = server.refusal(require_fsync) {
        return Err(OpenError::Unfit { address: address.shown().to_owned(), why });
    }
    match &server.kept {
        Kept::Before => {
            tracing::info!(address = %shown, "a crash of Redis loses nothing that was acknowledged")
        }
        Kept::EverySecond => tracing::warn!(
            address = %shown,
            "a crash of Redis or its machine can lose what was acknowledged in the last two seconds: appendfsync is \
             everysec"
        ),
        Kept::ButRewrites => tracing::warn!(
            address = %shown,
            "a crash of the machine of Redis can lose what was acknowledged while it rewrote its file: \
             no-appendfsync-on-rewrite is yes"
        ),
        Kept::Sometime => tracing::warn!(
            address = %shown,
            "a crash of the machine of Redis can lose what was acknowledged in the last half minute or more: appendfsync \
             is no"
        ),
        Kept::Unknown => tracing::warn!(
            address = %shown,
            "what a crash of Redis can lose is not known: it appends to a file, but does not tell its appendfsync"
        ),
        Kept::Saves(rules) => tracing::warn!(
            address = %shown, save = rules,
            "a crash of Redis loses everything since it last saved, which may be an hour: appendonly is no"
        ),
        Kept::Never => {
            tracing::warn!(address = %shown, "a crash of Redis loses everything: it neither appends nor saves")
        }
    }
    Ok(())
}

impl Server {
    fn refusal(&self, require_fsync: bool) -> Option<String> {
        if let Some(version) = self.version.filter(|version| *version < OLDEST) {
            let (major, minor) = version;
            return Some(format!("it has version {major}.{minor}, and at least 7.0 is needed"));
        }
        if self.is_replica {
            return Some("it is a replica, which takes no writes".to_owned());
        }
        if let Some(policy) = self.policy.as_ref().filter(|policy| *policy != "noeviction") {
            return Some(format!(
                "its maxmemory-policy is {policy}, by which it would throw parts of the log away; it has to be noeviction"
            ));
        }
        let always = self.kept == Kept::Before;
        (require_fsync && !always).then(|| {
            let found = match &self.kept {
                Kept::Before => "appendfsync always",
                Kept::EverySecond => "appendfsync everysec",
                Kept::ButRewrites => "no-appendfsync-on-rewrite yes",
                Kept::Sometime => "appendfsync no",
                Kept::Unknown => "an appendfsync that it does not tell",
                Kept::Saves(_) | Kept::Never => "appendonly no",
            };
            format!("redis.require_fsync asks for appendonly yes and appendfsync always, and it has {found}")
        })
    }
}

fn ask(wire: &mut Wire) -> RedisResult<Server> {
    let info: InfoDict = wire.query(redis::cmd("INFO").arg("everything"))?;
    let text = |name: &str| info.get::<String>(name);
    // Those who host Redis for others often refuse CONFIG.
    let settings: HashMap<String, String> =
        wire.query(redis::cmd("CONFIG").arg("GET").arg(&SETTINGS)).unwrap_or_default();
    let setting = |name: &str| settings.get(name).map(String::as_str);
    let appends = match setting("appendonly") {
        Some(word) => word == "yes",
        None => text("aof_enabled").is_some_and(|flag| flag == "1"),
    };
    let kept = match (appends, setting("appendfsync"), setting("save")) {
        (true, Some("always"), _) if setting("no-appendfsync-on-rewrite") == Some("yes") => Kept::ButRewrites,
        (true, Some("always"), _) => Kept::Before,
        (true, Some("everysec"), _) => Kept::EverySecond,
        (true, Some("no"), _) => Kept::Sometime,
        (true, _, _) => Kept::Unknown,
        (false, _, Some("")) => Kept::Never,
        (false, _, Some(rules)) => Kept::Saves(rules.to_owned()),
        (false, _, None) => Kept::Saves("not told".to_owned()),
    };
    Ok(Server {
        version: text("redis_version").and_then(|version| parse_version(&version)),
        is_replica: text("role").is_some_and(|role| role == "slave"),
        policy: setting("maxmemory-policy").map(str::to_owned).or_else(|| text("maxmemory_policy")),
        kept,
    })
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(kept: Kept) -> Server {
        Server { version: Some((7, 2)), is_replica: false, policy: Some("noeviction".to_owned()), kept }
    }

    #[test]
    fn only_a_server_that_keeps_everything_passes_where_that_is_required() {
        assert_eq!(server(Kept::Before).refusal(true), None);
        for kept in [
            Kept::EverySecond,
            Kept::ButRewrites,
            Kept::Sometime,
            Kept::Unknown,
            Kept::Saves("3600 1".to_owned()),
            Kept::Never,
        ] {
            assert_eq!(server(kept.clone()).refusal(false), None);
            assert!(server(kept).refusal(true).is_some_and(|why| why.contains("redis.require_fsync")));
        }
    }

    #[test]
    fn a_server_that_evicts_is_old_or_copies_another_is_refused() {
        let refused = |server: Server| server.refusal(false).is_some();
        assert!(refused(Server { policy: Some("allkeys-lru".to_owned()), ..server(Kept::Before) }));
        assert!(refused(Server { policy: Some("volatile-ttl".to_owned()), ..server(Kept::Before) }));
        assert!(refused(Server { version: Some((6, 2)), ..server(Kept::Before) }));
        assert!(refused(Server { is_replica: true, ..server(Kept::Before) }));
        assert!(!refused(Server { version: None, policy: None, ..server(Kept::Before) }));
        assert_eq!(parse_version("7.0.15"), Some((7, 0)));
    }
}

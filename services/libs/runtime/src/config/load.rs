//! Puts the layers together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::{ConfigError, Map, Source, Value, ValueKind};

use super::error::{Error, Origin, Problem};
use super::layer::{Layer, Leaf, Sources};
use super::schema::{self, KEYS, REMOVED};
use super::types::Config;
use crate::credentials::{ADMIN_TOKEN_ENV, TOKEN_ENV};
use crate::paths::Home;
use crate::secrets::{self, Secrets};

/// The defaults, which also list every key for people.
const DEFAULTS: &str = include_str!("defaults.yaml");

/// A configuration that holds.
#[derive(Debug)]
pub struct Loaded {
    /// What is configured.
    pub config: Config,
    /// Where things are.
    pub home: Home,
    /// The file that was read, when there is one.
    pub file: Option<PathBuf>,
    /// What is out of date, one line each.
    pub warnings: Vec<String>,
    pub(super) values: BTreeMap<Vec<String>, Leaf>,
}

impl Loaded {
    /// The secrets that people keep here.
    ///
    /// # Errors
    /// When their folder cannot be used.
    pub fn secrets(&self) -> Result<Secrets, secrets::Error> {
        Secrets::open(self.config.agent.secrets_dir.clone().unwrap_or_else(|| self.home.secrets()))
    }
}

/// Reads and checks the whole configuration.
///
/// # Errors
/// Names everything that is wrong at once, each with its key and where it is written.
pub fn load(sources: &Sources) -> Result<Loaded, Error> {
    let var =
        |name: &str| sources.env.iter().find(|(key, _)| key == name).map(|(_, value)| PathBuf::from(value));
    let mut home = Home::find(var)?;
    let env = Layer::env(&sources.env, REMOVED);
    let flags = Layer::flags(&sources.flags);
    if let Some(path) = [&flags, &env].into_iter().find_map(config_folder) {
        home.config = path;
    }
    let path = sources.file.clone().unwrap_or_else(|| home.config_file());
    let mut file = Layer::file(&path, sources.file.is_some(), REMOVED)?;
    if config_folder(&file).is_some() {
        file.problems.push(Problem::Bad {
            key: "paths.config".to_owned(),
            origin: Origin::File(path.clone()),
            why: "this file is found by it, so only the environment or a flag may set it".to_owned(),
        });
    }
    let defaults = Layer::yaml(DEFAULTS, &Origin::Default, &[]).expect("the defaults are YAML");
    let mut layers = [defaults, file, env, flags];

    let mut problems: Vec<_> =
        layers.iter_mut().flat_map(|layer| std::mem::take(&mut layer.problems)).collect();
    let values = merge(&layers);
    problems.extend(unavailable(&layers[0], &values));
    problems.extend(contradictions(&values));
    problems.extend(open_doors(&values));
    if !problems.is_empty() {
        return Err(Error::Refused(problems));
    }
    let config = typed(&layers).expect("every value was checked against its key");
    apply_paths(&mut home, &config, &values);
    let warnings = layers.into_iter().flat_map(|layer| layer.warnings).collect();
    let file = path.is_file().then_some(path);
    Ok(Loaded { config, home, file, warnings, values })
}

/// Names the environment variables that hold secrets, so that children do not inherit them.
pub fn secret_env_names() -> Vec<String> {
    let keys = KEYS.iter().filter(|key| key.secret);
    keys.map(|key| format!("CONDUCTOR__{}", key.path.to_uppercase().replace('.', "__")))
        .chain([ADMIN_TOKEN_ENV.to_owned(), TOKEN_ENV.to_owned()])
        .flat_map(|name| [format!("{name}_FILE"), name])
        .collect()
}

fn config_folder(layer: &Layer) -> Option<PathBuf> {
    layer.leaves.iter().rev().find(|leaf| leaf.path == ["paths", "config"]).and_then(|leaf| {
        match &leaf.value {
            ValueKind::String(path) => Some(path.into()),
            _ => None,
        }
    })
}

fn merge(layers: &[Layer]) -> BTreeMap<Vec<String>, Leaf> {
    let leaves = layers.iter().flat_map(|layer| &layer.leaves);
    leaves.map(|leaf| (leaf.path.clone(), leaf.clone())).collect()
}

fn unavailable(defaults: &Layer, values: &BTreeMap<Vec<String>, Leaf>) -> Vec<Problem> {
    let asks = |leaf: &&Leaf| {
        let default = defaults.leaves.iter().find(|default| default.path == leaf.path);
        match (&leaf.value, default) {
            (value, Some(default)) => *value != default.value,
            (ValueKind::Nil, None) => false,
            (_, None) => true,
        }
    };
    let problem = |leaf: &Leaf| {
        let later = schema::find(&leaf.path)?.later?;
        let (key, what) = (leaf.path.join("."), later.what);
        match &leaf.value {
            ValueKind::String(word) if schema::find(&leaf.path)?.is_choice() => {
                let key = format!("{key}: {word}");
                Some(Problem::Unavailable { key, origin: leaf.origin.clone(), what })
            }
            _ => Some(Problem::Unavailable { key, origin: leaf.origin.clone(), what }),
        }
    };
    values.values().filter(asks).filter_map(problem).collect()
}

/// Finds values that are good alone and bad together.
fn contradictions(values: &BTreeMap<Vec<String>, Leaf>) -> Vec<Problem> {
    let mut problems: Vec<_> = half_of_tls(values).into_iter().collect();
    problems.extend(short_lease(values));
    problems.extend(nowhere(values));
    problems.extend(no_default_runner(values));
    problems.extend(super::runner::contradictions(values));
    problems.extend(super::task_type::contradictions(values));
    problems.extend(super::secret::contradictions(values));
    problems.extend(no_mail_server(values));
    problems
}

/// A rule that sends mail, and no server to send it through.
fn no_mail_server(values: &BTreeMap<Vec<String>, Leaf>) -> Option<Problem> {
    let rules = values.get(&vec!["notify".to_owned()])?;
    let asks = super::notify::rules(super::show::json(&rules.value)).ok()?;
    asks.iter().find(|rule| matches!(rule.to, super::notify::NotifyTo::Mailto(_)))?;
    let is_set = |name: &str| {
        let leaf = values.get(&vec!["smtp".to_owned(), name.to_owned()]);
        leaf.is_some_and(|leaf| leaf.value != ValueKind::Nil)
    };
    let missing = ["url", "from"].into_iter().find(|name| !is_set(name))?;
    let why = format!("a rule sends mail, and smtp.{missing} is not set");
    Some(Problem::Bad { key: "notify".to_owned(), origin: rules.origin.clone(), why })
}

/// A default runner that is not there: every task that names none would be refused.
fn no_default_runner(values: &BTreeMap<Vec<String>, Leaf>) -> Option<Problem> {
    let leaf = values.get(&["tasks", "default_runner"].map(str::to_owned)[..])?;
    let ValueKind::String(name) = &leaf.value else { return None };
    if super::task_type::is_runner(name, values) {
        return None;
    }
    let why = format!("there is no runner {name:?}");
    Some(Problem::Bad { key: leaf.path.join("."), origin: leaf.origin.clone(), why })
}

/// An event log in Redis, and no Redis.
fn nowhere(values: &BTreeMap<Vec<String>, Leaf>) -> Option<Problem> {
    let leaf = |section: &str, name: &str| values.get(&vec![section.to_owned(), name.to_owned()]);
    let asks = leaf("storage", "event_log")
        .filter(|leaf| matches!(&leaf.value, ValueKind::String(word) if word == "redis"))?;
    if leaf("redis", "url").is_some_and(|url| url.value != ValueKind::Nil) {
        return None;
    }
    let why = "redis.url is not set".to_owned();
    Some(Problem::Bad { key: "storage.event_log".to_owned(), origin: asks.origin.clone(), why })
}

/// A certificate without its key, or a key without its certificate.
fn half_of_tls(values: &BTreeMap<Vec<String>, Leaf>) -> Option<Problem> {
    let get = |name: &str| {
        let leaf = values.get(&vec!["tls".to_owned(), name.to_owned()])?;
        (leaf.value != ValueKind::Nil).then_some(leaf)
    };
    let (leaf, other) = match (get("cert_file"), get("key_file")) {
        (Some(leaf), None) => (leaf, "tls.key_file"),
        (None, Some(leaf)) => (leaf, "tls.cert_file"),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let why = format!("{other} is not set; TLS needs both");
    Some(Problem::Bad { key: leaf.path.join("."), origin: leaf.origin.clone(), why })
}

fn short_lease(values: &BTreeMap<Vec<String>, Leaf>) -> Vec<Problem> {
    let get = |name: &str| {
        let leaf = values.get(&vec!["orchestrator".to_owned(), name.to_owned()])?;
        match leaf.value {
            ValueKind::U64(seconds) => Some((leaf, seconds)),
            _ => None,
        }
    };
    let (Some((heartbeat, renewed)), Some((lease, lasts))) = (get("heartbeat_seconds"), get("lease_seconds"))
    else {
        return Vec::new();
    };
    if renewed * 2 <= lasts {
        return Vec::new();
    }
    let written = if heartbeat.origin == Origin::Default { lease } else { heartbeat };
    let why = format!("a lease of {lasts} s is under two heartbeats of {renewed} s; one lost would end it");
    vec![Problem::Bad { key: written.path.join("."), origin: written.origin.clone(), why }]
}

/// Refuses to do without tokens where others than this machine could come in.
fn open_doors(values: &BTreeMap<Vec<String>, Leaf>) -> Option<Problem> {
    let leaf = |section: &str, name: &str| values.get(&vec![section.to_owned(), name.to_owned()]);
    let text = |leaf: &Leaf| match &leaf.value {
        ValueKind::String(text) => text.clone(),
        _ => String::new(),
    };
    let mode = leaf("auth", "mode").filter(|mode| text(mode) == "none")?;
    let open = ["api", "dashboard"].into_iter().find_map(|section| {
        let listen = text(leaf(section, "listen")?);
        (!is_loopback(&listen)).then(|| format!("{section}.listen is {listen}"))
    })?;
    let why = format!("it is for a laptop's loopback alone, and {open}");
    Some(Problem::Bad { key: "auth.mode".to_owned(), origin: mode.origin.clone(), why })
}

/// Tells whether `host:port` is reached from this machine alone.
fn is_loopback(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn apply_paths(home: &mut Home, config: &Config, values: &BTreeMap<Vec<String>, Leaf>) {
    for (name, folder) in [
        ("workspace", &mut home.workspace),
        ("logs", &mut home.logs),
        ("state", &mut home.state),
        ("run", &mut home.run),
    ] {
        if let Some(Leaf { value: ValueKind::String(path), .. }) =
            values.get(&vec!["paths".into(), name.into()])
        {
            *folder = path.into();
        }
    }
    home.agent_socket.clone_from(&config.orchestrator.agent_socket);
    home.control_socket.clone_from(&config.orchestrator.control_socket);
}

fn typed(layers: &[Layer]) -> Result<Config, ConfigError> {
    let layers =
        layers.iter().map(|layer| Live(layer.leaves.iter().filter(|leaf| is_live(leaf)).cloned().collect()));
    layers
        .fold(config::Config::builder(), |builder, layer| builder.add_source(layer))
        .build()?
        .try_deserialize()
}

/// Tells whether the programs read this key; paths are the home's, and what is not built is read by nobody.
fn is_live(leaf: &Leaf) -> bool {
    leaf.path[0] != "paths" && schema::find(&leaf.path).is_some_and(|key| key.later.is_none())
}

/// The part of a layer that the programs read, as a source of the `config` crate.
#[derive(Clone, Debug)]
struct Live(Vec<Leaf>);

impl Source for Live {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let mut root = Map::new();
        for leaf in &self.0 {
            let (last, sections) = leaf.path.split_last().expect("a key has a name");
            let mut at = &mut root;
            for section in sections {
                let entry: &mut Value =
                    at.entry(section.clone()).or_insert_with(|| Map::<String, Value>::new().into());
                let ValueKind::Table(table) = &mut entry.kind else {
                    return Err(ConfigError::Message(format!("{section} is no section")));
                };
                at = table;
            }
            at.insert(last.clone(), Value::new(Some(&leaf.origin.to_string()), leaf.value.clone()));
        }
        Ok(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_list_every_key_and_no_other() {
        let defaults = Layer::yaml(DEFAULTS, &Origin::Default, &[]).unwrap();
        assert_eq!(defaults.problems, []);
        let listed = |key: &schema::Key| defaults.leaves.iter().any(|leaf| key.is(&leaf.path));
        let missing: Vec<_> =
            KEYS.iter().filter(|key| !key.path.contains('*') && !listed(key)).map(|key| key.path).collect();
        assert!(missing.is_empty(), "{missing:?}");
        for key in KEYS.iter().filter(|key| key.path.contains('*')) {
            let section = key.path.split(".*").next().unwrap();
            assert!(
                DEFAULTS.contains(section.rsplit('.').next().unwrap()),
                "{section} is not in the defaults"
            );
        }
    }

    #[test]
    fn a_removed_key_warns_and_has_no_effect() {
        let removed = [schema::Removed { path: "agent.threads", advice: "agent.slots says it" }];
        let file =
            Layer::yaml("agent: {threads: 4, slots: 2}", &Origin::File("a.yaml".into()), &removed).unwrap();
        assert_eq!(
            file.warnings,
            ["a.yaml: agent.threads was removed and has no effect: agent.slots says it"]
        );
        assert_eq!(file.leaves.len(), 1);
        let env = Layer::env(&[("CONDUCTOR__AGENT__THREADS".into(), "4".into())], &removed);
        assert_eq!(env.warnings.len(), 1);
        assert!(env.leaves.is_empty() && env.problems.is_empty() && file.problems.is_empty());
    }

    #[test]
    fn the_names_of_secrets_are_listed_with_their_files() {
        let names = secret_env_names();
        for name in
            ["CONDUCTOR_ADMIN_TOKEN", "CONDUCTOR_TOKEN", "CONDUCTOR__REDIS__URL", "CONDUCTOR__AGENT__TOKEN"]
        {
            assert!(names.contains(&name.to_owned()) && names.contains(&format!("{name}_FILE")), "{name}");
        }
        assert!(!names.contains(&"CONDUCTOR__AGENT__NAME".to_owned()));
    }

    #[test]
    fn a_secret_that_does_not_fit_is_not_shown() {
        let env = Layer::env(&[("CONDUCTOR__AGENT__TOKEN".into(), "hidden\nvalue".into())], &[]);
        assert_eq!(env.problems.len(), 1);
        assert!(!env.problems[0].to_string().contains("hidden"), "{}", env.problems[0]);
    }
}

//! The layers above the defaults, each brought to one form: known keys with checked values.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use config::{FileFormat, Format, Map, Value, ValueKind};

use super::error::{Error, Origin, Problem};
use super::kind::{describe, name_problem};
use super::schema::{self, Key, Removed};

/// Environment variables that begin so are keys.
const PREFIX: &str = "CONDUCTOR__";
/// No configuration file is longer.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// One value of one layer.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) path: Vec<String>,
    pub(super) value: ValueKind,
    pub(super) origin: Origin,
}

/// What a layer holds, what is wrong with it, and what is out of date in it.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) leaves: Vec<Leaf>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

impl Layer {
    /// Reads a text in YAML.
    pub(super) fn yaml(text: &str, origin: &Origin, removed: &[Removed]) -> Result<Self, String> {
        let uri = origin.to_string();
        let root = FileFormat::Yaml.parse(Some(&uri), text).map_err(|error| error.to_string())?;
        let mut layer = Layer::default();
        layer.table(&mut Vec::new(), &root, origin, removed);
        Ok(layer)
    }

    /// Reads a file; one that is not there is empty unless it was asked for.
    pub(super) fn file(path: &Path, required: bool, removed: &[Removed]) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let syntax = |why: String| Error::Syntax { path: path.to_owned(), why };
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return Ok(Layer::default()),
            Err(error) => return Err(failed(error)),
            Ok(metadata) if metadata.len() > MAX_FILE_BYTES => {
                return Err(syntax("it is over 1 MiB long".to_owned()));
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        Layer::yaml(&text, &Origin::File(path.to_owned()), removed).map_err(syntax)
    }

    /// Reads the environment. `..._FILE` names the file of a secret.
    pub(super) fn env(vars: &[(String, String)], removed: &[Removed]) -> Self {
        let mut layer = Layer::default();
        let mut seen = HashSet::new();
        for (name, text) in vars.iter().filter(|(_, text)| !text.is_empty()) {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
            let origin = Origin::Env(name.clone());
            let (path, text) = match secret_of_file(&path) {
                Some(path) => match secret_text(Path::new(text)) {
                    Ok(text) => (path, text),
                    Err(error) => {
                        let why = format!("cannot read the file {text:?}: {error}");
                        layer.problems.push(Problem::Bad { key: path.join("."), origin, why });
                        continue;
                    }
                },
                None => (path, text.clone()),
            };
            if !seen.insert(path.clone()) {
                let why = "it is set twice, as itself and by a file".to_owned();
                layer.problems.push(Problem::Bad { key: path.join("."), origin, why });
                continue;
            }
            layer.text(path, &text, origin, removed);
        }
        layer
    }

    /// Reads what flags of the command line set: the key, the value, and the flag's name for messages.
    pub(super) fn flags(flags: &[(String, String, String)]) -> Self {
        let mut layer = Layer::default();
        for (key, text, flag) in flags {
            let path = key.split('.').map(str::to_owned).collect();
            layer.text(path, text, Origin::Flag(flag.clone()), &[]);
        }
        layer
    }

    fn text(&mut self, path: Vec<String>, text: &str, origin: Origin, removed: &[Removed]) {
        match schema::find(&path) {
            Some(key) if text == "null" && key.optional => self.add(key, path, Ok(ValueKind::Nil), origin),
            Some(key) => self.add(key, path, key.kind.read(text), origin),
            None => self.unknown(&path, origin, removed),
        }
    }

    fn table(
        &mut self,
        path: &mut Vec<String>,
        table: &Map<String, Value>,
        origin: &Origin,
        removed: &[Removed],
    ) {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_unstable_by_key(|(name, _)| *name);
        for (name, value) in entries {
            path.push(name.clone());
            self.entry(path, value, origin, removed);
            path.pop();
        }
    }

    fn entry(&mut self, path: &mut Vec<String>, value: &Value, origin: &Origin, removed: &[Removed]) {
        if let Some(key) = schema::find(path) {
            let checked = match (&value.kind, key.optional) {
                (ValueKind::Nil, true) => Ok(ValueKind::Nil),
                (kind, _) => key.kind.check(kind),
            };
            return self.add(key, path.clone(), checked, origin.clone());
        }
        let names = schema::names_below(path);
        match &value.kind {
            _ if names.is_empty() => self.unknown(path, origin.clone(), removed),
            ValueKind::Table(table) => self.table(path, table, origin, removed),
            // A section whose lines are all comments.
            ValueKind::Nil => {}
            other => {
                let why = format!("expected a section with {}, found {}", names.join(", "), describe(other));
                self.problems.push(Problem::Bad { key: path.join("."), origin: origin.clone(), why });
            }
        }
    }

    fn add(&mut self, key: &Key, path: Vec<String>, checked: Result<ValueKind, String>, origin: Origin) {
        let shown = path.join(".");
        let chosen = key.path.split('.').zip(&path).filter(|(name, _)| *name == "*");
        for (_, name) in chosen {
            // A price may be that of all models whose names begin so.
            let stem = name.strip_suffix('*').filter(|_| key.path.contains(".prices.*."));
            let named = stem.unwrap_or(name);
            let is_every = stem.is_some() && named.is_empty();
            if let Some(why) = name_problem(named).filter(|_| !is_every) {
                self.problems.push(Problem::Bad { key: shown.clone(), origin: origin.clone(), why });
            }
        }
        match checked {
            Ok(value) => self.leaves.push(Leaf { path, value, origin }),
            Err(_) if key.secret => {
                let why = format!("expected {}", key.kind.expected());
                self.problems.push(Problem::Bad { key: shown, origin, why });
            }
            Err(why) => self.problems.push(Problem::Bad { key: shown, origin, why }),
        }
    }

    fn unknown(&mut self, path: &[String], origin: Origin, removed: &[Removed]) {
        let key = path.join(".");
        if let Some(removed) = removed.iter().find(|removed| removed.path == key) {
            self.warnings.push(format!("{origin}: {key} was removed and has no effect: {}", removed.advice));
            return;
        }
        let below = schema::names_below(path);
        if !below.is_empty() {
            let why = format!("a section, which no variable holds; it has {}", below.join(", "));
            self.problems.push(Problem::Bad { key: path.join("."), origin, why });
            return;
        }
        // The longest part of the path that leads somewhere is where the reader should look.
        let known =
            (0..path.len()).rev().find(|&end| !schema::names_below(&path[..end]).is_empty()).unwrap_or(0);
        let key = path[..=known.min(path.len() - 1)].join(".");
        let names = schema::names_below(&path[..known]);
        self.problems.push(Problem::Unknown { key, origin, names });
    }
}

/// Gives the secret's key when a variable's path is that of a secret's file.
fn secret_of_file(path: &[String]) -> Option<Vec<String>> {
    let (last, section) = path.split_last()?;
    let mut secret = section.to_vec();
    secret.push(last.strip_suffix("_file")?.to_owned());
    (schema::find(path).is_none() && schema::find(&secret).is_some_and(|key| key.secret)).then_some(secret)
}

fn secret_text(path: &Path) -> io::Result<String> {
    use std::io::Read;

    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

/// The layers above the defaults, lowest first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file that was asked for; unset, `conductor.yaml` in the config folder when there is one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// What flags set: key, value, and the flag's name for messages.
    pub flags: Vec<(String, String, String)>,
}

impl Sources {
    /// Takes the environment of this process.
    pub fn from_env() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let env = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Sources { env, ..Self::default() }
    }

    /// Sets a key by a flag of the command line.
    #[must_use]
    pub fn flag(mut self, key: &str, value: impl ToString, flag: &str) -> Self {
        self.flags.push((key.to_owned(), value.to_string(), flag.to_owned()));
        self
    }
}

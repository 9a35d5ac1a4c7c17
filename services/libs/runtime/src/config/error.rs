//! What is wrong with a configuration, and where it is written.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the program.
    Default,
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Env(String),
    /// In this flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("the defaults"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Env(name) => f.write_str(name),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No key has this path; `names` may stand in its last place.
    Unknown { key: String, origin: Origin, names: Vec<&'static str> },
    /// The value does not fit the key.
    Bad { key: String, origin: Origin, why: String },
    /// The value asks for something that this build does not have.
    Unavailable { key: String, origin: Origin, what: &'static str },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Unknown { key, origin, names } => {
                write!(f, "{origin}: unknown key {key}")?;
                match (names.is_empty(), key.rsplit_once('.')) {
                    (true, _) => Ok(()),
                    (false, Some((section, _))) => write!(f, "; {section} has {}", names.join(", ")),
                    (false, None) => write!(f, "; there are {}", names.join(", ")),
                }
            }
            Problem::Bad { key, origin, why } => write!(f, "{origin}: bad value of {key}: {why}"),
            Problem::Unavailable { key, origin, what } => {
                write!(f, "{origin}: {key} is unavailable: {what} comes with a later release")
            }
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Paths(#[from] crate::paths::Error),
    #[error("cannot read the configuration file {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the configuration file {path} is not YAML: {why}")]
    Syntax { path: PathBuf, why: String },
    #[error("the configuration is refused\n{}", lines(.0))]
    Refused(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

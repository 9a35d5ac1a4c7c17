//! The environment of a child: what it inherits is on a list, what a task may set is what redirects nothing.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sandbox::TOOLCHAINS;

/// What a child inherits besides where toolchains are: where programs are, and how people write.
const INHERITED: [&str; 11] = [
    "PATH",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TERM",
    "COLORTERM",
    "USER",
    "LOGNAME",
    "SHELL",
    "NIX_PROFILES",
    "NIX_SSL_CERT_FILE",
];
const INHERITED_PREFIXES: [&str; 1] = ["LC_"];

/// What a task may not set, because it loads code into programs or sends what they say elsewhere.
const REFUSED: [&str; 27] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "ENV",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "IFS",
    "PROMPT_COMMAND",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "PYTHONHOME",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "GCONV_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
];
const REFUSED_PREFIXES: [&str; 10] = [
    "LD_",
    "DYLD_",
    "GIT_",
    "CLAUDE_",
    "CODEX_",
    "GEMINI_",
    "ANTHROPIC_",
    "OPENAI_",
    "CONDUCTOR_",
    "BASH_FUNC_",
];
const REFUSED_SUFFIXES: [&str; 3] = ["_BASE_URL", "_API_KEY", "_PROXY"];

/// Why a task may not set a variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the variable {0:?} may not be set by a task")]
    Reserved(String),
    #[error("{0:?} is no name of a variable")]
    BadName(String),
    #[error("the value of {0:?} has a NUL byte in it")]
    BadValue(String),
}

/// Checks a variable that a task wants to set.
///
/// # Errors
///
/// Fails when its name is reserved or it cannot be a variable at all.
pub fn check(name: &str, value: &str) -> Result<(), Refused> {
    if name.is_empty() || name.len() > 256 || name.contains(['=', '\0']) || name.contains(char::is_control) {
        return Err(Refused::BadName(name.chars().take(256).collect()));
    }
    if value.contains('\0') {
        return Err(Refused::BadValue(name.to_owned()));
    }
    // Programs read http_proxy as well as HTTP_PROXY.
    let upper = name.to_ascii_uppercase();
    let is_refused = REFUSED.contains(&upper.as_str())
        || REFUSED_PREFIXES.iter().any(|prefix| upper.starts_with(prefix))
        || REFUSED_SUFFIXES.iter().any(|suffix| upper.ends_with(suffix));
    if is_refused { Err(Refused::Reserved(name.to_owned())) } else { Ok(()) }
}

/// The part of an agent's own environment that every child gets.
#[derive(Debug, Clone)]
pub(super) struct Inherited(Vec<(Vec<u8>, Vec<u8>)>);

impl Inherited {
    pub fn from(environment: &[(OsString, OsString)]) -> Self {
        let mut kept: Vec<_> = environment
            .iter()
            .filter(|(name, _)| is_inherited(name))
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        // A child has a HOME of its own, where rustup's proxies would find no toolchain.
        let named =
            |wanted: &str| environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        if let (None, Some(home)) = (named("RUSTUP_HOME"), named("HOME")) {
            let rustup = Path::new(home).join(".rustup");
            if rustup.is_dir() {
                kept.push((b"RUSTUP_HOME".to_vec(), rustup.as_os_str().as_bytes().to_vec()));
            }
        }
        Self(kept)
    }

    /// The same with one more variable, which a task may not set.
    pub fn set(mut self, name: &str, value: &Path) -> Self {
        self.0.retain(|(known, _)| known != name.as_bytes());
        self.0.push((name.as_bytes().to_vec(), value.as_os_str().as_bytes().to_vec()));
        self
    }

    /// Where programs are found.
    pub fn path(&self) -> Option<OsString> {
        use std::os::unix::ffi::OsStringExt as _;
        let found = self.0.iter().find(|(name, _)| name == b"PATH");
        found.map(|(_, value)| OsString::from_vec(value.clone()))
    }

    /// Returns where programs are found, where nothing else is said the usual places.
    pub fn path_or_usual(&self) -> OsString {
        self.path().unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
    }

    /// Returns the environment of one child as `NAME=value`: what is inherited, then what the task
    /// sets, then what Conductor sets; the later wins.
    pub fn with(&self, task: &[(String, String)], own: &[(&str, &OsStr)]) -> Vec<Vec<u8>> {
        let is_set = |name: &[u8]| {
            task.iter().any(|(set, _)| set.as_bytes() == name)
                || own.iter().any(|(set, _)| set.as_bytes() == name)
        };
        let inherited =
            self.0.iter().filter(|(name, _)| !is_set(name)).map(|(name, value)| join(name, value));
        let task = task
            .iter()
            .filter(|(name, _)| !own.iter().any(|(set, _)| set == name))
            .map(|(name, value)| join(name.as_bytes(), value.as_bytes()));
        let own = own.iter().map(|(name, value)| join(name.as_bytes(), value.as_bytes()));
        inherited.chain(task).chain(own).collect()
    }
}

fn is_inherited(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        INHERITED.contains(&name)
            || TOOLCHAINS.contains(&name)
            || INHERITED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

fn join(name: &[u8], value: &[u8]) -> Vec<u8> {
    [name, b"=", value].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redirects_or_loads_code_is_refused_in_any_case() {
        for name in [
            "PATH",
            "HOME",
            "LD_PRELOAD",
            "NODE_OPTIONS",
            "GIT_SSH_COMMAND",
            "CLAUDE_CODE",
            "ANTHROPIC_BASE_URL",
            "X_API_KEY",
            "https_proxy",
            "HTTP_PROXY",
            "CONDUCTOR_TASK_ID",
        ] {
            assert_eq!(check(name, "x"), Err(Refused::Reserved(name.into())));
        }
        for name in ["FOO", "CARGO_TERM_COLOR", "LC_ALL", "path_to", "GITHUB"] {
            assert_eq!(check(name, "x"), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for name in ["", "A=B", "A\0", "A\n"] {
            assert_eq!(check(name, "x"), Err(Refused::BadName(name.into())));
        }
        assert_eq!(check("A", "\0"), Err(Refused::BadValue("A".into())));
    }

    #[test]
    fn a_child_inherits_the_list_and_nothing_else() {
        let environment =
            [("PATH", "/bin"), ("SECRET", "s"), ("LC_ALL", "C"), ("CONDUCTOR_TOKEN", "t"), ("LANG", "C")]
                .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let env = Inherited::from(&environment).with(
            &[("LANG".into(), "ja".into()), ("HOME".into(), "/root".into())],
            &[("HOME", OsStr::new("/h"))],
        );
        let env: Vec<_> = env.into_iter().map(|variable| String::from_utf8(variable).unwrap()).collect();
        assert_eq!(env, ["PATH=/bin", "LC_ALL=C", "LANG=ja", "HOME=/h"]);
    }
}

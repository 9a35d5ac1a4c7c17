//! `git.*`: which repositories may be reached, with which credentials, within which bounds.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use url::Url;

use super::notify::Reachable;

/// The most credentials.
const MAX_CREDENTIALS: usize = 100;

/// `git.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Git {
    /// What hosts of repositories ask for; the first that fits a host is used.
    #[serde(default, deserialize_with = "typed")]
    pub credentials: Vec<GitCredential>,
    /// Certificate authorities besides those of the machine, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Addresses that repositories may have although they are not public.
    #[serde(deserialize_with = "super::notify::networks")]
    pub allow_private: Vec<Reachable>,
    /// Folders on the agent's host whose repositories may be named by `file://`.
    pub file_roots: Vec<PathBuf>,
    /// How long one fetch or one push may take.
    #[serde(rename = "timeout_seconds", deserialize_with = "super::types::seconds")]
    pub timeout: Duration,
    /// The most bytes of one repository.
    pub max_repository_bytes: u64,
    /// The most bytes of all repositories that are kept on an agent; those that no run borrows from go first.
    pub max_mirrors_bytes: u64,
    /// Who is named as the author of commits that Conductor makes.
    pub author_name: String,
    /// The author's address.
    pub author_email: String,
}

/// What a host asks for. Its secret stands in a file, in a variable of the agent's environment or among the secrets, and
/// never in the configuration itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitCredential {
    /// The host, with its port where that is not the usual one.
    pub host: String,
    /// The user's name; unset, one that GitHub, GitLab and Gitea take beside a token.
    #[serde(default)]
    pub username: Option<String>,
    /// A file that holds the token.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// A variable of the agent's environment that holds it.
    #[serde(default)]
    pub token_env: Option<String>,
    /// The name of a secret that holds it.
    #[serde(default)]
    pub secret: Option<String>,
    /// A private key for `ssh://`.
    #[serde(default)]
    pub ssh_key_file: Option<PathBuf>,
    /// The keys of hosts that are known, for `ssh://`.
    #[serde(default)]
    pub known_hosts_file: Option<PathBuf>,
    /// What runs on the host; unset, it is told by the name of the host where that is a well-known one.
    #[serde(default)]
    pub forge: Option<Forge>,
    /// Where its API is, where that is not the usual place.
    #[serde(default)]
    pub api_url: Option<Url>,
}

/// What serves pull requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forge {
    /// GitHub, also in a company.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea and Forgejo.
    Gitea,
}

/// Reads credentials, and says what is wrong with the first that is not one.
pub(super) fn credentials(value: serde_json::Value) -> Result<Vec<GitCredential>, String> {
    let serde_json::Value::Array(items) = value else { return Err("not a list of credentials".to_owned()) };
    if items.len() > MAX_CREDENTIALS {
        return Err(format!("at most {MAX_CREDENTIALS} credentials, are {}", items.len()));
    }
    let read = |(place, item): (usize, serde_json::Value)| {
        let credential: GitCredential =
            serde_json::from_value(item).map_err(|error| format!("credential {}: {error}", place + 1))?;
        check(&credential).map_err(|why| format!("credential {}: {why}", place + 1))?;
        Ok(credential)
    };
    items.into_iter().enumerate().map(read).collect()
}

fn check(credential: &GitCredential) -> Result<(), String> {
    let host = &credential.host;
    if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c)) {
        return Err(format!("host: {host:?} is no host"));
    }
    let tokens =
        [credential.token_file.is_some(), credential.token_env.is_some(), credential.secret.is_some()];
    match tokens.iter().filter(|given| **given).count() {
        0 if credential.ssh_key_file.is_none() => {
            return Err("give token_file, token_env, secret or ssh_key_file".to_owned());
        }
        0 | 1 => {}
        _ => return Err("give one of token_file, token_env and secret".to_owned()),
    }
    let paths = [&credential.token_file, &credential.ssh_key_file, &credential.known_hosts_file];
    if let Some(path) = paths.into_iter().flatten().find(|path| !path.is_absolute()) {
        return Err(format!("{}: not an absolute path", path.display()));
    }
    if credential.username.as_ref().is_some_and(|name| name.is_empty() || name.contains(char::is_control)) {
        return Err("username: no name".to_owned());
    }
    match &credential.api_url {
        Some(url) if url.scheme() != "https" || !url.has_host() => {
            Err("api_url: a URL that begins with https://".to_owned())
        }
        Some(_) | None => Ok(()),
    }
}

fn typed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<GitCredential>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    value.map_or_else(|| Ok(Vec::new()), |value| credentials(value).map_err(serde::de::Error::custom))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_credential_names_where_its_token_is_and_never_holds_it() {
        let good = json!({"host": "github.com", "token_env": "GITHUB_TOKEN", "forge": "github"});
        assert_eq!(credentials(json!([good])).expect("good")[0].forge, Some(Forge::Github));
        let ssh = json!({"host": "git.example:2222", "ssh_key_file": "/k"});
        assert!(credentials(json!([ssh])).is_ok());
        for (bad, part) in [
            (json!({"host": "github.com"}), "give token_file"),
            (json!({"host": "github.com", "token": "ghp_x"}), "unknown field"),
            (json!({"host": "github.com", "token_env": "A", "secret": "B"}), "give one"),
            (json!({"host": "https://github.com", "secret": "B"}), "host"),
            (json!({"host": "github.com", "token_file": "token"}), "absolute"),
            (json!({"host": "github.com", "secret": "B", "api_url": "http://x"}), "https"),
        ] {
            let refused = credentials(json!([good, bad])).expect_err("refused");
            assert!(refused.starts_with("credential 2: ") && refused.contains(part), "{refused}");
        }
    }
}

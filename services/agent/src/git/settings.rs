//! What an agent needs to know to work with repositories.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use conductor_runtime::config::{self, GitCredential};
use conductor_runtime::credentials::Secret;
use conductor_runtime::secrets::Secrets;

use super::program::Error;

/// The longest file of a token.
const MAX_TOKEN_BYTES: u64 = 64 << 10;
/// The user beside a token where the configuration names none: GitHub, GitLab and Gitea take any.
const ANY_USER: &str = "x-access-token";
/// Where systems keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What an agent needs to know to work with repositories.
#[derive(Debug, Clone)]
pub struct Settings {
    pub config: config::Git,
    /// The values of the variables that credentials name.
    tokens: BTreeMap<String, Secret>,
    /// The folder of the secrets that people keep.
    secrets: PathBuf,
}

/// A user and a token.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub user: String,
    pub token: Secret,
}

/// What somebody says, as people may read it: short, on one line, and without the credential.
pub(super) fn shown(said: &str, login: Option<&Login>, most_chars: usize) -> String {
    let said = match login {
        Some(login) => said.replace(login.token.reveal(), "[redacted]"),
        None => said.to_owned(),
    };
    said.chars().filter(|char| !char.is_control()).take(most_chars).collect()
}

impl Settings {
    /// Takes the configuration, the environment in which credentials may lie, and the folder of the secrets.
    #[must_use]
    pub fn new(config: config::Git, environment: &[(OsString, OsString)], secrets: PathBuf) -> Self {
        let names = config.credentials.iter().filter_map(|credential| credential.token_env.as_ref());
        let value = |name: &String| environment.iter().find(|(key, _)| key == name.as_str());
        let tokens = names.filter_map(|name| {
            let token = value(name)?.1.to_str()?.trim().to_owned();
            (!token.is_empty()).then(|| (name.clone(), Secret::new(token)))
        });
        Self { tokens: tokens.collect(), config, secrets }
    }

    /// The names of the variables that hold tokens, which no child may inherit.
    pub fn token_variables(config: &config::Git) -> impl Iterator<Item = &str> {
        config.credentials.iter().filter_map(|credential| credential.token_env.as_deref())
    }

    /// The credential of a host, given as `host` or `host:port`.
    pub(super) fn credential(&self, host: &str) -> Option<&GitCredential> {
        self.config.credentials.iter().find(|credential| credential.host.eq_ignore_ascii_case(host))
    }

    /// Reads what a host asks for; none when nothing is configured for it.
    pub(super) fn login(&self, host: &str) -> Result<Option<Login>, Error> {
        let Some(credential) = self.credential(host) else { return Ok(None) };
        let bad = |why: String| Error::Credential { host: host.to_owned(), why };
        let token = if let Some(path) = &credential.token_file {
            read_token(path).map_err(|error| bad(format!("{}: {error}", path.display())))?
        } else if let Some(name) = &credential.token_env {
            let token = self.tokens.get(name).cloned();
            token.ok_or_else(|| bad(format!("the agent has no variable {name}")))?
        } else if let Some(name) = &credential.secret {
            let name = name.parse().map_err(|error| bad(format!("{error}")))?;
            let kept = Secrets::open(&self.secrets).and_then(|secrets| secrets.get(&name));
            let kept = kept.map_err(|error| bad(error.to_string()))?;
            kept.ok_or_else(|| {
                bad(format!("there is no secret {name}; conductor secret set {name} keeps one"))
            })?
        } else {
            return Ok(None);
        };
        let user = credential.username.clone().unwrap_or_else(|| ANY_USER.to_owned());
        if token.reveal().chars().any(char::is_control) {
            return Err(bad("its token is more than one line".to_owned()));
        }
        Ok(Some(Login { user, token }))
    }

    /// The authorities besides the machine's, as PEM.
    pub(super) fn authorities(&self) -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = &self.config.ca_file else { return Ok(None) };
        let read = std::fs::read(path);
        read.map(Some).map_err(|source| Error::Disk { what: format!("read {}", path.display()), source })
    }

    /// Writes one file with the machine's authorities and the configured ones, which is how git takes them.
    pub(super) fn write_authorities(&self, folder: &Path) -> Result<Option<PathBuf>, Error> {
        let Some(own) = self.authorities()? else { return Ok(None) };
        let mut all = SYSTEM_AUTHORITIES.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
        all.push(b'\n');
        all.extend_from_slice(&own);
        let path = folder.join("authorities.pem");
        let disk = |source| Error::Disk { what: format!("write {}", path.display()), source };
        if std::fs::read(&path).is_ok_and(|known| known == all) {
            return Ok(Some(path));
        }
        let temporary = folder.join(format!("authorities.{}.new", uuid::Uuid::now_v7()));
        std::fs::write(&temporary, &all).map_err(disk)?;
        std::fs::rename(&temporary, &path).map_err(disk)?;
        Ok(Some(path))
    }
}

impl Default for Settings {
    fn default() -> Self {
        let config = config::Git {
            credentials: Vec::new(),
            ca_file: None,
            allow_private: Vec::new(),
            file_roots: Vec::new(),
            timeout: Duration::from_secs(600),
            max_repository_bytes: 10 << 30,
            max_mirrors_bytes: 30 << 30,
            author_name: "Conductor".into(),
            author_email: "conductor@localhost".into(),
        };
        Self { config, tokens: BTreeMap::new(), secrets: PathBuf::from("/nonexistent") }
    }
}

fn read_token(path: &Path) -> std::io::Result<Secret> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(credential: &str) -> Settings {
        let credential: GitCredential = serde_json::from_str(credential).unwrap();
        let config = config::Git { credentials: vec![credential], ..Settings::default().config };
        Settings::new(config, &[("TOKEN".into(), " t0ken\n".into())], PathBuf::from("/nonexistent"))
    }

    #[test]
    fn a_token_comes_from_where_the_configuration_says_and_is_not_shown() {
        let known = settings(r#"{"host":"git.example:8443","token_env":"TOKEN"}"#);
        let login = known.login("git.EXAMPLE:8443").unwrap().unwrap();
        assert_eq!((login.user.as_str(), login.token.reveal()), (ANY_USER, "t0ken"));
        assert!(known.login("git.example").unwrap().is_none(), "another port is another server");
        assert!(!format!("{known:?}").contains("t0ken"));
        let missing = settings(r#"{"host":"git.example","token_env":"OTHER"}"#);
        assert!(missing.login("git.example").unwrap_err().to_string().contains("OTHER"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from-file\n").unwrap();
        let from_file =
            settings(&format!(r#"{{"host":"h","username":"me","token_file":"{}"}}"#, file.path().display()));
        let login = from_file.login("h").unwrap().unwrap();
        assert_eq!((login.user.as_str(), login.token.reveal()), ("me", "from-file"));
    }
}

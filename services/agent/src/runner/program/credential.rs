//! The programs that an agent knows, and the credentials that it has for them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use conductor_runtime::config::{RunnerSpec, SecretUse};
use conductor_runtime::secrets::{self, Secret, Secrets};
use sha2::{Digest as _, Sha256};

use crate::sandbox::{Kind, Sandbox};

/// How many bytes of the digest name a credential: enough to tell a few apart, too few to try values against.
const LANE_BYTES: usize = 4;

/// The programs that an agent knows.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    /// The runners by name.
    pub specs: BTreeMap<String, Arc<RunnerSpec>>,
    /// The agent's environment, where credentials may be.
    pub environment: Arc<[(OsString, OsString)]>,
    /// Where credentials are looked for as well.
    pub secrets: Option<Secrets>,
    /// The secrets that tasks may use.
    pub uses: Arc<BTreeMap<String, SecretUse>>,
    /// Where tasks that may submit find the API.
    pub api_url: Option<String>,
    /// The `conductor` command, which such tasks are given as their MCP server.
    pub conductor: PathBuf,
    /// What confines them, and commands too.
    pub sandbox: Sandbox,
}

/// A credential that is there.
#[derive(Debug, Clone)]
pub(in crate::runner) struct Credential {
    /// The variable or secret that it came from.
    pub name: String,
    pub value: Secret,
}

/// Why a runner has no credential.
#[derive(Debug, thiserror::Error)]
pub(in crate::runner) enum Error {
    #[error("no credential is set: {}", names.join(" or "))]
    None { names: Vec<String> },
    #[error("its credential cannot be read: {0}")]
    Secret(#[from] secrets::Error),
}

impl Credential {
    /// Names the credential, so that limits are known to be shared, without telling it.
    pub fn lane(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(b"conductor lane\0");
        digest.update(self.value.reveal().as_bytes());
        format!("{}/{}", self.name, hex::encode(&digest.finalize()[..LANE_BYTES]))
    }
}

impl Programs {
    /// Why no program may run here, if so.
    pub(in crate::runner) fn refusal(&self) -> Option<String> {
        self.sandbox.refusal(Kind::Program)
    }

    /// The credential of a runner; none when it needs none.
    pub(in crate::runner) fn credential(&self, spec: &RunnerSpec) -> Result<Option<Credential>, Error> {
        for name in &spec.credentials {
            if let Some(value) = self.variable(name) {
                return Ok(Some(Credential { name: name.clone(), value: Secret::new(value) }));
            }
            let (Some(secrets), Ok(secret)) = (&self.secrets, name.parse::<secrets::Name>()) else {
                continue;
            };
            if let Some(value) = secrets.get(&secret)? {
                return Ok(Some(Credential { name: name.clone(), value }));
            }
        }
        if spec.credentials.is_empty() {
            Ok(None)
        } else {
            Err(Error::None { names: spec.credentials.clone() })
        }
    }

    /// A variable of the agent's environment that is set to something.
    pub(in crate::runner) fn variable(&self, name: &str) -> Option<&str> {
        let (_, value) = self.environment.iter().find(|(key, _)| key.as_bytes() == name.as_bytes())?;
        value.to_str().filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(environment: &[(&str, &str)], secrets: Option<Secrets>) -> (Programs, RunnerSpec) {
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let spec = super::super::tests::spec(&["true"]);
        (Programs { environment, secrets, ..Programs::default() }, spec)
    }

    #[test]
    fn the_first_credential_that_is_there_counts_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(folder.path().join("secrets")).unwrap();
        let (programs, mut spec) =
            programs(&[("SECOND_KEY", "from-env"), ("EMPTY_KEY", "")], Some(secrets.clone()));
        spec.credentials = vec!["EMPTY_KEY".into(), "FIRST_KEY".into(), "SECOND_KEY".into()];
        let found = programs.credential(&spec).unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.value.reveal()), ("SECOND_KEY", "from-env"));
        secrets.set(&"FIRST_KEY".parse().unwrap(), &Secret::new("from-file")).unwrap();
        let changed = programs.credential(&spec).unwrap().unwrap();
        assert_eq!((changed.name.as_str(), changed.value.reveal()), ("FIRST_KEY", "from-file"));
        assert!(!format!("{changed:?}").contains("from-file"));
        assert!(changed.lane().starts_with("FIRST_KEY/") && changed.lane() != found.lane());
        assert!(conductor_core::Name::new(&changed.lane()).is_ok(), "a lane is a name");
    }

    #[test]
    fn a_missing_credential_is_told_by_the_names_it_could_have() {
        let (programs, mut spec) = programs(&[], None);
        assert!(programs.credential(&spec).unwrap().is_none(), "it needs none");
        spec.credentials = vec!["A_KEY".into(), "B_KEY".into()];
        assert_eq!(
            programs.credential(&spec).unwrap_err().to_string(),
            "no credential is set: A_KEY or B_KEY"
        );
    }
}

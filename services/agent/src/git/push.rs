//! Bringing a run's branch to where the repository is.

use std::path::Path;

use super::program::{Error, Git, Step};
use super::remote::{Pinned, Remote, Transport};
use super::tree::Tree;

/// What git says where trying again is of no use.
const HOPELESS: [&str; 6] =
    ["authentication failed", "403", "404", "non-fast-forward", "[remote rejected]", "permission"];

/// The configuration of a step that reaches a server.
pub(super) fn network(
    git: &Git<'_>,
    remote: &Remote,
    pinned: &Pinned,
    folder: &Path,
) -> Result<Vec<(String, String)>, Error> {
    let protocol = match remote.transport {
        Transport::Https { .. } => "https",
        Transport::Ssh { .. } => "ssh",
        Transport::File => "file",
    };
    let mut config = pinned.config.clone();
    config.push((format!("protocol.{protocol}.allow"), "always".into()));
    if let Transport::Https { .. } = remote.transport
        && let Some(path) = git.settings.write_authorities(folder)?
    {
        config.push(("http.sslCAInfo".into(), path.to_string_lossy().into_owned()));
    }
    Ok(config)
}

impl Tree {
    /// Pushes the run's branch. Again is no harm: what is there already is left as it is.
    ///
    /// # Errors
    /// When the server does not take it.
    pub fn push(&mut self, git: &Git<'_>) -> Result<(), Error> {
        let remote = Remote::parse(&self.plan.workspace.url)?;
        let pinned = remote.pin(git.settings)?;
        let login = git.settings.login(&remote.host())?;
        self.push_large(git, &remote)?;
        let clean = self.clean();
        // A branch that is the task's alone may hold what an earlier attempt pushed.
        let force = if self.plan.is_own_branch { "+" } else { "" };
        let spec = format!("{force}refs/heads/{0}:refs/heads/{0}", self.plan.branch);
        let mut step = Step::new(&clean, &["push", "--quiet", "--no-verify", "--", &remote.url, &spec]);
        step.config = network(git, &remote, &pinned, &self.folder)?;
        step.env.extend(pinned.ssh_command.map(|command| ("GIT_SSH_COMMAND", command.into())));
        step.login = login.as_ref();
        step.timeout = git.settings.config.timeout;
        git.run(&step).map_err(|error| match error {
            Error::Git { words, .. } => Error::Git { what: format!("push to {}", remote.shown()), words },
            other => other,
        })?;
        self.plan.pushed = true;
        self.plan.write(&self.folder)
    }
}

/// Whether another try may help.
pub(crate) fn may_help(error: &Error) -> bool {
    match error {
        Error::Git { words, .. } => {
            let words = words.to_ascii_lowercase();
            !HOPELESS.iter().any(|hopeless| words.contains(hopeless))
        }
        Error::Slow { .. } => true,
        Error::Workspace { .. }
        | Error::TooLarge { .. }
        | Error::Credential { .. }
        | Error::NoGit { .. }
        | Error::Disk { .. }
        | Error::Ended(_)
        | Error::KeeperLost => false,
    }
}

//! What is fetched into a mirror, and the packs that it comes in.

use std::fs;
use std::time::Duration;

use conductor_protocol::submit::GitWorkspace;

use super::super::program::{Error, Git, Step};
use super::super::push;
use super::super::remote::Remote;
use super::{HEAD, Mirror, WANTED};

/// With so many packs they are rolled together.
const MAX_PACKS: usize = 40;
/// How often a fetch is tried when the way to the server seems to be the trouble, and the pause between.
const FETCH_TRIES: u32 = 3;
const FETCH_PAUSE: Duration = Duration::from_secs(2);
/// What git says then.
const PASSING: [&str; 7] = [
    "early EOF",
    "timed out",
    "Connection reset",
    "Connection refused",
    "unexpected disconnect",
    "returned error: 5",
    "Could not resolve host",
];

impl Mirror {
    /// Fetches what a task asks for: a ref by its name, as many commits as it wants, or all branches and tags.
    pub(super) fn fetch(
        &self,
        git: &Git<'_>,
        remote: &Remote,
        asked: &GitWorkspace,
        extra: Option<String>,
    ) -> Result<(), Error> {
        let repository = self.repository();
        let pinned = remote.pin(git.settings)?;
        let login = git.settings.login(&remote.host())?;
        let limit = git.settings.config.max_repository_bytes;
        let mut step = Step::new(
            &repository,
            &["fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"],
        );
        step.config = push::network(git, remote, &pinned, &self.folder)?;
        step.config.push(("fetch.unpackLimit".into(), "1".into()));
        step.env.extend(pinned.ssh_command.map(|command| ("GIT_SSH_COMMAND", command.into())));
        step.login = login.as_ref();
        step.timeout = git.settings.config.timeout;
        step.input = Some(&self.lock);
        step.bound = Some((&repository, limit));
        match (asked.depth, extra) {
            (Some(depth), extra) => {
                let wanted = asked.reference.as_deref().unwrap_or("HEAD");
                let spec = extra.unwrap_or_else(|| format!("+{wanted}:{WANTED}"));
                let spec = spec.split(':').next().map(|from| format!("{from}:{WANTED}")).unwrap_or(spec);
                step.args.push(format!("--depth={depth}").into());
                step.args.extend(["--".into(), remote.url.clone().into(), spec.into()]);
            }
            (None, Some(spec)) => step.args.extend(["--".into(), remote.url.clone().into(), spec.into()]),
            (None, None) => {
                step.args.extend(["--prune".into(), "--".into(), remote.url.clone().into()]);
                step.args.extend(
                    [
                        format!("+HEAD:{HEAD}"),
                        "+refs/heads/*:refs/heads/*".into(),
                        "+refs/tags/*:refs/tags/*".into(),
                    ]
                    .map(Into::into),
                );
            }
        }
        let mut tries = 1..FETCH_TRIES;
        loop {
            match git.run(&step) {
                Ok(_) => return self.roll_packs(git),
                Err(Error::Git { words, .. }) if is_passing(&words) && tries.next().is_some() => {
                    tracing::warn!(%words, "a fetch failed and is tried again");
                    git.inbox.rest(FETCH_PAUSE).map_err(Error::Ended)?;
                }
                Err(Error::Git { what, words }) => {
                    return Err(Error::Git { what: format!("{what} of {}", remote.shown()), words });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Rolls many packs into few; what is in them stays, reachable or not.
    fn roll_packs(&self, git: &Git<'_>) -> Result<(), Error> {
        let repository = self.repository();
        let packs = fs::read_dir(repository.join("objects/pack"))
            .map_err(Error::disk("list the packs of a mirror"))?;
        let count =
            packs.flatten().filter(|entry| entry.file_name().as_encoded_bytes().ends_with(b".pack")).count();
        if count <= MAX_PACKS {
            return Ok(());
        }
        let mut step = Step::new(&repository, &["repack", "-d", "--geometric=2", "--quiet"]);
        step.input = Some(&self.lock);
        step.config = vec![("repack.writeBitmaps".into(), "false".into())];
        git.run(&step).map(drop)
    }
}

fn is_passing(words: &str) -> bool {
    PASSING.iter().any(|passing| words.contains(passing))
}

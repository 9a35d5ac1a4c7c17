//! What a run left of a repository: the commits as a bundle, the difference as a patch, the names of what changed.

use std::path::PathBuf;

use super::checkout::unbundle;
use super::plan::Pending;
use super::program::{Error, Git, Step, arg};
use super::snapshot;
use super::tree::{Place, Tree, make_clean};

/// The longest patch, and the most bytes of the names of changed files.
const MAX_PATCH_BYTES: usize = 32 << 20;
const MAX_NAMES_BYTES: usize = 16 << 20;

/// What a run left.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// The difference to the start, as `git apply` takes it.
    pub patch: Vec<u8>,
    /// The files that were added or changed.
    pub paths: Vec<String>,
    /// The file with the commits; none when there are none.
    pub bundle: Option<PathBuf>,
}

impl Tree {
    /// Commits what the run left and describes it. Nothing of the run may be at work any more.
    ///
    /// # Errors
    /// When git fails or the disk says no.
    pub fn collect(&mut self, git: &Git<'_>, place: &Place<'_>) -> Result<Collected, Error> {
        let snapshot = snapshot::take(git, place, self)?;
        let mut collected = Collected::default();
        for line in &snapshot.left_out {
            collected.patch.extend_from_slice(format!("Not in this patch: {line}\n").as_bytes());
        }
        let Some(commit) = snapshot.commit else {
            return Ok(collected);
        };
        let (own, clean) = (self.own(), self.clean());
        let name = format!("refs/heads/{}", self.plan.branch);
        let bundle = self.folder.join("commits.bundle");
        let step = |args: &[&str]| {
            let mut step = Step::new(&own, args);
            step.env.extend(snapshot.objects.clone().map(|path| ("GIT_ALTERNATE_OBJECT_DIRECTORIES", path)));
            step
        };
        git.run(&step(&["update-ref", &name, &commit]))?;
        let mut pack = step(&["bundle", "create", "--quiet"]);
        pack.args.extend([arg(&bundle), name.into(), format!("^{}", self.plan.origin).into()]);
        git.run(&pack)?;
        make_clean(&clean, &self.mirror(), &self.plan.origin)?;
        unbundle(git, &clean, &bundle, &self.plan.branch)?;
        self.keep_large(git, place, &commit)?;
        self.plan.tip = Some(commit.clone());
        self.plan.pushed = false;
        self.plan.write(&self.folder)?;
        self.describe(git, &commit, &mut collected)?;
        collected.bundle = Some(bundle);
        Ok(collected)
    }

    /// Describes what was committed before.
    ///
    /// # Errors
    /// When git fails.
    pub fn collect_again(&self, git: &Git<'_>) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        if let Some(commit) = &self.plan.tip {
            self.describe(git, commit, &mut collected)?;
        }
        Ok(collected)
    }

    fn describe(&self, git: &Git<'_>, commit: &str, collected: &mut Collected) -> Result<(), Error> {
        let clean = self.clean();
        let base = self.plan.base.as_str();
        let mut names = Step::new(
            &clean,
            &["diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=d", base, commit],
        );
        names.max_output = MAX_NAMES_BYTES;
        let listed = git.ask(&names)?.output;
        let named = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        collected.paths = named.filter_map(|name| String::from_utf8(name.to_vec()).ok()).collect();
        let mut patch = Step::new(
            &clean,
            &[
                "diff-tree",
                "-r",
                "-p",
                "--binary",
                "--full-index",
                "--no-renames",
                "--no-ext-diff",
                "--no-textconv",
                "--no-color",
                "--src-prefix=a/",
                "--dst-prefix=b/",
                base,
                commit,
            ],
        );
        patch.max_output = MAX_PATCH_BYTES;
        let printed = git.ask(&patch)?;
        match (printed.code, printed.cut) {
            (Some(0), false) => collected.patch.extend_from_slice(&printed.output),
            (Some(0), true) => {
                let note = format!(
                    "Not in this patch: {} files, which change too much; commits.bundle has them\n",
                    collected.paths.len()
                );
                collected.patch.extend_from_slice(note.as_bytes());
            }
            (Some(_) | None, _) => return Err(Error::Git { what: "diff-tree".into(), words: printed.words }),
        }
        Ok(())
    }

    /// Keeps what a run came to, so that only its push is repeated whatever happens now.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn keep_pending(&mut self, pending: Option<Pending>) -> Result<(), Error> {
        self.plan.pending = pending;
        self.plan.write(&self.folder)
    }
}

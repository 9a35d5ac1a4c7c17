//! What a run left of a repository: the commits as a bundle, the difference as a patch, the names of what changed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::checkout::unbundle;
use super::modules::found_in;
use super::plan::Pending;
use super::program::{Error, Git, Step, arg};
use super::snapshot::{self, LeftOut, Source};
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
    /// Whether submodules were changed, which are pushed nowhere.
    pub changed_submodules: bool,
}

/// Two commits, and where what is between them lies in the work folder.
pub(super) struct Difference<'a> {
    pub repository: &'a Path,
    /// Ends in a slash; empty for the whole.
    pub below: &'a str,
    /// Where git finds what the run committed.
    pub objects: Option<&'a OsString>,
    pub base: &'a str,
    pub commit: &'a str,
}

impl Tree {
    /// Commits what the run left and describes it. Nothing of the run may be at work any more.
    ///
    /// # Errors
    /// When git fails or the disk says no.
    pub fn collect(&mut self, git: &Git<'_>, place: &Place<'_>) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        let source = Source {
            own: self.own(),
            scratch: self.folder.clone(),
            mirror: self.mirror(),
            base: self.plan.base.clone(),
            root: self.plan.root().to_owned(),
            title: self.plan.title.clone(),
            lfs: self.plan.workspace.lfs,
        };
        let snapshot = snapshot::take(git, place, &source, |index| self.keep_modules_known(git, index))?;
        let is_told_below = |line: &&LeftOut| line.why == "a submodule" && self.has_module(&line.path);
        for line in snapshot.left_out.iter().filter(|line| !is_told_below(line)) {
            collected.note(&format!("{} ({})", line.path, line.why));
        }
        if let Some(commit) = &snapshot.commit {
            self.keep(git, place, commit, snapshot.objects.as_ref(), &mut collected)?;
        }
        self.collect_modules(git, place, &mut collected)?;
        Ok(collected)
    }

    /// Keeps the commits of a run and describes them.
    fn keep(
        &mut self,
        git: &Git<'_>,
        place: &Place<'_>,
        commit: &str,
        objects: Option<&OsString>,
        collected: &mut Collected,
    ) -> Result<(), Error> {
        let (own, clean) = (self.own(), self.clean());
        let name = format!("refs/heads/{}", self.plan.branch);
        let bundle = self.folder.join("commits.bundle");
        let step = |args: &[&str]| {
            let mut step = Step::new(&own, args);
            step.env.extend(found_in(objects));
            step
        };
        git.run(&step(&["update-ref", &name, commit]))?;
        let mut pack = step(&["bundle", "create", "--quiet"]);
        pack.args.extend([arg(&bundle), name.into(), format!("^{}", self.plan.origin).into()]);
        git.run(&pack)?;
        make_clean(&clean, &self.mirror(), &self.plan.origin)?;
        unbundle(git, &clean, &bundle, &self.plan.branch)?;
        self.keep_large(git, place, commit)?;
        self.plan.tip = Some(commit.to_owned());
        self.plan.pushed = false;
        self.plan.write(&self.folder)?;
        self.describe(git, commit, collected)?;
        collected.bundle = Some(bundle);
        Ok(())
    }

    /// Describes what was committed before, and what lies in its submodules, which are pushed nowhere.
    ///
    /// # Errors
    /// When git fails.
    pub fn collect_again(&self, git: &Git<'_>, place: &Place<'_>) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        if let Some(commit) = &self.plan.tip {
            self.describe(git, commit, &mut collected)?;
        }
        self.collect_modules(git, place, &mut collected)?;
        Ok(collected)
    }

    fn describe(&self, git: &Git<'_>, commit: &str, collected: &mut Collected) -> Result<(), Error> {
        let clean = self.clean();
        let base = self.plan.base.as_str();
        describe(git, &Difference { repository: &clean, below: "", objects: None, base, commit }, collected)
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

impl Collected {
    /// Says what is not in the patch.
    pub fn note(&mut self, what: &str) {
        self.patch.extend_from_slice(format!("Not in this patch: {what}\n").as_bytes());
    }
}

/// Describes what is between two commits: the patch, and the names of what was added or changed.
pub(super) fn describe(
    git: &Git<'_>,
    between: &Difference<'_>,
    collected: &mut Collected,
) -> Result<(), Error> {
    let Difference { repository, below, objects, base, commit } = *between;
    let step = |args: &[&str], most| {
        let mut step = Step::new(repository, args);
        step.env.extend(found_in(objects));
        step.max_output = most;
        git.ask(&step)
    };
    let names = ["diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=d", base, commit];
    let listed = step(&names, MAX_NAMES_BYTES)?.output;
    let named = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let named = named.filter_map(|name| std::str::from_utf8(name).ok());
    let known = collected.paths.len();
    collected.paths.extend(named.map(|name| format!("{below}{name}")));
    let (from, to) = (format!("--src-prefix=a/{below}"), format!("--dst-prefix=b/{below}"));
    let patch = [
        "diff-tree",
        "-r",
        "-p",
        "--binary",
        "--full-index",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
        &from,
        &to,
        base,
        commit,
    ];
    let printed = step(&patch, MAX_PATCH_BYTES.saturating_sub(collected.patch.len()))?;
    match (printed.code, printed.cut) {
        (Some(0), false) => collected.patch.extend_from_slice(&printed.output),
        (Some(0), true) => {
            let files = collected.paths.len() - known;
            collected.note(&format!("{files} files, which change too much; commits.bundle has them"));
        }
        (Some(_) | None, _) => return Err(Error::Git { what: "diff-tree".into(), words: printed.words }),
    }
    Ok(())
}

//! The repository of one run, from its checkout to the pull request.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use conductor_protocol::agent::AssignedUpload;
use conductor_protocol::submit::GitWorkspace;

use super::mirror::{self, Mirror};
use super::plan::{Pending, Plan};
use super::program::{Error, Git};
use super::remote::Remote;
use super::submodules::{self, Submodules, mirror_name};
use super::{checkout, large, objects, spare};
use crate::process::boot_ms;

/// The folder of a run's repositories, in its private folder.
const FOLDER: &str = "git";

/// What a task asks of git.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The repository that it starts from.
    pub workspace: Option<GitWorkspace>,
    /// The same, as somebody sent it; what is pushed goes to the other then.
    pub sent: Option<AssignedUpload>,
    /// Names its commit and its pull request, where the task does not.
    pub title: String,
    /// Whether what another task had ready is pushed, and nothing else is run.
    pub push_only: bool,
}

impl Asked {
    /// Whether the task starts from a repository.
    #[must_use]
    pub fn has_repository(&self) -> bool {
        self.workspace.is_some() || self.sent.is_some()
    }
}

/// The folders of a run.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The folder under which all run folders are.
    pub workspace: &'a Path,
    pub task_id: &'a str,
    pub work: BorrowedFd<'a>,
    pub work_path: PathBuf,
    /// The private folder of the run.
    pub private: PathBuf,
}

impl Place<'_> {
    pub(super) fn mirrors(&self) -> PathBuf {
        self.workspace.join("private").join(mirror::FOLDER)
    }

    fn folder(&self) -> PathBuf {
        self.private.join(FOLDER)
    }

    /// The bytes of an upload.
    fn upload(&self, upload: &AssignedUpload) -> PathBuf {
        self.workspace.join("private/uploads").join(upload.id.to_string()).join("data")
    }

    fn folder_of(&self, task: &str) -> PathBuf {
        self.workspace.join("private").join(task).join(FOLDER)
    }
}

/// The repository of one run.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(super) plan: Plan,
    pub(super) folder: PathBuf,
    pub(super) mirrors: PathBuf,
}

impl Tree {
    /// Checks a repository out into an empty work folder.
    ///
    /// # Errors
    /// When it cannot be reached, has not what is asked for, or the disk says no.
    pub fn begin(git: &Git<'_>, place: &Place<'_>, asked: &Asked) -> Result<Self, Error> {
        let asked_ms = boot_ms();
        let mirrors = place.mirrors();
        let is_there = |task: &str| place.workspace.join("tasks").join(task).exists();
        mirror::make_room(&mirrors, git.settings.config.max_mirrors_bytes, is_there)?;
        let workspace = asked.workspace.clone().unwrap_or_default();
        let (mirror, start) = match &asked.sent {
            Some(sent) => Mirror::of_bundle(git, &mirrors, &place.upload(sent), sent)?,
            None => {
                let remote = Remote::parse(&workspace.url)?;
                let mirror = Mirror::lock(git, &mirrors, &remote, workspace.depth)?;
                let start = mirror.start(git, &remote, &workspace, asked_ms)?;
                (mirror, start)
            }
        };
        mirror.lend(place.task_id)?;
        let repository = mirror.repository();
        drop(mirror);
        let folder = fresh(&place.folder())?;
        let mut plan = Plan {
            version: Plan::VERSION,
            sent: asked.sent.is_some(),
            mirror: mirror_name(&repository),
            modules: Vec::new(),
            origin: start.head.clone(),
            base: start.commit.clone(),
            branch: workspace.branch_of(place.task_id),
            is_own_branch: workspace.has_own_branch(),
            start_branch: start.branch.clone(),
            title: asked.title.clone(),
            tip: None,
            pushed: false,
            pull_request_url: None,
            pending: None,
            workspace,
        };
        checkout::checkout(git, place, &folder, &repository, &start, &plan)?;
        if plan.workspace.submodules {
            let (lfs, modules) = (plan.workspace.lfs, Vec::new());
            let mut submodules = Submodules { git, place, folder: &folder, mirrors: &mirrors, lfs, modules };
            submodules.check_out(&folder.join("own.git"), &start.commit, &plan.workspace.url)?;
            plan.modules = submodules.modules;
        }
        plan.write(&folder)?;
        Ok(Self { plan, folder, mirrors })
    }

    /// Goes on in a copy of another run's work; none when that run had no repository.
    ///
    /// # Errors
    /// When what that run left cannot be read, or the disk says no.
    pub fn inherit(
        git: &Git<'_>,
        place: &Place<'_>,
        source: &str,
        asked: &Asked,
    ) -> Result<Option<Self>, Error> {
        let theirs = place.folder_of(source);
        let Some(old) = Plan::read(&theirs)? else { return Ok(None) };
        let mirrors = place.mirrors();
        let mirror = Mirror::lock_named(git, &mirrors, &old.mirror, &old.workspace.url)?;
        mirror.lend(place.task_id)?;
        let repository = mirror.repository();
        drop(mirror);
        submodules::lend(git, &mirrors, &old.modules, place.task_id)?;
        let folder = fresh(&place.folder())?;
        // What only was not opened yet is still the work of the run before.
        let goes_on = old.pushed && !asked.push_only;
        let base = old.tip.clone().filter(|_| goes_on).unwrap_or_else(|| old.base.clone());
        let title = if asked.push_only { old.title.clone() } else { asked.title.clone() };
        let plan = Plan {
            base,
            title,
            pending: old.pending.clone().filter(|_| asked.push_only),
            pushed: goes_on,
            ..old
        };
        checkout::take_over(git, place, &theirs, &folder, &repository, &plan)?;
        submodules::take_over(git, place, &folder, &mirrors, &plan)?;
        plan.write(&folder)?;
        Ok(Some(Self { plan, folder, mirrors }))
    }

    /// Opens the repository of a run that goes on; none when it has none.
    ///
    /// # Errors
    /// When its plan cannot be read.
    pub fn open(place: &Place<'_>) -> Result<Option<Self>, Error> {
        let folder = place.folder();
        let plan = Plan::read(&folder)?;
        Ok(plan.map(|plan| Self { plan, folder, mirrors: place.mirrors() }))
    }

    /// What the next run on the same repository would like to find; one that was sent is seldom sent again.
    pub fn spare(&self) -> Option<spare::Order> {
        let mirror = self.mirrors.join(&self.plan.mirror);
        let order = spare::Order { mirror, commit: self.plan.origin.clone() };
        (!self.plan.was_sent()).then_some(order)
    }

    /// What a run had come to whose commits are not pushed yet.
    #[must_use]
    pub fn pending(&self) -> Option<&Pending> {
        self.plan.pending.as_ref()
    }

    /// Whether there is something to push that is to be pushed.
    #[must_use]
    pub fn is_to_be_pushed(&self) -> bool {
        self.plan.workspace.is_pushed()
            && self.plan.tip.is_some()
            && self.plan.tip.as_ref() != Some(&self.plan.origin)
    }

    /// Whether what the run changed is to be pushed.
    #[must_use]
    pub fn is_pushed(&self) -> bool {
        self.plan.workspace.is_pushed()
    }

    pub(super) fn own(&self) -> PathBuf {
        self.folder.join("own.git")
    }

    pub(super) fn clean(&self) -> PathBuf {
        self.folder.join("clean.git")
    }

    pub(super) fn mirror(&self) -> PathBuf {
        self.mirrors.join(&self.plan.mirror).join("repo.git")
    }

    /// The folders of objects that the task's repository and its submodules borrow.
    #[must_use]
    pub fn borrowed(&self) -> Vec<PathBuf> {
        let modules = self.plan.modules.iter().map(|module| module.repository(&self.mirrors));
        let repositories = [self.mirror()].into_iter().chain(modules);
        let folders = |repository: PathBuf| {
            let large = self.plan.workspace.lfs.then(|| large::store(&repository));
            [Some(repository.join("objects")), large.filter(|store| store.exists())]
        };
        repositories.flat_map(folders).flatten().collect()
    }

    /// What is told of the repository.
    #[must_use]
    pub fn outcome(&self) -> super::Outcome {
        let commit = self.plan.tip.clone().filter(|tip| *tip != self.plan.base);
        super::Outcome {
            base: self.plan.base.clone(),
            branch: commit.is_some().then(|| self.plan.branch.clone()),
            pushed: self.plan.pushed && commit.is_some(),
            pull_request_url: self.plan.pull_request_url.clone(),
            commit,
        }
    }
}

/// Makes the folder of a run's repositories, in place of one of an earlier attempt.
fn fresh(folder: &Path) -> Result<PathBuf, Error> {
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::disk(format!("clear {}", folder.display()))(error)),
    }
    mirror::make(folder)?;
    Ok(folder.to_owned())
}

/// Makes the bare repository that holds only what passed a bundle. It knows the commit that all began from, so that git
/// need not look further back to see that what comes is whole.
pub(super) fn make_clean(folder: &Path, mirror: &Path, origin: &str) -> Result<(), Error> {
    if folder.join("HEAD").exists() {
        return Ok(());
    }
    objects::make_repository(folder, Some(mirror))?;
    fs::write(folder.join("packed-refs"), format!("{origin} refs/conductor/origin\n"))
        .map_err(Error::disk("make a clean repository"))
}

//! What a run changed in the submodules of its checkout: told with everything else, and pushed nowhere.
//!
//! A submodule is looked at as the whole checkout is, with a repository of Conductor's own and never with the one that lies
//! in the work folder. Its changes stand in the patch under the path that they have there; a commit that only the run has is
//! not named by what is pushed, because no server could give it to anybody.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd as _;

use super::collect::{Collected, Difference, describe};
use super::program::{Error, Git, Step};
use super::snapshot::{self, Snapshot, Source};
use super::submodules::{is_folder, own_of};
use super::tree::{Place, Tree};

impl Tree {
    /// Whether a path is one of a submodule that was checked out.
    pub(super) fn has_module(&self, path: &str) -> bool {
        self.plan.modules.iter().any(|module| module.path == path)
    }

    /// Describes what the run changed in its submodules.
    pub(super) fn collect_modules(
        &self,
        git: &Git<'_>,
        place: &Place<'_>,
        collected: &mut Collected,
    ) -> Result<(), Error> {
        for (number, module) in self.plan.modules.iter().enumerate() {
            let path = &module.path;
            if !is_folder(&place.work_path, path) {
                collected.note(&format!("{path} (a submodule that is no folder any more)"));
                collected.changed_submodules = true;
                continue;
            }
            let work_path = place.work_path.join(path);
            let work = File::open(&work_path).map_err(Error::disk("open a submodule"))?;
            let inner = Place { work: work.as_fd(), work_path: work_path.clone(), ..place.clone() };
            let own = own_of(&self.folder, number);
            let source = Source {
                scratch: own.parent().expect("it lies in a folder").to_owned(),
                own,
                mirror: module.repository(&self.mirrors),
                base: module.commit.clone(),
                root: module.commit.clone(),
                title: self.plan.title.clone(),
                lfs: self.plan.workspace.lfs,
            };
            let Snapshot { commit, objects, left_out } =
                snapshot::take(git, &inner, &source, |_| Ok(Vec::new()))?;
            for line in left_out.iter().filter(|line| !self.has_module(&format!("{path}/{}", line.path))) {
                collected.note(&format!("{path}/{} ({})", line.path, line.why));
            }
            let Some(commit) = commit else { continue };
            collected.changed_submodules = true;
            let difference = Difference {
                repository: &source.own,
                below: &format!("{path}/"),
                objects: objects.as_ref(),
                base: &source.base,
                commit: &commit,
            };
            describe(git, &difference, collected)?;
        }
        Ok(())
    }

    /// Lets the index name for each submodule what a server has, and gives what it named instead.
    pub(super) fn keep_modules_known(
        &self,
        git: &Git<'_>,
        index: impl Fn(&[&str]) -> Result<String, Error>,
    ) -> Result<Vec<snapshot::LeftOut>, Error> {
        let mut left_out = Vec::new();
        for module in &self.plan.modules {
            let listed = index(&["ls-files", "--stage", "--", &module.path])?;
            let mut fields = listed.split_whitespace();
            // One that lies in another is named by that one.
            let (Some("160000"), Some(commit)) = (fields.next(), fields.next()) else { continue };
            if commit == module.commit {
                continue;
            }
            let mirror = module.repository(&self.mirrors);
            let object = format!("{commit}^{{commit}}");
            if git.ask(&Step::new(&mirror, &["cat-file", "-e", &object]))?.code != Some(0) {
                let entry = format!("160000,{},{}", module.commit, module.path);
                index(&["update-index", "--cacheinfo", &entry])?;
                let why = "a commit of a submodule that no server has".to_owned();
                left_out.push(snapshot::LeftOut { path: module.path.clone(), why });
            }
        }
        Ok(left_out)
    }
}

/// The variable by which git finds what a run committed.
pub(super) fn found_in(objects: Option<&OsString>) -> Option<(&'static str, OsString)> {
    objects.map(|path| ("GIT_ALTERNATE_OBJECT_DIRECTORIES", path.clone()))
}

//! The checkout: a work folder, the task's repository in it and Conductor's own beside it, both borrowing the mirror.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::large;
use super::mirror::Start;
use super::objects;
use super::plan::Plan;
use super::program::{Error, Git, Step, arg};
use super::spare;
use super::task_config::quoted;
use super::tree::{Place, make_clean};

/// Checks the start out, into the folder of a spare checkout where there is one; whoever had the work folder open opens it
/// again. The task's own repository comes last: until then nothing of the tree is read as one.
pub(super) fn checkout(
    git: &Git<'_>,
    place: &Place<'_>,
    folder: &Path,
    mirror: &Path,
    start: &Start,
    plan: &Plan,
) -> Result<(), Error> {
    let own = folder.join("own.git");
    objects::make_repository(&own, Some(mirror))?;
    let beside = mirror.parent().expect("a mirror lies in a folder of its own");
    let has_spare = spare::take(git, beside, &folder.join("spare"), &place.work_path, &own.join("index"))?;
    if !(has_spare && is_checked_out(git, place, &own, &start.commit)?) {
        let mut step = Step::new(&own, &["read-tree", "--reset", "-u", &start.commit]);
        step.work_tree = Some(&place.work_path);
        git.run(&step)?;
    }
    if plan.workspace.lfs {
        large::fill(git, &place.work_path, &own, mirror, &plan.workspace.url)?;
    }
    let theirs = place.work_path.join(".git");
    let head = format!("ref: refs/heads/{}\n", plan.branch);
    let index = match start.head == start.commit {
        true => own.join("index"),
        false => index_of_head(git, place, folder, &own, &start.head)?,
    };
    let config = config(git, &plan.workspace.url, plan.workspace.lfs.then_some(mirror))?;
    objects::make_for_task(&theirs, &config, &head, mirror)?;
    let disk = || Error::disk("make the repository of a task");
    fs::write(theirs.join("packed-refs"), packed_refs(start, plan)).map_err(disk())?;
    fs::copy(index, theirs.join("index")).map_err(disk())?;
    Ok(())
}

/// Takes away what a spare checkout has beside its files, and says whether these are as the commit has them, by the index
/// and their times. Both take two thirds of what a checkout takes that comes to the same.
fn is_checked_out(git: &Git<'_>, place: &Place<'_>, own: &Path, commit: &str) -> Result<bool, Error> {
    let step = |args: &[&str]| {
        let mut step = Step::new(own, args);
        step.work_tree = Some(&place.work_path);
        step
    };
    git.run(&step(&["clean", "-ffdxq"]))?;
    let differs = git.ask(&step(&["diff-index", "--quiet", "--ignore-submodules=all", commit, "--"]))?;
    Ok(differs.code == Some(0))
}

/// Makes the index of a task that finds what somebody had not committed, so that git calls it that.
fn index_of_head(
    git: &Git<'_>,
    place: &Place<'_>,
    folder: &Path,
    own: &Path,
    head: &str,
) -> Result<PathBuf, Error> {
    let index = folder.join("their-index");
    fs::copy(own.join("index"), &index).map_err(Error::disk("make the index of a task"))?;
    let mut step = Step::new(own, &["read-tree", "-i", "-m", head]);
    step.work_tree = Some(&place.work_path);
    step.env = vec![("GIT_INDEX_FILE", index.clone().into())];
    git.run(&step)?;
    Ok(index)
}

/// Makes Conductor's own repository for work that was copied from another run.
pub(super) fn take_over(
    git: &Git<'_>,
    place: &Place<'_>,
    old: &Path,
    folder: &Path,
    mirror: &Path,
    plan: &Plan,
) -> Result<(), Error> {
    let (own, clean) = (folder.join("own.git"), folder.join("clean.git"));
    objects::make_repository(&own, Some(mirror))?;
    make_clean(&clean, mirror, &plan.origin)?;
    let packs = old.join("clean.git/objects/pack");
    for entry in fs::read_dir(&packs).into_iter().flatten().flatten() {
        for to in [&own, &clean] {
            let to = to.join("objects/pack").join(entry.file_name());
            fs::copy(entry.path(), to).map_err(Error::disk("copy the commits of a run"))?;
        }
    }
    large::take_over(&old.join("own.git"), &own)?;
    if let Some(tip) = &plan.tip {
        let name = format!("refs/heads/{}", plan.branch);
        git.run(&Step::new(&clean, &["update-ref", &name, tip]))?;
    }
    let mut step = Step::new(&own, &["read-tree", &plan.base]);
    step.work_tree = Some(&place.work_path);
    git.run(&step)?;
    Ok(())
}

/// What the repository of a task says of itself; of large files where it may borrow those of a mirror.
pub(super) fn config(git: &Git<'_>, url: &str, large: Option<&Path>) -> Result<String, Error> {
    let author = &git.settings.config;
    let remote = match url.is_empty() {
        true => String::new(),
        false => format!(
            "[remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
            quoted(url)
        ),
    };
    let large = large.map(large::config_of_task).transpose()?.unwrap_or_default();
    Ok(format!(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\
         {remote}[user]\n\tname = {}\n\temail = {}\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n{large}",
        quoted(&author.author_name),
        quoted(&author.author_email)
    ))
}

/// The task's branch, and those and the tags of the repository as a clone has them. One that was sent has its branches.
fn packed_refs(start: &Start, plan: &Plan) -> String {
    let mut refs = BTreeMap::new();
    let own = format!("refs/heads/{}", plan.branch);
    for (name, commit) in &start.refs {
        match name.strip_prefix("refs/heads/") {
            Some(branch) if !plan.was_sent() => refs.insert(format!("refs/remotes/origin/{branch}"), commit),
            // A branch below whose name another lies cannot be.
            Some(_) if own.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')) => None,
            Some(_) | None => refs.insert(name.clone(), commit),
        };
    }
    refs.insert(own, &start.head);
    refs.into_iter().map(|(name, commit)| format!("{commit} {name}\n")).collect()
}

/// Brings commits from a bundle into a repository, which takes nothing that is not whole.
pub(super) fn unbundle(git: &Git<'_>, repository: &Path, bundle: &Path, branch: &str) -> Result<(), Error> {
    let spec = format!("+refs/heads/{branch}:refs/heads/{branch}");
    let mut step = Step::new(
        repository,
        &["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--"],
    );
    step.args.extend([arg(bundle), spec.into()]);
    step.config = vec![
        ("protocol.file.allow".into(), "always".into()),
        ("fetch.fsckObjects".into(), "true".into()),
        ("fetch.unpackLimit".into(), "1".into()),
    ];
    git.run(&step).map(drop)
}

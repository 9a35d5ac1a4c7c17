//! The fields of a repository: where the work begins, and where it goes.

use conductor_protocol::Code;
use conductor_protocol::submit::{GitWorkspace, PullRequest, Push, Workspace};
use conductor_web::Refusal;

use crate::params::Params;

/// What becomes of the changes, as the form says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Goal {
    /// They stay with the run.
    #[default]
    Keep,
    /// A branch is pushed.
    Branch,
    /// A draft pull request is opened.
    Draft,
    /// A pull request is opened.
    Request,
}

impl Goal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Keep, Self::Branch, Self::Draft, Self::Request];

    /// The word in the form.
    pub fn key(self) -> &'static str {
        match self {
            Self::Keep => "",
            Self::Branch => "branch",
            Self::Draft => "draft",
            Self::Request => "request",
        }
    }

    fn of(git: &GitWorkspace) -> Self {
        match &git.pull_request {
            Some(request) if request.draft == Some(false) => Self::Request,
            Some(_) => Self::Draft,
            None if git.is_pushed() => Self::Branch,
            None => Self::Keep,
        }
    }
}

/// What stands in the fields.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    pub url: String,
    pub reference: String,
    pub depth: String,
    pub submodules: bool,
    pub lfs: bool,
    pub goal: Goal,
    pub branch: String,
    pub title: String,
    pub base: String,
}

impl Repository {
    /// What was typed.
    pub fn of_params(params: &Params) -> Self {
        let text = |name: &str| params.text(name).to_owned();
        let goal = params.text("git_push");
        Self {
            url: text("git_url"),
            reference: text("git_ref"),
            depth: text("git_depth"),
            submodules: params.has("git_submodules"),
            lfs: params.has("git_lfs"),
            goal: Goal::ALL.into_iter().find(|it| it.key() == goal).unwrap_or_default(),
            branch: text("git_branch"),
            title: text("pr_title"),
            base: text("pr_base"),
        }
    }

    /// What a task began with.
    pub fn of_workspace(workspace: Option<&Workspace>) -> Self {
        let git = match workspace {
            Some(Workspace::Git(git)) => git,
            Some(Workspace::Copy(_) | Workspace::Continue(_) | Workspace::Push(_)) | None => {
                return Self::default();
            }
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let request = git.pull_request.clone().unwrap_or_default();
        Self {
            url: git.url.clone(),
            reference: text(&git.reference),
            depth: git.depth.map(|depth| depth.to_string()).unwrap_or_default(),
            submodules: git.submodules,
            lfs: git.lfs,
            goal: Goal::of(git),
            branch: text(&git.branch),
            title: text(&request.title),
            base: text(&request.base),
        }
    }

    /// Whether any of the fields is used.
    pub fn is_used(&self) -> bool {
        !self.url.is_empty()
    }
}

/// The repository that a form names. What does not apply to what becomes of the changes is not shown there, and not taken.
///
/// # Errors
/// Names the field that is not valid.
pub fn workspace(params: &Params) -> Result<Option<Workspace>, Refusal> {
    let Some(url) = params.get("git_url") else { return Ok(None) };
    let text = |name: &str| params.get(name).map(str::to_owned);
    let goal = match params.get("git_push") {
        None => Goal::Keep,
        Some(key) => Goal::ALL
            .into_iter()
            .find(|goal| goal.key() == key)
            .ok_or_else(|| Refusal::new(Code::InvalidRequest, "git_push is not valid"))?,
    };
    let request = |draft: Option<bool>| PullRequest { title: text("pr_title"), base: text("pr_base"), draft };
    Ok(Some(Workspace::Git(Box::new(GitWorkspace {
        url: url.to_owned(),
        reference: text("git_ref"),
        depth: params.parsed("git_depth")?,
        submodules: params.has("git_submodules"),
        lfs: params.has("git_lfs"),
        push: (goal == Goal::Branch).then_some(Push::Branch),
        branch: text("git_branch").filter(|_| goal != Goal::Keep),
        pull_request: match goal {
            Goal::Keep | Goal::Branch => None,
            Goal::Draft => Some(request(None)),
            Goal::Request => Some(request(Some(false))),
        },
    }))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "git_url=https://git.example/a.git";

    fn git(form: &str) -> Option<GitWorkspace> {
        match workspace(&Params::parse(form.as_bytes())).unwrap() {
            Some(Workspace::Git(git)) => Some(*git),
            Some(_) | None => None,
        }
    }

    #[test]
    fn what_is_typed_is_the_repository_and_is_cloned_back() {
        assert_eq!(git("git_ref=main&git_push=branch"), None, "no address, no repository");
        for (form, goal) in [
            ("git_ref=v1&git_depth=5&git_submodules=true", Goal::Keep),
            ("git_lfs=true", Goal::Keep),
            ("git_push=branch&git_branch=fix/{id}", Goal::Branch),
            ("git_push=draft&pr_title=Fix&pr_base=main", Goal::Draft),
            ("git_push=request&pr_base=main&git_branch=x", Goal::Request),
        ] {
            let made = git(&format!("{URL}&{form}")).unwrap();
            assert_eq!(Goal::of(&made), goal, "{form}");
            assert!(made.faults().is_empty(), "{form}");
            let shown = Repository::of_workspace(Some(&Workspace::Git(Box::new(made))));
            let typed = Repository::of_params(&Params::parse(format!("{URL}&{form}").as_bytes()));
            assert_eq!(format!("{shown:?}"), format!("{typed:?}"));
        }
    }

    #[test]
    fn what_the_form_hides_is_not_sent() {
        let made = git(&format!("{URL}&git_branch=x&pr_title=t&pr_base=b")).unwrap();
        assert_eq!((made.branch, made.pull_request), (None, None));
        let made = git(&format!("{URL}&git_push=branch&pr_title=t")).unwrap();
        assert_eq!((made.push, made.pull_request), (Some(Push::Branch), None));
        let bad = format!("{URL}&git_push=everywhere");
        assert!(workspace(&Params::parse(bad.as_bytes())).is_err());
    }
}

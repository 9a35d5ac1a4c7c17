//! A git repository as what a task starts from and where its work goes.

use serde::{Deserialize, Serialize};

use crate::limits;

/// The longest name of a branch, a tag or another ref.
const MAX_REF_BYTES: usize = 200;
/// What a branch is called where the task does not say; `{id}` stands for the task's id.
const DEFAULT_BRANCH: &str = "conductor/{id}";

/// A git repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitWorkspace {
    /// Where it is: `https://`, `ssh://` or `user@host:path`.
    pub url: String,
    /// A branch, a tag, a full name below `refs/`, or a whole commit id; unset, what the repository calls its head.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// How many commits of history are fetched; unset, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    /// Whether submodules are checked out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub submodules: bool,
    /// Whether large files are fetched, those of git-lfs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lfs: bool,
    /// What becomes of the changes; unset, they stay with the run, or are pushed where a pull request is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Push>,
    /// The branch that is made; `{id}` stands for the task's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The pull request that is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,
}

/// What becomes of the changes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    /// They stay with the run, as a diff and as commits.
    None,
    /// They are pushed to a branch of their own.
    Branch,
}

/// A pull request that is opened after the push.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullRequest {
    /// Its title; unset, the task's name or the first words of its prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The branch that it asks to be merged into; unset, the branch that the task started from, or the repository's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Whether it is a draft; unset, it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<bool>,
}

impl GitWorkspace {
    /// Whether the changes are pushed.
    #[must_use]
    pub fn is_pushed(&self) -> bool {
        match self.push {
            Some(Push::Branch) => true,
            Some(Push::None) => false,
            None => self.pull_request.is_some(),
        }
    }

    /// The branch of a task with this id.
    #[must_use]
    pub fn branch_of(&self, task: &str) -> String {
        self.branch.as_deref().unwrap_or(DEFAULT_BRANCH).replace("{id}", task)
    }

    /// Whether the branch is the task's alone, since its id is in the name.
    #[must_use]
    pub fn has_own_branch(&self) -> bool {
        self.branch.as_deref().unwrap_or(DEFAULT_BRANCH).contains("{id}")
    }

    /// What is wrong, by field.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut add =
            |field, detail: Result<(), String>| faults.extend(detail.err().map(|detail| (field, detail)));
        add("url", check_url(&self.url));
        if let Some(reference) = &self.reference {
            add("ref", check_ref(reference));
        }
        if self.depth == Some(0) {
            add("depth", Err("at least 1; leave it out for the whole history".to_owned()));
        }
        if self.lfs && !self.url.starts_with("https://") {
            add("lfs", Err("large files are fetched over https alone; give an https:// address".to_owned()));
        }
        if let Some(branch) = &self.branch {
            add("branch", check_ref(&branch.replace("{id}", "id")));
        }
        if let Some(request) = &self.pull_request {
            if self.push == Some(Push::None) {
                add("pull_request", Err("a pull request needs a pushed branch, and push is none".to_owned()));
            }
            if let Some(base) = &request.base {
                add("pull_request/base", check_ref(base));
            }
            if let Some(title) = &request.title {
                add("pull_request/title", check_title(title));
            }
        }
        faults
    }
}

fn check_title(title: &str) -> Result<(), String> {
    if title.trim().is_empty() || title.chars().count() > limits::MAX_TITLE_CHARS {
        return Err(format!("from 1 to {} characters", limits::MAX_TITLE_CHARS));
    }
    if title.chars().any(char::is_control) {
        return Err("may not hold control characters".to_owned());
    }
    Ok(())
}

/// Checks the form of an address; whether it may be reached is the agent's to say.
fn check_url(url: &str) -> Result<(), String> {
    const FORMS: &str = "give https://host/path, ssh://user@host/path or user@host:path";
    if url.len() > limits::MAX_URL_BYTES {
        return Err(format!("at most {} bytes", limits::MAX_URL_BYTES));
    }
    if url.chars().any(|char| char.is_control() || char.is_whitespace()) || url.starts_with('-') {
        return Err(format!("not an address of a repository; {FORMS}"));
    }
    let Ok(parsed) = url::Url::parse(url) else {
        return match url.split_once(':') {
            Some((host, path)) if !host.contains('/') && host.contains('@') && !path.is_empty() => Ok(()),
            Some(_) | None => Err(format!("not an address of a repository; {FORMS}")),
        };
    };
    if parsed.password().is_some() || (parsed.scheme() == "https" && !parsed.username().is_empty()) {
        return Err("may hold no user and no password; git.credentials holds them".to_owned());
    }
    match parsed.scheme() {
        "https" | "ssh" if parsed.has_host() && parsed.path().len() > 1 => Ok(()),
        "file" if parsed.path().len() > 1 => Ok(()),
        scheme => Err(format!("{scheme}:// is not fetched; {FORMS}")),
    }
}

/// Checks the name of a branch, a tag or another ref, or a commit id, as `git check-ref-format` has it.
fn check_ref(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_REF_BYTES {
        return Err(format!("from 1 to {MAX_REF_BYTES} bytes"));
    }
    let bad_char = |char: char| char.is_control() || " ~^:?*[\\".contains(char);
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    let bad = name.starts_with('-')
        || name.ends_with('.')
        || name.contains("..")
        || name.contains("@{")
        || name == "@"
        || name.contains(bad_char)
        || name.split('/').any(bad_part);
    if bad { Err(format!("{name:?} is no name of a branch, a tag or a commit")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(git: &GitWorkspace) -> Vec<&'static str> {
        git.faults().into_iter().map(|(field, _)| field).collect()
    }

    fn at(url: &str) -> GitWorkspace {
        GitWorkspace { url: url.to_owned(), ..GitWorkspace::default() }
    }

    #[test]
    fn a_repository_is_reached_by_https_and_ssh() {
        for good in
            ["https://git.example/a/b.git", "ssh://git@git.example:2222/a.git", "git@git.example:a/b.git"]
        {
            assert_eq!(fields(&at(good)), [""; 0], "{good}");
        }
        for bad in [
            "",
            "git.example/a",
            "http://git.example/a",
            "git://git.example/a",
            "ext::sh -c id",
            "ext::sh",
            "https://token@git.example/a",
            "https://git.example/",
            "-oProxyCommand=x@host:path",
            "git@host:",
            "/etc/passwd",
            "../up",
        ] {
            assert_eq!(fields(&at(bad)), ["url"], "{bad}");
        }
    }

    #[test]
    fn a_ref_can_be_no_option_and_no_expression() {
        for good in ["main", "feature/x-1", "v1.0", "refs/pull/7/head", "größe", &"a".repeat(40)] {
            assert!(check_ref(good).is_ok(), "{good}");
        }
        for bad in [
            "", "-x", "a..b", "a b", "a~1", "a^", "x:y", "a.lock", ".a", "a//b", "a/", "@", "a@{1}", "a\\b",
            "a\n",
        ] {
            assert!(check_ref(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_branch_is_the_tasks_own_where_its_id_is_in_it() {
        let git = at("https://git.example/a.git");
        assert_eq!((git.branch_of("7"), git.has_own_branch()), ("conductor/7".to_owned(), true));
        let named = GitWorkspace { branch: Some("fix".into()), ..git.clone() };
        assert_eq!((named.branch_of("7"), named.has_own_branch()), ("fix".to_owned(), false));
        let bad = GitWorkspace { branch: Some("a b/{id}".into()), ..git };
        assert_eq!(fields(&bad), ["branch"]);
    }

    #[test]
    fn large_files_are_fetched_over_https_alone() {
        for (url, faults) in [("https://git.example/a.git", &[][..]), ("git@git.example:a.git", &["lfs"])] {
            assert_eq!(fields(&GitWorkspace { lfs: true, ..at(url) }), faults, "{url}");
        }
    }

    #[test]
    fn a_pull_request_is_pushed_unless_the_task_says_otherwise() {
        let asked =
            GitWorkspace { pull_request: Some(PullRequest::default()), ..at("https://git.example/a.git") };
        assert!(asked.is_pushed() && asked.faults().is_empty());
        let held = GitWorkspace { push: Some(Push::None), ..asked };
        assert!(!held.is_pushed());
        assert_eq!(fields(&held), ["pull_request"]);
    }
}

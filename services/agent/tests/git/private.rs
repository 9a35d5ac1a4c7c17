//! A private repository on a server that asks for a token, over HTTPS with a certificate of its own.

use std::fs;
use std::path::Path;

use conductor_agent::runner::{FailureReason, StartsFrom};
use conductor_protocol::submit::{GitWorkspace, PullRequest};
use conductor_testkit::git_server::GitServer;

use crate::place::{Place, Repository, failed, git, script, succeeded};

pub const TOKEN: &str = "ghp_0123456789secretsecret";

/// A server with one private repository, and an agent that has its token in its environment.
pub struct Forge {
    pub server: GitServer,
    pub root: tempfile::TempDir,
    pub authorities: tempfile::NamedTempFile,
    path: &'static str,
}

impl Forge {
    pub fn new() -> Self {
        Self::with("me/app")
    }

    /// One whose repository has this path.
    fn with(path: &'static str) -> Self {
        let (root, source) = (tempfile::tempdir().unwrap(), Repository::with(&[("a.txt", "one\n")]));
        let bare = root.path().join(format!("{path}.git"));
        let (from, to) = (source.folder.path().to_str().unwrap(), bare.to_str().unwrap());
        git(root.path(), &["clone", "--quiet", "--bare", from, to]);
        git(&bare, &["config", "http.receivepack", "true"]);
        let server = GitServer::start(root.path(), TOKEN);
        let authorities = tempfile::NamedTempFile::new().unwrap();
        fs::write(authorities.path(), server.certificate()).unwrap();
        Self { server, root, authorities, path }
    }

    pub fn place(&self, credential: &str) -> Place {
        self.place_with(credential, |_| {})
    }

    /// One whose configuration has something more.
    pub fn place_with(
        &self,
        credential: &str,
        change: impl FnOnce(&mut conductor_runtime::config::Git),
    ) -> Place {
        let credential = credential.replace("HOST", &self.server.host());
        let credential = (!credential.is_empty()).then(|| serde_json::from_str(&credential).unwrap());
        let environment = [("FORGE_TOKEN".into(), TOKEN.into())];
        Place::new(2, |settings| {
            let mut config = settings.config.clone();
            config.ca_file = Some(self.authorities.path().to_owned());
            config.allow_private = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
            config.credentials = credential.into_iter().collect();
            change(&mut config);
            *settings = conductor_agent::git::Settings::new(config, &environment, "/nonexistent".into());
        })
    }

    pub fn workspace(&self) -> GitWorkspace {
        GitWorkspace { url: self.server.url(self.path), ..GitWorkspace::default() }
    }

    fn with_pull_request(&self) -> GitWorkspace {
        GitWorkspace { pull_request: Some(PullRequest::default()), ..self.workspace() }
    }

    pub fn bare(&self) -> std::path::PathBuf {
        self.root.path().join(format!("{}.git", self.path))
    }
}

pub const KNOWN: &str = r#"{"host":"HOST","token_env":"FORGE_TOKEN","forge":"github"}"#;

pub fn holds(folder: &Path, text: &str) -> Option<String> {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        let found = match (kind.is_dir(), kind.is_file()) {
            (true, _) => holds(&entry.path(), text),
            (_, true) => fs::read(entry.path())
                .unwrap()
                .windows(text.len())
                .any(|window| window == text.as_bytes())
                .then(|| entry.path().display().to_string()),
            (false, false) => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[test]
fn a_private_repository_is_worked_on_and_ends_as_a_draft_pull_request_without_its_token_being_seen() {
    let forge = Forge::new();
    let mut place = forge.place(KNOWN);
    let mut attempt = script(
        forge.with_pull_request(),
        "env; cat /proc/$PPID/environ | tr '\\0' '\\n'; git config --list; git credential fill < /dev/null; \
         git ls-remote origin && echo reached; echo two > a.txt",
    );
    attempt.verify = Some(["sh", "-c", "env; grep two a.txt"].map(str::to_owned).to_vec());
    let outcome = place.run(&attempt);
    let told = succeeded(&outcome);
    assert!(forge.server.refused() > 0, "the server refuses who shows nothing");
    assert_eq!((told.pushed, outcome.verified), (true, Some(true)));
    assert_eq!(told.pull_request_url.as_deref(), Some("https://forge.example/me/app/pull/1"));
    let branch = format!("conductor/{}", attempt.task_id);
    assert_eq!(git(&forge.bare(), &["show", &format!("{branch}:a.txt")]), "two");
    let opened = forge.server.pull_requests();
    assert_eq!(opened.len(), 1);
    assert_eq!((&opened[0]["draft"], &opened[0]["title"]), (&true.into(), &"Change things".into()));
    assert_eq!((&opened[0]["head"]["ref"], &opened[0]["base"]["ref"]), (&branch.into(), &"main".into()));
    // What the task printed holds the environment of its own and of its keeper, and what git told it.
    let output = place.output(&attempt);
    assert!(output.contains("HOME=") && !output.contains("reached"), "{output}");
    assert_eq!(holds(place.folder.path(), TOKEN), None, "the token is in a file");
    assert!(!format!("{outcome:?}").contains(TOKEN));
}

#[test]
fn without_a_token_or_with_a_wrong_one_a_private_repository_is_refused_in_gits_words() {
    let forge = Forge::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "ghp_wrongwrongwrong").unwrap();
    let wrong = format!(r#"{{"host":"HOST","token_file":"{}"}}"#, file.path().display());
    for credential in ["", wrong.as_str()] {
        let mut place = forge.place(credential);
        let outcome = place.run(&script(forge.workspace(), "true"));
        let (reason, message) = failed(&outcome);
        assert_eq!(reason, FailureReason::InvalidWorkspace);
        assert!(message.contains("Authentication failed"), "{message}");
        assert!(!message.contains("ghp_wrong"), "{message}");
    }
    let mut place = forge.place(r#"{"host":"HOST","token_env":"ABSENT"}"#);
    let outcome = place.run(&script(forge.workspace(), "true"));
    assert!(failed(&outcome).1.contains("the agent has no variable ABSENT"));
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let forge = Forge::new();
    let mut place = Place::new(1, |settings| {
        settings.config.allow_private = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    });
    let outcome = place.run(&script(forge.workspace(), "true"));
    let (reason, message) = failed(&outcome);
    assert_eq!(reason, FailureReason::InvalidWorkspace);
    assert!(message.to_lowercase().contains("certificate"), "{message}");
    assert_eq!(forge.server.refused(), 0, "nothing was asked");
}

#[test]
fn a_pull_request_that_cannot_be_opened_at_once_is_tried_again_and_one_that_is_open_is_found() {
    let forge = Forge::new();
    let mut place = forge.place(KNOWN);
    forge.server.fail_next(1);
    let first = script(forge.with_pull_request(), "echo two > a.txt");
    let outcome = place.run(&first);
    assert_eq!(succeeded(&outcome).pull_request_url.as_deref(), Some("https://forge.example/me/app/pull/1"));
    // What goes on from it pushes to the same branch, of which there is a pull request already.
    let mut second = script(forge.with_pull_request(), "echo three > a.txt");
    second.git.workspace = None;
    second.starts_from = Some(StartsFrom::Task(first.task_id));
    let outcome = place.run(&second);
    assert_eq!(succeeded(&outcome).pull_request_url.as_deref(), Some("https://forge.example/me/app/pull/1"));
    assert_eq!(forge.server.pull_requests().len(), 1);
}

#[test]
fn a_host_whose_forge_is_not_known_is_named() {
    let forge = Forge::new();
    let mut place = forge.place(r#"{"host":"HOST","token_env":"FORGE_TOKEN"}"#);
    let outcome = place.run(&script(forge.with_pull_request(), "echo two > a.txt"));
    let (reason, message) = failed(&outcome);
    assert_eq!(reason, FailureReason::PushFailed);
    assert!(message.contains("what serves the pull requests"), "{message}");
    assert!(outcome.git.as_ref().unwrap().pushed, "the branch is there all the same");
}

/// A forge, the path of a repository on it, and what a draft looks like there.
struct Words {
    forge: &'static str,
    path: &'static str,
    title: &'static str,
    branches: fn(&serde_json::Value) -> (serde_json::Value, serde_json::Value),
    url: &'static str,
}

const FORGES: [Words; 3] = [
    Words {
        forge: "github",
        path: "me/app",
        title: "Change things",
        branches: |opened| (opened["head"]["ref"].clone(), opened["base"]["ref"].clone()),
        url: "https://forge.example/me/app/pull/1",
    },
    Words {
        forge: "gitlab",
        path: "group/sub/app",
        title: "Draft: Change things",
        branches: |opened| (opened["source_branch"].clone(), opened["target_branch"].clone()),
        url: "https://forge.example/group/sub/app/-/merge_requests/1",
    },
    Words {
        forge: "gitea",
        path: "me/app",
        title: "WIP: Change things",
        branches: |opened| (opened["head"]["ref"].clone(), opened["base"]["ref"].clone()),
        url: "https://forge.example/me/app/pulls/1",
    },
];

#[test]
fn each_forge_gets_a_branch_and_a_draft_and_one_that_is_open_is_found_again() {
    for words in FORGES {
        let forge = Forge::with(words.path);
        let mut place = forge.place(&KNOWN.replace("github", words.forge));
        forge.server.fail_next(1);
        let first = script(forge.with_pull_request(), "echo two > a.txt");
        let outcome = place.run(&first);
        let told = succeeded(&outcome);
        assert_eq!(
            (told.pushed, told.pull_request_url.as_deref()),
            (true, Some(words.url)),
            "{}",
            words.forge
        );
        let branch = format!("conductor/{}", first.task_id);
        assert_eq!(git(&forge.bare(), &["show", &format!("{branch}:a.txt")]), "two");
        let opened = forge.server.pull_requests();
        assert_eq!((&opened[0]["title"], &opened[0]["draft"]), (&words.title.into(), &true.into()));
        assert_eq!((words.branches)(&opened[0]), (branch.clone().into(), "main".into()));
        let mut second = script(forge.with_pull_request(), "echo three > a.txt");
        second.git.workspace = None;
        second.starts_from = Some(StartsFrom::Task(first.task_id));
        let outcome = place.run(&second);
        assert_eq!(succeeded(&outcome).pull_request_url.as_deref(), Some(words.url), "{}", words.forge);
        assert_eq!(forge.server.pull_requests().len(), 1);
        assert_eq!(git(&forge.bare(), &["show", &format!("{branch}:a.txt")]), "three");
        assert_eq!(holds(place.folder.path(), TOKEN), None, "the token is in a file");
    }
}

#[test]
fn a_pull_request_that_a_forge_refused_is_opened_later_without_running_anything_again() {
    for words in FORGES {
        let forge = Forge::with(words.path);
        let mut place = forge.place(&KNOWN.replace("github", words.forge));
        forge.server.refuse_next(1);
        let runs = place.folder.path().join("runs");
        let mut first = script(forge.with_pull_request(), "echo ran >> \"$RUNS\"; echo two > a.txt");
        first.env = vec![("RUNS".into(), runs.display().to_string())];
        let outcome = place.run(&first);
        let (reason, message) = failed(&outcome);
        assert_eq!(reason, FailureReason::PushFailed);
        assert!(message.contains("403") && message.contains("not accessible"), "{message}");
        assert!(outcome.git.as_ref().unwrap().pushed, "the branch is there");
        assert!(forge.server.pull_requests().is_empty());
        let mut again = first.clone();
        again.task_id = uuid::Uuid::now_v7();
        again.starts_from = Some(StartsFrom::Task(first.task_id));
        again.git.workspace = None;
        again.git.push_only = true;
        let outcome = place.run(&again);
        let told = succeeded(&outcome);
        assert_eq!(
            (told.pushed, told.pull_request_url.as_deref()),
            (true, Some(words.url)),
            "{}",
            words.forge
        );
        assert_eq!(told.branch.as_deref(), Some(format!("conductor/{}", first.task_id).as_str()));
        assert!(place.diff(&again).contains("-one\n+two\n"), "{}", words.forge);
        assert_eq!(
            (words.branches)(&forge.server.pull_requests()[0]).0,
            format!("conductor/{}", first.task_id)
        );
        assert_eq!(fs::read_to_string(runs).unwrap(), "ran\n");
    }
}

//! The parts of three APIs that open pull requests, each in its own words.

use std::process::Command;
use std::sync::PoisonError;

use serde_json::{Value, json};

use super::{Answer, Request, Shared, takes_one};

/// Whose words are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forge {
    Github,
    Gitlab,
    Gitea,
}

/// What is asked of a repository.
struct Asked {
    forge: Forge,
    repository: String,
    /// Whether it is about its pull requests, and not about itself.
    of_requests: bool,
}

/// Answers what is asked of the APIs; none when it is no call of them.
pub(super) fn answer(shared: &Shared, request: &Request) -> Option<Answer> {
    let asked = asked(&request.path)?;
    if shared.fails_now() {
        return Some(Answer::json("502 Bad Gateway", &json!({"message": "come back later"})));
    }
    if takes_one(&shared.refusing) {
        let words = json!({"message": "Resource not accessible by personal access token"});
        return Some(Answer::json("403 Forbidden", &words));
    }
    Some(match (request.method.as_str(), asked.of_requests) {
        ("GET", false) => {
            Answer::json("200 OK", &json!({"path": asked.repository, "default_branch": "main"}))
        }
        ("GET", true) => listed(shared, request, asked.forge),
        ("POST", true) => opened(shared, request, &asked),
        _ => Answer::json("404 Not Found", &json!({"message": "Not Found"})),
    })
}

fn asked(path: &str) -> Option<Asked> {
    let (forge, rest) = [
        (Forge::Github, "/api/v3/repos/"),
        (Forge::Gitlab, "/api/v4/projects/"),
        (Forge::Gitea, "/api/v1/repos/"),
    ]
    .into_iter()
    .find_map(|(forge, prefix)| Some((forge, path.strip_prefix(prefix)?)))?;
    let below = if forge == Forge::Gitlab { "/merge_requests" } else { "/pulls" };
    let (repository, of_requests) = match rest.strip_suffix(below) {
        Some(repository) => (repository, true),
        None => (rest, false),
    };
    // GitLab names a project by one segment.
    let repository = match forge {
        Forge::Gitlab if repository.contains('/') => return None,
        Forge::Gitlab => repository.replace("%2F", "/"),
        Forge::Github | Forge::Gitea => repository.to_owned(),
    };
    Some(Asked { forge, repository, of_requests })
}

fn listed(shared: &Shared, request: &Request, forge: Forge) -> Answer {
    let opened = shared.pull_requests.lock().unwrap_or_else(PoisonError::into_inner);
    let of = request.query.split('&').find_map(|pair| pair.strip_prefix("source_branch="));
    let of = of.filter(|_| forge == Forge::Gitlab).map(|branch| branch.replace("%2F", "/"));
    let found =
        opened.iter().filter(|known| of.as_ref().is_none_or(|branch| known["source_branch"] == **branch));
    Answer::json("200 OK", &found.cloned().collect())
}

fn opened(shared: &Shared, request: &Request, asked: &Asked) -> Answer {
    let bad = |status: &str, words: Value| Answer::json(status, &json!({"message": words}));
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return bad("400 Bad Request", json!("Problems parsing JSON"));
    };
    let (from, to) = match asked.forge {
        Forge::Github | Forge::Gitea => ("head", "base"),
        Forge::Gitlab => ("source_branch", "target_branch"),
    };
    let (Some(from), Some(to), Some(title)) =
        (body[from].as_str(), body[to].as_str(), body["title"].as_str())
    else {
        return bad("422 Unprocessable Entity", json!("a branch or the title is missing"));
    };
    if ![from, to].iter().all(|branch| has_branch(shared, &asked.repository, branch)) {
        return bad("422 Unprocessable Entity", json!("there is no such branch"));
    }
    let mut opened = shared.pull_requests.lock().unwrap_or_else(PoisonError::into_inner);
    if opened.iter().any(|known| known["source_branch"] == from || known["head"]["ref"] == from) {
        return match asked.forge {
            Forge::Github => {
                let errors = json!([{"message": "A pull request already exists"}]);
                let words = json!({"message": "Validation Failed", "errors": errors});
                Answer::json("422 Unprocessable Entity", &words)
            }
            Forge::Gitlab => {
                let words = "Another open merge request already exists for this source branch: !1";
                bad("409 Conflict", json!([words]))
            }
            Forge::Gitea => bad("409 Conflict", json!("pull request already exists for these targets")),
        };
    }
    let number = opened.len() + 1;
    let at = format!("https://forge.example/{}", asked.repository);
    let made = match asked.forge {
        Forge::Github => json!({
            "number": number, "title": title, "body": body["body"], "draft": body["draft"],
            "head": {"ref": from}, "base": {"ref": to}, "html_url": format!("{at}/pull/{number}"),
        }),
        Forge::Gitlab => json!({
            "iid": number, "title": title, "description": body["description"],
            "draft": title.starts_with("Draft: "), "source_branch": from, "target_branch": to,
            "web_url": format!("{at}/-/merge_requests/{number}"),
        }),
        Forge::Gitea => json!({
            "number": number, "title": title, "body": body["body"], "draft": title.starts_with("WIP: "),
            "head": {"ref": from}, "base": {"ref": to}, "html_url": format!("{at}/pulls/{number}"),
        }),
    };
    opened.push(made.clone());
    Answer::json("201 Created", &made)
}

fn has_branch(shared: &Shared, repository: &str, branch: &str) -> bool {
    let found = Command::new("git")
        .arg("--git-dir")
        .arg(shared.root.join(format!("{repository}.git")))
        .args(["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")])
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output();
    found.is_ok_and(|output| output.status.success())
}

//! The servers that hold pull requests: what each is asked and how it answers.

use conductor_outbound::Method;
use conductor_runtime::config::{Forge, GitCredential};
use conductor_runtime::credentials::Secret;
use serde_json::{Value, json};
use url::Url;

/// A pull request to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub title: String,
    pub body: String,
    pub branch: String,
    pub base: String,
    pub draft: bool,
}

/// One question over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub method: Method,
    pub url: Url,
    pub body: Option<Value>,
}

/// A repository on a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Project {
    pub forge: Forge,
    /// Ends in a slash.
    pub api: Url,
    /// `owner/name`; GitLab has more parts.
    pub path: String,
}

impl Project {
    /// Finds the forge of a host, by the configuration or by a well-known name.
    pub fn find(host: &str, path: &str, credential: Option<&GitCredential>) -> Option<Self> {
        let forge = credential.and_then(|credential| credential.forge).or(match host {
            "github.com" => Some(Forge::Github),
            "gitlab.com" => Some(Forge::Gitlab),
            "gitea.com" | "codeberg.org" => Some(Forge::Gitea),
            _ => None,
        })?;
        let usual = match (forge, host) {
            (Forge::Github, "github.com") => "https://api.github.com/".to_owned(),
            (Forge::Github, host) => format!("https://{host}/api/v3/"),
            (Forge::Gitlab, host) => format!("https://{host}/api/v4/"),
            (Forge::Gitea, host) => format!("https://{host}/api/v1/"),
        };
        let mut api = match credential.and_then(|credential| credential.api_url.clone()) {
            Some(url) => url,
            None => usual.parse().ok()?,
        };
        if !api.path().ends_with('/') {
            api.set_path(&format!("{}/", api.path()));
        }
        Some(Self { forge, api, path: path.to_owned() })
    }

    /// The headers that let Conductor in.
    pub fn headers(&self, token: &Secret) -> Vec<(&'static str, String)> {
        let token = token.reveal();
        match self.forge {
            Forge::Github => vec![
                ("authorization", format!("Bearer {token}")),
                ("accept", "application/vnd.github+json".to_owned()),
                ("x-github-api-version", "2022-11-28".to_owned()),
            ],
            Forge::Gitlab => vec![("private-token", token.to_owned())],
            Forge::Gitea => vec![("authorization", format!("token {token}"))],
        }
    }

    /// Asks for the repository, of which [`Project::default_branch`] reads the answer.
    pub fn about(&self) -> Question {
        self.question(Method::GET, "", &[], None)
    }

    pub fn default_branch(answer: &Value) -> Option<String> {
        answer["default_branch"].as_str().map(str::to_owned)
    }

    /// Asks to open a pull request.
    pub fn open(&self, request: &Request) -> Question {
        let Request { title, body, branch, base, draft } = request;
        match self.forge {
            Forge::Github => {
                let body =
                    json!({"title": title, "body": body, "head": branch, "base": base, "draft": draft});
                self.question(Method::POST, "pulls", &[], Some(body))
            }
            Forge::Gitlab => {
                let title = if *draft { format!("Draft: {title}") } else { title.clone() };
                let body = json!({"title": title, "description": body, "source_branch": branch, "target_branch": base});
                self.question(Method::POST, "merge_requests", &[], Some(body))
            }
            Forge::Gitea => {
                let title = if *draft { format!("WIP: {title}") } else { title.clone() };
                let body = json!({"title": title, "body": body, "head": branch, "base": base});
                self.question(Method::POST, "pulls", &[], Some(body))
            }
        }
    }

    /// Asks for the open pull requests of a branch.
    pub fn existing(&self, request: &Request) -> Question {
        let owner = self.path.split('/').next().unwrap_or_default();
        match self.forge {
            Forge::Github => {
                let head = format!("{owner}:{}", request.branch);
                self.question(Method::GET, "pulls", &[("state", "open"), ("head", &head)], None)
            }
            Forge::Gitlab => {
                let of = [("state", "opened"), ("source_branch", request.branch.as_str())];
                self.question(Method::GET, "merge_requests", &of, None)
            }
            Forge::Gitea => self.question(Method::GET, "pulls", &[("state", "open"), ("limit", "50")], None),
        }
    }

    /// Where a pull request is to be seen, of an answer that opened one or lists some.
    pub fn url_of(&self, answer: &Value, branch: &str) -> Option<String> {
        let is_ours = |item: &Value| match self.forge {
            Forge::Github | Forge::Gitea => item["head"]["ref"].as_str().is_none_or(|name| name == branch),
            Forge::Gitlab => item["source_branch"].as_str().is_none_or(|name| name == branch),
        };
        let field = match self.forge {
            Forge::Github | Forge::Gitea => "html_url",
            Forge::Gitlab => "web_url",
        };
        let item = match answer {
            Value::Array(items) => items.iter().find(|item| is_ours(item))?,
            other => other,
        };
        let url: Url = item[field].as_str()?.parse().ok()?;
        matches!(url.scheme(), "http" | "https").then(|| url.into())
    }

    /// Whether an answer says that there is such a pull request already.
    pub fn says_exists(&self, status: u16, body: &str) -> bool {
        match self.forge {
            Forge::Github => status == 422 && body.contains("already exists"),
            Forge::Gitlab | Forge::Gitea => status == 409,
        }
    }

    fn question(&self, method: Method, below: &str, query: &[(&str, &str)], body: Option<Value>) -> Question {
        let mut url = self.api.clone();
        {
            let mut segments = url.path_segments_mut().expect("an https URL has a path");
            segments.pop_if_empty();
            match self.forge {
                Forge::Github | Forge::Gitea => segments.push("repos").extend(self.path.split('/')),
                // One segment, in which a slash is written as %2F.
                Forge::Gitlab => segments.push("projects").push(&self.path),
            };
            if !below.is_empty() {
                segments.push(below);
            }
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Question { method, url, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            title: "Fix it".into(),
            body: "Why".into(),
            branch: "conductor/7".into(),
            base: "main".into(),
            draft: true,
        }
    }

    fn project(host: &str, path: &str) -> Project {
        Project::find(host, path, None).unwrap()
    }

    #[test]
    fn each_forge_is_asked_in_its_own_way() {
        let github = project("github.com", "me/app").open(&request());
        assert_eq!(github.url.as_str(), "https://api.github.com/repos/me/app/pulls");
        let body = github.body.unwrap();
        assert_eq!((&body["draft"], &body["head"]), (&json!(true), &json!("conductor/7")));
        let gitlab = project("gitlab.com", "group/sub/app").open(&request());
        assert_eq!(
            gitlab.url.as_str(),
            "https://gitlab.com/api/v4/projects/group%2Fsub%2Fapp/merge_requests"
        );
        assert_eq!(gitlab.body.unwrap()["title"], "Draft: Fix it");
        let gitea = project("codeberg.org", "me/app").open(&request());
        assert_eq!(gitea.url.as_str(), "https://codeberg.org/api/v1/repos/me/app/pulls");
        assert_eq!(gitea.body.unwrap()["title"], "WIP: Fix it");
        assert!(Project::find("git.example", "me/app", None).is_none());
        let own =
            r#"{"host":"git.example","secret":"S","forge":"github","api_url":"https://git.example/x/api"}"#;
        let own = serde_json::from_str(own).unwrap();
        let found = Project::find("git.example", "me/app", Some(&own)).unwrap();
        assert_eq!(found.about().url.as_str(), "https://git.example/x/api/repos/me/app");
    }

    #[test]
    fn an_open_pull_request_is_found_by_its_branch() {
        let github = project("github.com", "me/app");
        let asked = github.existing(&request());
        assert_eq!(asked.url.query(), Some("state=open&head=me%3Aconductor%2F7"));
        let other = json!({"html_url": "https://github.com/me/app/pull/1", "head": {"ref": "other"}});
        let ours = json!({"html_url": "https://github.com/me/app/pull/2", "head": {"ref": "conductor/7"}});
        let found = github.url_of(&json!([other, ours]), "conductor/7");
        assert_eq!(found.as_deref(), Some("https://github.com/me/app/pull/2"));
        assert!(github.says_exists(422, "A pull request already exists for me:conductor/7."));
        assert!(!github.says_exists(422, "Validation Failed"));
        assert_eq!(github.url_of(&json!({"html_url": "javascript:alert(1)"}), "x"), None);
    }
}

//! Opening the pull request of a pushed branch.

use std::time::Duration;

use conductor_outbound::{Answer, Call, Post};
use serde_json::Value;

use super::forge::{Project, Question, Request};
use super::http::Http;
use super::program::{Error, Git};
use super::remote::Remote;
use super::tree::Tree;

/// How long one answer may take, and how large it may be.
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER_BYTES: usize = 8 << 20;
const WHAT: &str = "the pull request";

impl Tree {
    /// Opens the pull request, or finds the one that is open, where one is asked for.
    ///
    /// # Errors
    /// When the forge is not known, not reached, or says no.
    pub fn open_pull_request(&mut self, git: &Git<'_>, task_id: &str, summary: &str) -> Result<(), Error> {
        let Some(asked) = self.plan.workspace.pull_request.clone() else { return Ok(()) };
        let remote = Remote::parse(&self.plan.workspace.url)?;
        let host = remote.host();
        let project = Project::find(&host, &remote.path, git.settings.credential(&host));
        let project = project.ok_or_else(|| Error::Workspace {
            why: format!("it is not known what serves the pull requests of {host}"),
            hint: "name it in git.credentials: forge: github, gitlab or gitea",
        })?;
        let login = git.settings.login(&host)?.ok_or_else(|| Error::Credential {
            host: host.clone(),
            why: "git.credentials has no token for it".to_owned(),
        })?;
        let headers = project.headers(&login.token);
        let line = Line { http: Http::open(git, Some(login), WHAT, TIMEOUT)?, headers };
        let base = match asked.base.or_else(|| self.plan.start_branch.clone()) {
            Some(base) => base,
            None => {
                let about = line.asked(&project.about())?;
                Project::default_branch(&about)
                    .ok_or_else(|| line.http.failed("the repository names no branch of its own"))?
            }
        };
        let request = Request {
            title: asked.title.unwrap_or_else(|| self.plan.title.clone()),
            body: format!("{summary}\n\nMade by Conductor, task {task_id}."),
            branch: self.plan.branch.clone(),
            base,
            draft: asked.draft.unwrap_or(true),
        };
        let url = line.opened(&project, &request)?;
        self.plan.pull_request_url = Some(url);
        self.plan.write(&self.folder)
    }
}

/// The way to a forge.
struct Line<'a> {
    http: Http<'a>,
    headers: Vec<(&'static str, String)>,
}

impl Line<'_> {
    fn opened(&self, project: &Project, request: &Request) -> Result<String, Error> {
        let answer = self.answer(&project.open(request))?;
        let text = String::from_utf8_lossy(&answer.body);
        let found = match answer.status {
            200..=299 => self.read(&answer)?,
            status if project.says_exists(status, &text) => self.asked(&project.existing(request))?,
            status => return Err(self.refused(status, &text)),
        };
        project.url_of(&found, &request.branch).ok_or_else(|| self.http.failed("the answer names none"))
    }

    fn asked(&self, question: &Question) -> Result<Value, Error> {
        let answer = self.answer(question)?;
        match answer.status {
            200..=299 => self.read(&answer),
            status => Err(self.refused(status, &String::from_utf8_lossy(&answer.body))),
        }
    }

    fn answer(&self, question: &Question) -> Result<Answer, Error> {
        let body = question.body.as_ref().map(Value::to_string).unwrap_or_default().into_bytes();
        let post = Post {
            url: question.url.clone(),
            content_type: "application/json",
            headers: self.headers.clone(),
            body,
        };
        let call = Call { method: question.method.clone(), post, max_answer_bytes: MAX_ANSWER_BYTES };
        self.http.wait(self.http.outbound.call(call))
    }

    /// A refusal, with the reason that the forge gives and without the credential.
    fn refused(&self, status: u16, text: &str) -> Error {
        let json: Option<Value> = serde_json::from_str(text).ok();
        let word = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let said = json.map_or_else(String::new, |json| {
            [word(&json["message"]), word(&json["errors"])]
                .iter()
                .filter(|word| !word.is_empty())
                .cloned()
                .collect::<Vec<_>>()
                .join(": ")
        });
        self.http.failed(format!("the server answered {status}: {}", self.http.shown(&said)))
    }

    fn read(&self, answer: &Answer) -> Result<Value, Error> {
        serde_json::from_slice(&answer.body).map_err(|_| self.http.failed("the answer is not JSON"))
    }
}

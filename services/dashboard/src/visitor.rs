//! Who looks at a page, and everything that a view needs to answer.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use conductor_client::{Beginnings, Control, Error};
use conductor_core::Wall;
use conductor_protocol::control::{ListRequest, Page, Role};
use conductor_protocol::{Code, Problem};
use conductor_web::{Caller, MaybeCaller, Refusal, Site, Whole};

use crate::app::{self, App};
use crate::files;
use crate::format::escape_url;
use crate::frame::{Frame, Section, Who};
use crate::params::Params;
use crate::words::{Lang, Words};

/// The cookie that keeps the viewer's language.
pub const LANGUAGE_COOKIE: &str = "conductor_lang";

/// Who asks without being somebody: the login is all there is for them.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The program's HTTP side.
    pub site: Site,
    /// The language.
    pub lang: Lang,
    /// The path and query asked for, without the site's prefix.
    pub here: String,
    /// The query.
    pub query: Params,
    /// Where the file server is for this browser, when there is one; without a slash at its end.
    pub files: Option<String>,
}

impl Guest {
    fn new(parts: &Parts, app: &App) -> Self {
        let site = app.site.clone();
        let here = parts.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
        let query = Params::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let files = app.files.as_ref().map(|url| files::found(url, &parts.headers));
        Self { site, lang: language(&parts.headers), here, query, files }
    }

    /// What surrounds a page for who is nobody.
    #[must_use]
    pub fn frame(&self, title: &str) -> Frame {
        Frame {
            lang: self.lang,
            base: self.site.path(""),
            here: self.here.clone(),
            title: title.to_owned(),
            section: None,
            user: None,
            csrf: String::new(),
            waiting: 0,
            flash: None,
            no_auth: self.site.is_open(),
            may_operate: false,
            may_admin: false,
            seq: 0,
            log: String::new(),
            files: self.files.clone(),
        }
    }

    /// Answers, with a page also when something went wrong.
    #[must_use]
    pub fn answer(&self, result: Result<Response, Refusal>) -> Response {
        result.unwrap_or_else(|Refusal(problem)| app::problem(self.frame("Conductor"), problem))
    }
}

/// Somebody who looks.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// What they have in common with who is nobody.
    pub guest: Guest,
    /// Who it is.
    pub caller: Caller,
    beginnings: Arc<Beginnings>,
}

impl Visitor {
    /// The messages.
    #[must_use]
    pub fn words(&self) -> &'static Words {
        self.guest.lang.words()
    }

    /// The query.
    #[must_use]
    pub fn query(&self) -> &Params {
        &self.guest.query
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Wall {
        Wall(self.guest.site.clock().now().wall_ms)
    }

    /// A way to the orchestrator on the visitor's behalf.
    ///
    /// # Errors
    /// `unavailable` when there is none.
    pub async fn control(&self) -> Result<Control, Refusal> {
        self.caller.control(&self.guest.site).await
    }

    /// A page of tasks, all of them with what they are called.
    ///
    /// # Errors
    /// As the orchestrator's.
    pub async fn list(&self, control: &Control, request: ListRequest) -> Result<Page, Error> {
        let mut page = control.list(request).await?;
        self.beginnings.add(control, &mut page.items).await;
        Ok(page)
    }

    /// What surrounds a page, without a question to the orchestrator.
    #[must_use]
    pub fn bare_frame(&self, section: Option<Section>, title: &str) -> Frame {
        let identity = &self.caller.identity;
        Frame {
            section,
            user: Some(Who { name: identity.name.clone(), role: identity.role }),
            csrf: self.caller.csrf().unwrap_or_default().to_owned(),
            flash: self.flash(),
            may_operate: identity.role >= Role::Operator,
            may_admin: identity.role >= Role::Admin,
            ..self.guest.frame(title)
        }
    }

    /// What surrounds a page. It is asked for before what the page shows, so that what happens in between is told
    /// twice rather than not at all.
    ///
    /// # Errors
    /// When the orchestrator does not answer.
    pub async fn frame(&self, control: &Control, section: Section, title: &str) -> Result<Frame, Refusal> {
        let (status, waiting) = tokio::try_join!(control.status(), control.questions())?;
        Ok(Frame {
            waiting: waiting.len(),
            seq: status.log.seq,
            log: status.log.id,
            ..self.bare_frame(Some(section), title)
        })
    }

    /// Answers, with a page also when something went wrong.
    #[must_use]
    pub fn answer(&self, result: Result<Response, Refusal>) -> Response {
        result.unwrap_or_else(|Refusal(problem)| match problem.code {
            Code::Unauthorized => login_first(&self.guest),
            _ => app::problem(self.bare_frame(None, "Conductor"), problem),
        })
    }

    /// Reads a form and checks that it is of this session.
    ///
    /// # Errors
    /// `forbidden` when it is not.
    pub fn form(&self, body: &Whole) -> Result<Params, Refusal> {
        let params = Params::of_form(body);
        self.caller.check_csrf(params.text("csrf"))?;
        Ok(params)
    }

    /// Sends the browser to a page of this server, with a message about what was done.
    #[must_use]
    pub fn done(&self, path: &str, what: &str) -> Response {
        let sign = if path.contains('?') { '&' } else { '?' };
        app::see(&self.guest.site.path(&format!("{path}{sign}did={what}")))
    }

    /// Sends the browser to a page of this server.
    #[must_use]
    pub fn see(&self, path: &str) -> Response {
        app::see(&self.guest.site.path(path))
    }

    /// What was done, as the query says: `cancel:12` and such. Only what is known is said.
    fn flash(&self) -> Option<String> {
        let w = self.words();
        let did = self.query().get("did")?;
        let (what, count) = did.split_once(':').unwrap_or((did, "0"));
        let count: u64 = count.parse().ok()?;
        match what {
            "cancel" => Some(w.counted(count, w.did_cancel)),
            "retry" => Some(w.counted(count, w.did_retry)),
            "delete" => Some(w.did_delete.to_owned()),
            "answer" => Some(w.did_answer.to_owned()),
            "pin" => Some(w.did_pin.to_owned()),
            "unpin" => Some(w.did_unpin.to_owned()),
            "change" => Some(w.did_change.to_owned()),
            _ => None,
        }
    }
}

/// Sends a browser without a session to the login, and from there back.
fn login_first(guest: &Guest) -> Response {
    app::see(&guest.site.path(&format!("/login?next={}", escape_url(&guest.here))))
}

impl FromRequestParts<App> for Guest {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        Ok(Self::new(parts, app))
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let guest = Guest::new(parts, app);
        match MaybeCaller::from_request_parts(parts, app).await {
            Ok(MaybeCaller(Some(caller))) => {
                Ok(Self { guest, caller, beginnings: Arc::clone(&app.beginnings) })
            }
            Ok(MaybeCaller(None)) if parts.method == Method::GET => Err(login_first(&guest)),
            Ok(MaybeCaller(None)) => {
                let detail = guest.lang.words().session_over;
                Err(app::problem(guest.frame("Conductor"), Problem::new(Code::Unauthorized, detail)))
            }
            Err(Refusal(problem)) if problem.code == Code::Unavailable => {
                Err(app::problem(guest.frame("Conductor"), problem))
            }
            Err(refusal) => Err(refusal.into_response()),
        }
    }
}

/// The viewer's language: as chosen, else as the browser says.
fn language(headers: &HeaderMap) -> Lang {
    let texts = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let chosen = texts(header::COOKIE)
        .flat_map(|list| list.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == LANGUAGE_COOKIE)
        .and_then(|(_, code)| Lang::parse(code));
    chosen.unwrap_or_else(|| Lang::accepted(texts(header::ACCEPT_LANGUAGE).next().unwrap_or_default()))
}

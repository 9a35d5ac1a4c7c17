//! `/login`, `/logout` and the switch of the language.

use askama::Template;
use axum::extract::Extension;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use conductor_protocol::control::Presented;
use conductor_protocol::{Code, Problem};
use conductor_web::{Client, MaybeCaller, Refusal, Whole, clear_session, digest, set_session};

use crate::app::{self, page, see};
use crate::frame::Frame;
use crate::params::Params;
use crate::visitor::{Guest, LANGUAGE_COOKIE};
use crate::words::{Lang, Words};

/// How long the choice of a language is kept, in seconds.
const LANGUAGE_SECONDS: u32 = 31_536_000;

#[derive(Debug, Template)]
#[template(path = "login.html")]
struct View {
    f: Frame,
    w: &'static Words,
    problem: Option<&'static str>,
    code: Option<String>,
    next: String,
    /// The path of the file server to come back to; empty for none.
    files: String,
}

/// Where the browser wanted to be.
#[derive(Debug)]
struct Way {
    next: String,
    files: String,
}

impl Way {
    fn new(params: &Params) -> Self {
        Self { next: params.text("next").to_owned(), files: params.text("files").to_owned() }
    }

    /// The address at the file server, when that is where the browser wanted to be.
    fn to_files(&self, guest: &Guest) -> Option<HeaderValue> {
        let server = guest.files.as_ref().filter(|_| is_path(&self.files))?;
        HeaderValue::try_from(format!("{server}{}", self.files)).ok()
    }
}

/// `GET /login`. A code in the address is not used up by looking: what looks ahead at links would use it.
pub async fn show(guest: Guest) -> Response {
    let code = guest.query.get("code").map(str::to_owned);
    guest.answer(view(&guest, StatusCode::OK, code, Way::new(&guest.query), None))
}

fn view(
    guest: &Guest,
    status: StatusCode,
    code: Option<String>,
    way: Way,
    problem: Option<&'static str>,
) -> Result<Response, Refusal> {
    let w = guest.lang.words();
    let mut f = guest.frame(w.log_in);
    // The switch of the language comes back to the page, and must not come back to a form's answer.
    f.here = if code.is_some() { f.here } else { "/login".to_owned() };
    let leads_to_files = way.to_files(guest).is_some();
    let server = f.files.clone().filter(|_| leads_to_files);
    let Way { next, files } = way;
    let mut response = page(status, &View { f, w, problem, code, next, files })?;
    if let Some(policy) = server.and_then(|server| app::policy_for_forms_to(&server)) {
        // A browser also holds the redirect after a form to where its forms may lead.
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

/// `POST /login`
pub async fn log_in(guest: Guest, client: Extension<Client>, body: Whole) -> Response {
    let form = Params::of_form(&body);
    let answer = match open(&guest, &client, &form).await {
        Ok(response) => Ok(response),
        Err(Refusal(Problem {
            code: code @ (Code::Unauthorized | Code::RateLimited | Code::InvalidRequest),
            ..
        })) => {
            let w = guest.lang.words();
            let said = if code == Code::RateLimited { w.too_many_tries } else { w.wrong_token };
            let status = if code == Code::RateLimited {
                StatusCode::TOO_MANY_REQUESTS
            } else {
                StatusCode::UNAUTHORIZED
            };
            view(&guest, status, None, Way::new(&form), Some(said))
        }
        Err(refusal) => Err(refusal),
    };
    guest.answer(answer)
}

/// Opens a session with a token or a code, and leads to where the browser wanted to be.
async fn open(guest: &Guest, client: &Client, form: &Params) -> Result<Response, Refusal> {
    let secret = form.get("code").or(form.get("token")).unwrap_or_default();
    let site = &guest.site;
    site.may_try(secret, client.address)?;
    let presented = Presented { digest: digest(secret), address: Some(client.address.to_string()) };
    let opened = match site.control_soon().await?.open_session(presented).await.map_err(Refusal::from) {
        Ok(opened) => opened,
        Err(Refusal(problem)) => {
            if problem.code == Code::Unauthorized {
                site.failed_to_log_in(secret, client.address);
            }
            return Err(Refusal(problem));
        }
    };
    let cookie = set_session(&opened.secret, client.https);
    let cookie = cookie.ok_or_else(|| Refusal::new(Code::Internal, "the session's secret is no cookie"))?;
    let next = form.get("next").filter(|next| is_path(next)).unwrap_or("/");
    let mut response = see(&site.path(next));
    if let Some(files) = Way::new(form).to_files(guest) {
        response.headers_mut().insert(header::LOCATION, files);
    }
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Whether a text is a path of this server and not the beginning of another host.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.starts_with("//") && !text.contains(['\\', '\r', '\n'])
}

/// `POST /logout`
pub async fn log_out(guest: Guest, client: Extension<Client>, caller: MaybeCaller, body: Whole) -> Response {
    let deed = async {
        if let MaybeCaller(Some(caller)) = caller {
            caller.check_csrf(Params::of_form(&body).text("csrf"))?;
            if let Some(presented) = caller.presented() {
                guest.site.control_soon().await?.close_session(presented).await?;
                guest.site.forget_all();
            }
        }
        let mut response = see(&guest.site.path("/login"));
        response.headers_mut().append(header::SET_COOKIE, clear_session(client.https));
        Ok(response)
    };
    guest.answer(deed.await)
}

/// `POST /language`
pub async fn language(guest: Guest, client: Extension<Client>, body: Whole) -> Response {
    let form = Params::of_form(&body);
    let lang = Lang::parse(form.text("lang")).unwrap_or(guest.lang);
    let back = form.get("back").filter(|back| is_path(back)).unwrap_or("/");
    let mut response = see(&guest.site.path(back));
    let secure = if client.https { "; Secure" } else { "" };
    let cookie = format!(
        "{LANGUAGE_COOKIE}={}; Path=/; Max-Age={LANGUAGE_SECONDS}; SameSite=Lax; HttpOnly{secure}",
        lang.code()
    );
    let cookie = HeaderValue::from_str(&cookie).expect("the code of a language is ASCII");
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_come_back_to() {
        for path in ["/", "/tasks?state=failed", "/tasks/1#x"] {
            assert!(is_path(path), "{path}");
        }
        for other in ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\nb"] {
            assert!(!is_path(other), "{other}");
        }
    }
}

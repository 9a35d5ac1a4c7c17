//! `/settings`: tokens, runners, the server and its configuration.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use conductor_client::{Control, Error};
use conductor_core::Wall;
use conductor_protocol::control::{CreateToken, Groups, NewToken, Role, StatusView, TokenKind, TokenView};
use conductor_protocol::{Code, Problem};
use conductor_web::{Refusal, Whole};

use crate::app::page;
use crate::format;
use crate::frame::{Frame, Section};
use crate::params::Params;
use crate::ui::{self, Html};
use crate::visitor::Visitor;
use crate::words::Words;

const SECONDS_A_DAY: u64 = 86_400;

#[derive(Debug, Template)]
#[template(path = "settings.html")]
struct View {
    f: Frame,
    w: &'static Words,
    problem: Option<String>,
    made: Option<Made>,
    tokens: Option<Vec<Token>>,
    roles: Vec<(&'static str, &'static str)>,
    runners: Vec<Runner>,
    status: Vec<(&'static str, String)>,
    config: Option<String>,
}

/// A token that was just made.
#[derive(Debug)]
struct Made {
    name: String,
    secret: String,
}

#[derive(Debug)]
struct Token {
    name: String,
    role: Role,
    groups: String,
    origin: String,
    created: Html,
    expires: Html,
    is_runtime: bool,
}

#[derive(Debug)]
struct Runner {
    name: String,
    version: Option<String>,
    agents: String,
}

/// What an answer says when there is one; nothing when the call comes with a later release or is not for the visitor.
fn available<T>(answer: Result<T, Error>) -> Result<Option<T>, Refusal> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Refused(problem)) if matches!(problem.code, Code::Unavailable | Code::Forbidden) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /settings`
pub async fn show(visitor: Visitor) -> Response {
    let answer = async {
        let control = visitor.control().await?;
        view(&visitor, &control, StatusCode::OK, None, None).await
    };
    visitor.answer(answer.await)
}

async fn view(
    visitor: &Visitor,
    control: &Control,
    status: StatusCode,
    made: Option<NewToken>,
    problem: Option<String>,
) -> Result<Response, Refusal> {
    let (w, now) = (visitor.words(), visitor.now());
    let f = visitor.frame(control, Section::Settings, w.settings).await?;
    let (mut tokens, mut config) = (None, None);
    if f.may_admin {
        let known = available(control.tokens().await)?;
        tokens = known.map(|tokens| tokens.into_iter().map(|it| token(w, now, it)).collect());
        let known = available(control.config().await)?;
        config = known.and_then(|config| {
            let value: serde_json::Value = serde_json::from_str(config.get()).ok()?;
            serde_json::to_string_pretty(&value).ok()
        });
    }
    let offers = available(control.runners().await)?.unwrap_or_default();
    let runner = |it: conductor_protocol::control::RunnerOffer| Runner {
        name: it.name,
        version: it.version,
        agents: it.agents.join(", "),
    };
    let view = View {
        problem,
        made: made.map(|made| Made { name: made.token.name, secret: made.secret }),
        tokens,
        roles: [Role::Viewer, Role::Operator, Role::Admin, Role::Agent]
            .map(|role| (key(role), w.role(role)))
            .to_vec(),
        runners: offers.into_iter().map(runner).collect(),
        status: about(w, &control.status().await?, f.may_admin),
        config,
        f,
        w,
    };
    page(status, &view)
}

/// A role as the form has it.
fn key(role: Role) -> &'static str {
    match role {
        Role::Agent => "agent",
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

fn token(w: &Words, now: Wall, it: TokenView) -> Token {
    let groups = match &it.groups {
        Groups::All => w.all.to_owned(),
        Groups::Only(groups) => groups.join(", "),
    };
    let by = it.created_by.map(|by| format!(" · {by}")).unwrap_or_default();
    let instant =
        |at: Option<Wall>, none: &str| at.map_or_else(|| Html::text(none), |at| ui::ago(w, now, at));
    Token {
        name: it.name,
        role: it.role,
        groups,
        origin: format!("{}{by}", w.token_kind(it.kind)),
        created: instant(it.created_at, "–"),
        expires: instant(it.expires_at, w.never),
        is_runtime: it.kind == TokenKind::Runtime,
    }
}

fn about(w: &'static Words, status: &StatusView, is_admin: bool) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        (w.version, status.version.clone()),
        (w.started_at, format::instant(status.started_at)),
        (w.log_position, format::count(status.log.seq)),
        (w.history_lag, format::count(status.history_lag)),
        (w.free_space, format::bytes(status.state_free_bytes)),
    ];
    if is_admin {
        facts.push((w.workspace, status.workspace.clone()));
    }
    facts
}

/// `POST /settings/tokens`
pub async fn create(visitor: Visitor, body: Whole) -> Response {
    let deed = async {
        let form = visitor.form(&body)?;
        let control = visitor.control().await?;
        let made = match wanted(&form) {
            Ok(wanted) => control.create_token(wanted).await.map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        match made {
            // The secret is on the answer itself, so that it lies in no address and no store.
            Ok(made) => view(&visitor, &control, StatusCode::OK, Some(made), None).await,
            Err(Refusal(Problem { code: Code::InvalidRequest | Code::Conflict, detail, .. })) => {
                view(&visitor, &control, StatusCode::BAD_REQUEST, None, Some(detail)).await
            }
            Err(refusal) => Err(refusal),
        }
    };
    visitor.answer(deed.await)
}

fn wanted(form: &Params) -> Result<CreateToken, Refusal> {
    let role = [Role::Viewer, Role::Operator, Role::Admin, Role::Agent]
        .into_iter()
        .find(|role| key(*role) == form.text("role"));
    let groups = form.list("groups");
    let days: Option<u64> = form.parsed("days")?;
    Ok(CreateToken {
        name: form.text("name").to_owned(),
        role: role.ok_or_else(|| Refusal::new(Code::InvalidRequest, "role is not valid"))?,
        groups: if groups.is_empty() { Groups::All } else { Groups::Only(groups) },
        expires_in_seconds: days.map(|days| days.saturating_mul(SECONDS_A_DAY)),
    })
}

/// `POST /settings/tokens/revoke`
pub async fn revoke(visitor: Visitor, body: Whole) -> Response {
    let deed = async {
        let form = visitor.form(&body)?;
        visitor.control().await?.revoke_token(form.text("name").to_owned()).await?;
        // Whoever has it is asked for anew at once, and not within a second.
        visitor.guest.site.forget_all();
        Ok(visitor.done("/settings", "change"))
    };
    visitor.answer(deed.await)
}

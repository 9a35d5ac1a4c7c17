//! The addresses of the dashboard.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use conductor_protocol::Code;
use conductor_web::{Refusal, Site, method_not_allowed};

use crate::app::App;
use crate::pages::{agents, audit, compare, login, new, overview, queue, schedules, settings, task, tasks};
use crate::visitor::Visitor;
use crate::{assets, live};

/// Everything that the dashboard serves.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(overview::show))
        .route("/tasks", get(tasks::show).post(new::submit))
        .route("/tasks/new", get(new::show))
        .route("/tasks/cancel", post(tasks::cancel))
        .route("/tasks/retry", post(tasks::retry))
        .merge(of_one_task())
        .route("/compare/{a}/{b}", get(compare::show))
        .route("/agents", get(agents::show))
        .route("/agents/{name}", post(agents::change))
        .route("/queue", get(queue::show).post(queue::change))
        .route("/schedules", get(schedules::show).post(schedules::add))
        .route("/schedules/{id}/remove", post(schedules::remove))
        .route("/audit", get(audit::show).post(audit::verify))
        .route("/settings", get(settings::show))
        .route("/settings/tokens", post(settings::create))
        .route("/settings/tokens/revoke", post(settings::revoke))
        .route("/live", get(live::upgrade))
        .route("/login", get(login::show).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/language", post(login::language))
        .route("/assets/{hash}/{name}", get(assets::serve))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .fallback(nothing_here)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
}

fn of_one_task() -> Router<App> {
    Router::new()
        .route("/tasks/{id}", get(task::show))
        .route("/tasks/{id}/cancel", post(task::cancel))
        .route("/tasks/{id}/retry", post(task::retry))
        .route("/tasks/{id}/message", post(task::message))
        .route("/tasks/{id}/answer", post(task::answer))
        .route("/tasks/{id}/pin", post(task::pin))
        .route("/tasks/{id}/delete", post(task::delete))
        .route("/tasks/{id}/output", get(task::whole_output))
        .route("/tasks/{id}/diff", get(task::patch))
        .route("/tasks/{id}/json", get(task::json))
        .route("/tasks/{id}/archive", get(task::archive))
        .route("/tasks/{id}/files/{*path}", get(task::file))
}

/// Whether the dashboard can serve, and if not, why.
async fn ready(State(site): State<Site>) -> Response {
    match site.why_not_ready().await {
        None => "ok".into_response(),
        Some(why) => Refusal::new(Code::Unavailable, why).into_response(),
    }
}

/// An address that is none: somebody is told so on a page, nobody is sent to the login.
async fn nothing_here(visitor: Result<Visitor, Response>) -> Response {
    match visitor {
        Ok(visitor) => visitor.answer(Err(Refusal::new(Code::NotFound, "there is nothing at this address"))),
        Err(response) => response.into_response(),
    }
}

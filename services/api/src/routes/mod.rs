//! The routes, one file for each group of operations, and the OpenAPI document that they make.

use axum::Router;
use axum::middleware::from_fn_with_state;
use conductor_web::{method_not_allowed, not_found};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::measure::measure;
use crate::server::App;

mod agents;
mod audit;
mod authz;
mod browse;
mod change;
mod compare;
mod control;
mod events;
mod files;
mod health;
mod mcp;
mod me;
mod metrics;
mod openapi;
mod output;
mod pin;
mod queue;
mod schedules;
mod served;
mod submit;
mod subscriptions;
mod tasks;
mod tokens;
mod uploads;
mod ws;

/// A list.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it describes what is passed on as the orchestrator wrote it")]
struct Items<T: utoipa::ToSchema> {
    items: Vec<T>,
}

/// All routes, with what they say of themselves.
fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(frame())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(me::me))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(authz::authz))
        .routes(routes!(browse::front))
        .routes(routes!(browse::below))
        .merge(of_tasks())
        .merge(of_the_rest())
}

/// The routes about tasks and their runs.
fn of_tasks() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(tasks::list, submit::submit))
        .routes(routes!(submit::batch))
        .routes(routes!(change::cancel_matching))
        .routes(routes!(change::retry_matching))
        .routes(routes!(tasks::get, tasks::delete))
        .routes(routes!(change::cancel))
        .routes(routes!(pin::pin, pin::unpin))
        .routes(routes!(change::retry))
        .routes(routes!(change::message))
        .routes(routes!(change::answer))
        .routes(routes!(tasks::deliveries))
        .routes(routes!(tasks::questions))
        .routes(routes!(compare::compare))
        .routes(routes!(output::output))
        .routes(routes!(output::run_events))
        .routes(routes!(files::list))
        .routes(routes!(files::get))
        .routes(routes!(files::diff))
        .routes(routes!(files::archive))
}

/// The routes about everything else.
fn of_the_rest() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(agents::list))
        .routes(routes!(agents::get))
        .routes(routes!(agents::drain))
        .routes(routes!(agents::resume))
        .routes(routes!(agents::revoke))
        .routes(routes!(agents::runners))
        .routes(routes!(agents::task_types))
        .routes(routes!(queue::get))
        .routes(routes!(queue::pause))
        .routes(routes!(queue::resume))
        .routes(routes!(queue::open_lane))
        .routes(routes!(queue::stats))
        .routes(routes!(queue::trends))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(schedules::list, schedules::add))
        .routes(routes!(schedules::get, schedules::remove))
        .routes(routes!(uploads::create))
        .routes(routes!(uploads::get, uploads::more))
        .routes(routes!(events::follow))
        .routes(routes!(ws::connect))
        .routes(routes!(control::connect))
        .routes(routes!(mcp::mcp))
        .routes(routes!(openapi::openapi))
        .routes(routes!(openapi::docs))
}

/// What every path has in common.
fn frame() -> OpenApi {
    let info = utoipa::openapi::InfoBuilder::new()
        .title("Conductor")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The REST interface of Conductor, a task queue for coding agents."))
        .build();
    let mut document = utoipa::openapi::OpenApiBuilder::new().info(info).build();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().add_security_scheme("token", bearer);
    document.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    document
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> OpenApi {
    openapi::finished(&described().into_openapi())
}

/// The OpenAPI document as it is served, and as it lies in `docs`.
#[must_use]
pub fn document_text() -> &'static str {
    openapi::text()
}

/// The router of the API.
pub(crate) fn router(app: App) -> Router {
    let (router, _document) = described().split_for_parts();
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(app.clone(), measure))
        .with_state(app)
}

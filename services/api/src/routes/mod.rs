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

mod authz;
mod health;
mod me;
mod metrics;
mod tokens;

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
    described().into_openapi()
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

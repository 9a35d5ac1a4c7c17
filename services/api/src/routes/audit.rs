//! `/v1/audit`: who did what, and whether that is what was written.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use conductor_protocol::control::{AuditCall, AuditPage, AuditVerified, Call, VerifyAudit};
use conductor_protocol::limits;
use conductor_web::{Caller, Refusal};

use crate::http::{Params, passed};
use crate::server::App;

/// The largest number that every JSON reader takes.
const MAX_SEQ: u64 = (1 << 53) - 1;

/// Reads who did what, newest first.
#[utoipa::path(
    get, path = "/v1/audit", tag = "access", operation_id = "list_audit",
    params(
        ("before" = Option<u64>, Query, minimum = 0, maximum = 9007199254740991_u64, description = "Entries before this `seq`: the last one of the page before."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "50 when it is not given."),
    ),
    responses((status = 200, description = "The entries.", body = AuditPage)),
)]
pub(crate) async fn list(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let params = Params::read(query.as_deref(), &["before", "limit"])?;
    let call = AuditCall {
        before: params.number("before", 0..=MAX_SEQ)?,
        limit: params.number("limit", 1..=limits::MAX_PAGE)?,
    };
    Ok(passed(caller.control(&app.site).await?.call(Call::Audit(call)).await?))
}

/// Checks that a stretch of the audit is as it was written. While the answer says that there is more, the next stretch begins
/// `after` its `through`, with its `digest`.
#[utoipa::path(
    get, path = "/v1/audit/verify", tag = "access", operation_id = "verify_audit",
    params(
        ("after" = Option<u64>, Query, minimum = 0, maximum = 9007199254740991_u64, description = "Records after this one: `through` of the answer before. From the first on when it is not given."),
        ("digest" = Option<String>, Query, pattern = "^[0-9a-fA-F]{64}$", description = "The digest of that one: `digest` of the answer before."),
        ("until" = Option<u64>, Query, minimum = 0, maximum = 9007199254740991_u64, description = "Up to this one. To the end when it is not given."),
    ),
    responses((status = 200, description = "What was found.", body = AuditVerified)),
)]
pub(crate) async fn verify(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let params = Params::read(query.as_deref(), &["after", "digest", "until"])?;
    let call = VerifyAudit {
        after: params.number("after", 0..=MAX_SEQ)?.unwrap_or_default(),
        digest: params.text("digest")?,
        until: params.number("until", 0..=MAX_SEQ)?,
    };
    Ok(passed(caller.control(&app.site).await?.call(Call::VerifyAudit(call)).await?))
}

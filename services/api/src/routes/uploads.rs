//! Uploads: one request for all of it, or as many as it takes.

use axum::extract::{FromRequest as _, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::BytesMut;
use conductor_client::Control;
use conductor_protocol::control::{CreateUpload, UploadKind, UploadView};
use conductor_protocol::{Code, Problem};
use conductor_web::{Caller, Refusal, Streamed};
use uuid::Uuid;

use crate::http::{Named, Params, created, json};
use crate::server::App;

/// What is sent to the orchestrator at a time.
const PIECE_BYTES: usize = 1 << 20;
/// How long the whole will be.
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// Where the bytes of a request begin, and where the next would.
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// Whether more follows.
const INCOMPLETE: HeaderName = HeaderName::from_static("upload-incomplete");
/// The SHA-256 of the whole in hex.
const DIGEST: HeaderName = HeaderName::from_static("upload-sha256");

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|number| *number < 1 << 53);
    number.map(Some).ok_or_else(|| Problem::at(format!("/{name}"), "not a number of bytes"))
}

/// Whether more follows: said, or seen from the length that is not reached.
fn follows(headers: &HeaderMap) -> Result<Option<bool>, Problem> {
    match headers.get(INCOMPLETE).map(|value| value.as_bytes()) {
        None => Ok(None),
        Some(b"?1") => Ok(Some(true)),
        Some(b"?0") => Ok(Some(false)),
        Some(_) => Err(Problem::at("/upload-incomplete", "neither ?1 nor ?0")),
    }
}

fn kind(headers: &HeaderMap, params: &Params) -> Result<UploadKind, Problem> {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match params.one("kind")? {
        Some("raw") => Ok(UploadKind::Raw),
        Some("tar") => Ok(UploadKind::Tar),
        Some("bundle") => Ok(UploadKind::Bundle),
        Some(other) => Err(Problem::at("/kind", format!("{other:?} is neither raw nor tar nor bundle"))),
        None if matches!(media, "application/x-tar" | "application/tar") => Ok(UploadKind::Tar),
        None if media == "application/x-git-bundle" => Ok(UploadKind::Bundle),
        None => Ok(UploadKind::Raw),
    }
}

/// Begins an upload. With a body and without `Upload-Incomplete: ?1` it is complete at once.
#[utoipa::path(
    post, path = "/v1/uploads", tag = "uploads", operation_id = "create_upload",
    params(
        ("kind" = Option<UploadKind>, Query, description = "`tar` for a folder, `bundle` for a git repository; told by the content type when it is not given."),
        ("Upload-Length" = Option<u64>, Header, maximum = 9007199254740991_u64, description = "How many bytes there will be, when known."),
        ("Upload-Incomplete" = Option<String>, Header, pattern = "^\\?[01]$", description = "`?1` when more follows by PATCH."),
        ("Upload-Sha256" = Option<String>, Header, pattern = "^[0-9a-f]{64}$", description = "Checked at the end."),
    ),
    request_body(content((Vec<u8> = "application/octet-stream"), (Vec<u8> = "application/x-tar"), (Vec<u8> = "application/x-git-bundle")),
        description = "The bytes, or the first of them."),
    responses((status = 201, description = "The upload; a task names it by its id.", body = UploadView,
        headers(("Location" = String, description = "Where to send more."), ("Upload-Offset" = u64, description = "Where the next bytes begin.")))),
    extensions(("x-problems" = json!([409, 413]))),
)]
pub(crate) async fn create(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    let params = Params::read(query.as_deref(), &["kind"])?;
    let bytes = number(&headers, &LENGTH)?;
    let sha256 = headers.get(DIGEST).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let create = CreateUpload { kind: kind(&headers, &params)?, bytes, sha256, reuse: false };
    let follows = follows(&headers)?;
    let body = Streamed::from_request(request, &app).await?;
    let control = caller.control(&app.site).await?;
    let upload = control.create_upload(create).await?;
    // Without a body it is only begun, unless it is said to be all.
    let upload = match append(&control, upload.clone(), body, follows).await? {
        Some(upload) => upload,
        None if follows == Some(false) => control.append_upload(upload.id, upload.offset, &[], true).await?,
        None => upload,
    };
    let mut response = created(&app.site, &format!("/v1/uploads/{}", upload.id), &upload);
    response.headers_mut().insert(OFFSET, upload.offset.into());
    Ok(response)
}

/// Hands a body on in pieces; answers the upload after the last, or nothing when there was no body.
async fn append(
    control: &Control,
    upload: UploadView,
    mut body: Streamed,
    follows: Option<bool>,
) -> Result<Option<UploadView>, Refusal> {
    let (id, mut offset) = (upload.id, upload.offset);
    let mut piece = BytesMut::new();
    let mut is_empty = true;
    while let Some(bytes) = body.next().await? {
        is_empty &= bytes.is_empty();
        piece.extend_from_slice(&bytes);
        if piece.len() >= PIECE_BYTES {
            offset = control.append_upload(id, offset, &piece.split(), false).await?.offset;
        }
    }
    if is_empty {
        return Ok(None);
    }
    let reached = offset + piece.len() as u64;
    let is_last = match (follows, upload.bytes) {
        (Some(follows), _) => !follows,
        (None, Some(bytes)) => reached >= bytes,
        (None, None) => true,
    };
    Ok(Some(control.append_upload(id, offset, &piece, is_last).await?))
}

fn upload_id(text: &str) -> Result<Uuid, Refusal> {
    text.parse().map_err(|_| Refusal::new(Code::NotFound, format!("there is no upload {text:?}")))
}

/// Sends more bytes of an upload.
#[utoipa::path(
    patch, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "append_upload",
    params(
        ("id" = String, Path, format = Uuid),
        ("Upload-Offset" = u64, Header, maximum = 9007199254740991_u64, description = "Where the bytes begin: where the upload ends so far."),
        ("Upload-Incomplete" = Option<String>, Header, pattern = "^\\?[01]$", description = "`?1` when more follows; without it the upload is complete when its length is reached, or at once when none was told."),
    ),
    request_body(content((Vec<u8> = "application/octet-stream")), description = "The bytes."),
    responses((status = 200, description = "The upload.", body = UploadView,
        headers(("Upload-Offset" = u64, description = "Where the next bytes begin.")))),
    extensions(("x-problems" = json!([409, 413]))),
)]
pub(crate) async fn more(
    caller: Caller,
    State(app): State<App>,
    Named(id): Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let id = upload_id(&id)?;
    let missing = || Problem::at("/upload-offset", "say where the bytes begin");
    let offset = number(&headers, &OFFSET)?.ok_or_else(missing)?;
    let follows = follows(&headers)?;
    let body = Streamed::from_request(request, &app).await?;
    let control = caller.control(&app.site).await?;
    let upload = control.upload(id).await?;
    if upload.offset != offset {
        let detail = format!("the upload has {} bytes; send from there", upload.offset);
        return Err(Refusal::new(Code::Conflict, detail));
    }
    let upload = match append(&control, upload.clone(), body, follows).await? {
        Some(upload) => upload,
        None if follows == Some(false) => control.append_upload(id, offset, &[], true).await?,
        None => upload,
    };
    Ok(shown(&upload))
}

fn shown(upload: &UploadView) -> Response {
    let mut response = json(StatusCode::OK, upload);
    let headers = response.headers_mut();
    headers.insert(OFFSET, upload.offset.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.into_response()
}

/// Tells how far an upload is.
#[utoipa::path(
    get, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "get_upload",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, description = "The upload.", body = UploadView,
        headers(("Upload-Offset" = u64, description = "Where the next bytes begin.")))),
)]
pub(crate) async fn get(
    caller: Caller,
    State(app): State<App>,
    Named(id): Named,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(shown(&caller.control(&app.site).await?.upload(upload_id(&id)?).await?))
}

//! What a run left.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use conductor_protocol::control::{Call, FilesView, Id};
use conductor_protocol::{Code, Problem};
use conductor_web::{Caller, Refusal};

use super::output::attempt;
use super::served::{Kind, attachment, served};
use crate::archive;
use crate::http::{Params, Task, Within, passed};
use crate::live::Source;
use crate::server::App;

/// Lists the files that a run left.
#[utoipa::path(
    get, path = "/v1/tasks/{id}/files", tag = "runs", operation_id = "list_files",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, description = "The files, as far as they are listed, and how many there are.", body = FilesView)),
)]
pub(crate) async fn list(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(passed(caller.control(&app.site).await?.call(Call::Files(Id { id })).await?))
}

/// Reads a file that a run left. What is neither text nor a raster image is an attachment.
#[utoipa::path(
    get, path = "/v1/tasks/{id}/files/{*path}", tag = "runs", operation_id = "get_file",
    params(
        ("id" = String, Path, format = Uuid),
        ("path" = String, Path, description = "Relative to the work folder; with its slashes."),
        ("Range" = Option<String>, Header, description = "A range of bytes."),
    ),
    responses(
        (status = 200, description = "The file.", content((String = "text/plain"), (String = "application/octet-stream"), (String = "image/*"))),
        (status = 206, description = "The range.", content((String = "text/plain"), (String = "application/octet-stream"), (String = "image/*"))),
        (status = 416, description = "Nothing of the range is there.", content((conductor_web::Shown = "application/problem+json"))),
    ),
)]
pub(crate) async fn get(
    caller: Caller,
    State(app): State<App>,
    Within(id, path): Within,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let kind = Kind::file(&path);
    served(&app, &caller, Source::File { id, path }, &headers, 0, kind).await
}

/// Reads what an attempt changed, as a patch.
#[utoipa::path(
    get, path = "/v1/tasks/{id}/diff", tag = "runs", operation_id = "get_diff",
    params(
        ("id" = String, Path, format = Uuid),
        ("attempt" = Option<u32>, Query, minimum = 1, maximum = 100, description = "The latest when none is given."),
        ("Range" = Option<String>, Header, description = "A range of bytes."),
    ),
    responses(
        (status = 200, description = "The patch.", content((String = "text/x-diff"))),
        (status = 206, description = "The range.", content((String = "text/x-diff"))),
        (status = 416, description = "Nothing of the range is there.", content((conductor_web::Shown = "application/problem+json"))),
    ),
)]
pub(crate) async fn diff(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let params = Params::read(query.as_deref(), &["attempt"])?;
    let source = Source::Diff { id, attempt: attempt(&params)? };
    served(&app, &caller, source, &headers, 0, Kind::diff()).await
}

/// Reads all files that a run left, as one compressed archive.
#[utoipa::path(
    get, path = "/v1/tasks/{id}/archive", tag = "runs", operation_id = "get_archive",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, description = "The listed files as tar.gz; `X-Conductor-Files-Left-Out` counts those beyond the list.",
        content((String = "application/gzip")))),
    extensions(("x-problems" = json!([413]))),
)]
pub(crate) async fn archive(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let files: FilesView = caller.control(&app.site).await?.ask(Call::Files(Id { id })).await?;
    let bytes: u64 = files.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
    let most = app.max_archive_bytes;
    if bytes > most {
        let detail = format!("the files have {bytes} bytes, an archive at most {most}; read them one by one");
        return Err(Problem::new(Code::PayloadTooLarge, detail).into());
    }
    let left_out = files.files_total.saturating_sub(files.files.len() as u64);
    let mut response = archive::stream(&app, &caller, id, files.files).into_response();
    let answered = response.headers_mut();
    answered.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    answered.insert(header::CONTENT_DISPOSITION, attachment(&format!("{id}.tar.gz")));
    answered.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answered.insert("x-conductor-files-left-out", left_out.into());
    Ok(response)
}

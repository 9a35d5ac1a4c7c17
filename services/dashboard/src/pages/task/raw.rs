//! What a task left, as bytes.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use conductor_protocol::Code;
use conductor_protocol::control::{FileCall, Output};
use conductor_web::Refusal;

use super::id_of;
use crate::archive;
use crate::format::short_id;
use crate::parts::{Parts, Source};
use crate::served;
use crate::visitor::Visitor;

/// `GET /tasks/{id}/files/{path}`
pub async fn file(visitor: Visitor, Path((id, path)): Path<(String, String)>) -> Response {
    let answer = async {
        let id = id_of(&id)?;
        let call = FileCall { id, path: path.clone(), offset: 0, limit: None };
        served::file(&path, Parts::new(visitor.control().await?, Source::File(call))).await
    };
    visitor.answer(answer.await)
}

/// `GET /tasks/{id}/archive`
pub async fn archive(visitor: Visitor, Path(id): Path<String>) -> Response {
    let answer = async {
        let id = id_of(&id)?;
        let control = visitor.control().await?;
        let view = control.files(id).await?;
        let left_out = view.files_total > view.files.len() as u64;
        if left_out {
            let detail =
                "the list of this task's files is cut; `conductor files` or the run's folder has all of them";
            return Err(Refusal::new(Code::PayloadTooLarge, detail));
        }
        let name = format!("{}.tar", short_id(&id));
        Ok(served::download(&name, archive::tar(control, id, view.files)))
    };
    visitor.answer(answer.await)
}

fn call(visitor: &Visitor, id: &str) -> Result<Output, Refusal> {
    let attempt = visitor.query().parsed("attempt")?;
    Ok(Output { id: id_of(id)?, attempt, offset: 0, follow: false, limit: None })
}

/// `GET /tasks/{id}/output`
pub async fn whole_output(visitor: Visitor, Path(id): Path<String>) -> Response {
    let answer = async {
        let source = Source::Output(call(&visitor, &id)?);
        served::text("output.log", Parts::new(visitor.control().await?, source)).await
    };
    visitor.answer(answer.await)
}

/// `GET /tasks/{id}/diff`
pub async fn patch(visitor: Visitor, Path(id): Path<String>) -> Response {
    let answer = async {
        let source = Source::Diff(call(&visitor, &id)?);
        served::text("diff.patch", Parts::new(visitor.control().await?, source)).await
    };
    visitor.answer(answer.await)
}

/// `GET /tasks/{id}/json`
pub async fn json(visitor: Visitor, Path(id): Path<String>) -> Response {
    let answer = async {
        let task = visitor.control().await?.get(id_of(&id)?).await?;
        let json = serde_json::to_vec_pretty(&task)
            .map_err(|_| Refusal::new(Code::Internal, "the task cannot be written"))?;
        Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
    };
    visitor.answer(answer.await)
}

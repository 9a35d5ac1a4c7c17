//! What can be done with a task.

use axum::extract::Path;
use axum::response::Response;
use conductor_protocol::Code;
use conductor_protocol::control::AnswerBody;
use conductor_web::{Refusal, Whole};

use super::id_of;
use crate::visitor::Visitor;

/// `POST /tasks/{id}/cancel`
pub async fn cancel(visitor: Visitor, Path(id): Path<String>, body: Whole) -> Response {
    let deed = async {
        visitor.form(&body)?;
        let id = id_of(&id)?;
        visitor.control().await?.cancel(id, None).await?;
        Ok(visitor.see(&format!("/tasks/{id}")))
    };
    visitor.answer(deed.await)
}

/// `POST /tasks/{id}/retry`
pub async fn retry(visitor: Visitor, Path(id): Path<String>, body: Whole) -> Response {
    let deed = async {
        visitor.form(&body)?;
        let submitted = visitor.control().await?.retry(id_of(&id)?).await?;
        first(&visitor, &submitted.ids)
    };
    visitor.answer(deed.await)
}

/// `POST /tasks/{id}/message`
pub async fn message(visitor: Visitor, Path(id): Path<String>, body: Whole) -> Response {
    let deed = async {
        let form = visitor.form(&body)?;
        let text = form.text("text").replace("\r\n", "\n");
        let submitted = visitor.control().await?.message(id_of(&id)?, text).await?;
        first(&visitor, &submitted.ids)
    };
    visitor.answer(deed.await)
}

fn first(visitor: &Visitor, ids: &[conductor_core::TaskId]) -> Result<Response, Refusal> {
    let id = ids.first().ok_or_else(|| Refusal::new(Code::Internal, "the orchestrator named no task"))?;
    Ok(visitor.see(&format!("/tasks/{id}")))
}

/// `POST /tasks/{id}/answer`
pub async fn answer(visitor: Visitor, Path(id): Path<String>, body: Whole) -> Response {
    let deed = async {
        let form = visitor.form(&body)?;
        let id = id_of(&id)?;
        let text = form.text("text").replace("\r\n", "\n");
        let answer = match form.text("do") {
            "allow" => AnswerBody::Allow,
            "deny" => AnswerBody::Deny,
            "text" | "" => AnswerBody::Text(text),
            _ => return Err(Refusal::new(Code::InvalidRequest, "the answer is not valid")),
        };
        let request = form.parsed("request")?;
        visitor.control().await?.answer(id, request, answer).await?;
        Ok(visitor.done(&format!("/tasks/{id}"), "answer"))
    };
    visitor.answer(deed.await)
}

/// `POST /tasks/{id}/pin`
pub async fn pin(visitor: Visitor, Path(id): Path<String>, body: Whole) -> Response {
    let deed = async {
        let form = visitor.form(&body)?;
        let id = id_of(&id)?;
        let (pinned, done) = match form.text("do") {
            "pin" => (true, "pin"),
            "unpin" => (false, "unpin"),
            _ => return Err(Refusal::new(Code::InvalidRequest, "the form is not valid")),
        };
        visitor.control().await?.pin(id, pinned).await?;
        Ok(visitor.done(&format!("/tasks/{id}"), done))
    };
    visitor.answer(deed.await)
}

/// `POST /tasks/{id}/delete`
pub async fn delete(visitor: Visitor, Path(id): Path<String>, body: Whole) -> Response {
    let deed = async {
        visitor.form(&body)?;
        visitor.control().await?.delete(id_of(&id)?).await?;
        Ok(visitor.done("/tasks", "delete"))
    };
    visitor.answer(deed.await)
}

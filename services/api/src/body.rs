//! JSON bodies, refused with the place that is wrong.

use axum::extract::{FromRequest, Request};
use axum::http::header;
use conductor_protocol::problem::FieldError;
use conductor_protocol::{Code, Problem};
use conductor_web::{Refusal, Whole};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::server::App;

/// A JSON body. Unknown fields and bad values are refused with their pointer.
#[derive(Debug, Clone)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        check_type(&request)?;
        let Whole(bytes) = Whole::from_request(request, app).await?;
        read(&bytes).map(Self).map_err(Refusal)
    }
}

/// Refuses a body that says it is something other than JSON. A page of another site cannot say that it is without
/// asking first.
pub(crate) fn check_type(request: &Request) -> Result<(), Refusal> {
    let Some(said) = request.headers().get(header::CONTENT_TYPE) else { return Ok(()) };
    let said = said.to_str().unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json" || essence.ends_with("+json");
    match is_json {
        true => Ok(()),
        false => Err(Refusal::new(
            Code::InvalidRequest,
            "the body must be JSON, with content-type application/json",
        )),
    }
}

/// Reads a JSON body.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize::<_, T>(&mut deserializer);
    let value = read.map_err(|error| {
        let pointer = pointer(error.path());
        Problem::invalid(vec![FieldError { pointer, detail: error.into_inner().to_string() }])
    })?;
    deserializer.end().map_err(|error| Problem::at("", error.to_string()))?;
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let escaped = |text: &str| text.replace('~', "~0").replace('/', "~1");
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", escaped(key)),
        Segment::Enum { variant } => format!("{pointer}/{}", escaped(variant)),
        Segment::Unknown => pointer,
    })
}

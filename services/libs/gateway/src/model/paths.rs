//! What of a model's service a run may ask.

use hyper::Method;

use super::Wire;

/// The longest path.
const MAX_PATH_BYTES: usize = 1_024;

/// Whether a request is one to a model. Nothing else goes through: no files, no batches, no accounts.
pub(super) fn is_to_a_model(wire: Wire, method: &Method, path: &str) -> bool {
    if path.len() > MAX_PATH_BYTES
        || path.contains("..")
        || path.contains("//")
        || path.contains(['%', '\\', ';'])
    {
        return false;
    }
    let Some(rest) = path.strip_prefix('/') else { return false };
    let is_read = method == Method::GET || method == Method::HEAD;
    let is_post = method == Method::POST;
    match wire {
        Wire::Anthropic => match rest {
            "v1/messages" | "v1/messages/count_tokens" => is_post,
            other => is_read && is_model(other, "v1/models"),
        },
        Wire::OpenAi => match rest {
            "v1/responses" | "v1/responses/compact" | "v1/chat/completions" => is_post,
            other => is_read && is_model(other, "v1/models"),
        },
        Wire::Gemini => {
            let Some((version, rest)) = rest.split_once('/') else { return false };
            if !matches!(version, "v1" | "v1beta" | "v1alpha") {
                return false;
            }
            match rest.strip_prefix("models/").and_then(|rest| rest.split_once(':')) {
                Some((model, action)) => {
                    let known = ["generateContent", "streamGenerateContent", "countTokens", "embedContent"];
                    is_post && !model.is_empty() && !model.contains('/') && known.contains(&action)
                }
                None => is_read && is_model(rest, "models"),
            }
        }
    }
}

/// The list of models, or one of them.
fn is_model(path: &str, list: &str) -> bool {
    match path.strip_prefix(list) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('/').is_some_and(|model| !model.is_empty() && !model.contains('/')),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_asked_and_nothing_else() {
        let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
        for (wire, method, path) in [
            (Wire::Anthropic, &post, "/v1/messages"),
            (Wire::Anthropic, &post, "/v1/messages/count_tokens"),
            (Wire::Anthropic, &get, "/v1/models/claude-x"),
            (Wire::OpenAi, &post, "/v1/responses"),
            (Wire::OpenAi, &get, "/v1/models"),
            (Wire::Gemini, &post, "/v1beta/models/gemini-2.5-pro:streamGenerateContent"),
            (Wire::Gemini, &get, "/v1beta/models"),
        ] {
            assert!(is_to_a_model(wire, method, path), "{path}");
        }
        for (wire, method, path) in [
            (Wire::Anthropic, &get, "/v1/messages"),
            (Wire::Anthropic, &post, "/v1/messages/batches"),
            (Wire::Anthropic, &post, "/v1/files"),
            (Wire::Anthropic, &get, "/v1/organizations/me"),
            (Wire::Anthropic, &post, "/v1/messages/../files"),
            (Wire::Anthropic, &post, "/v1/%66iles"),
            (Wire::Anthropic, &delete, "/v1/models/x"),
            (Wire::Anthropic, &post, "//v1/messages"),
            (Wire::OpenAi, &post, "/v1/files"),
            (Wire::OpenAi, &get, "/v1/responses/resp_1"),
            (Wire::OpenAi, &post, "/v1/models"),
            (Wire::OpenAi, &get, "/v1/models/a/b"),
            (Wire::Gemini, &post, "/v1beta/cachedContents"),
            (Wire::Gemini, &post, "/v1beta/models/x:tune"),
            (Wire::Gemini, &post, "/v1beta/models/:generateContent"),
            (Wire::Gemini, &get, "/upload/v1beta/files"),
        ] {
            assert!(!is_to_a_model(wire, method, path), "{path}");
        }
    }
}

//! How Claude Code is spoken with.

use serde_json::{Value, json};

use super::super::super::control::Answer;
use super::super::parse::Ask;
use super::NOT_ALLOWED;

/// The tool by which Claude Code asks what its user wants.
const ASKS_USER: &str = "AskUserQuestion";

/// What is known of a conversation.
#[derive(Debug, Default)]
pub(super) struct Voice {
    /// Messages that it has not taken up, by the names that they were given.
    untaken: Vec<String>,
}

impl Voice {
    pub fn tell(&mut self, text: &str) -> Value {
        let name = uuid::Uuid::now_v7().to_string();
        let content = json!([{"type": "text", "text": text}]);
        let line = json!({
            "type": "user", "uuid": &name, "session_id": "", "parent_tool_use_id": null,
            "message": {"role": "user", "content": content},
        });
        self.untaken.push(name);
        line
    }

    pub fn took(&mut self, name: &str) {
        self.untaken.retain(|known| known != name);
    }

    pub fn has_untaken(&self) -> bool {
        !self.untaken.is_empty()
    }
}

/// What is not offered here.
pub(super) fn not_supported(id: &str) -> Value {
    let response = json!({"subtype": "error", "request_id": id, "error": "not supported"});
    json!({"type": "control_response", "response": response})
}

pub(super) fn refusal(ask: &Ask, why: &str) -> Value {
    respond(ask, &json!({"behavior": "deny", "message": why}))
}

/// What a person answered.
pub(super) fn answer(ask: &Ask, answer: &Answer) -> Value {
    match decision(ask, answer) {
        Ok(response) => respond(ask, &response),
        Err(why) => refusal(ask, &why),
    }
}

fn respond(ask: &Ask, response: &Value) -> Value {
    let response = json!({"subtype": "success", "request_id": ask.id, "response": response});
    json!({"type": "control_response", "response": response})
}

/// What the program wants to know of its user, where that is what it asks.
pub(super) fn questions(ask: &Ask) -> Option<&Vec<Value>> {
    ask.input.get("questions").filter(|_| ask.tool == ASKS_USER)?.as_array().filter(|all| !all.is_empty())
}

/// A question with what may be chosen.
pub(super) fn shown(question: &Value) -> String {
    let text = question["question"].as_str().unwrap_or_default();
    let options = question["options"].as_array().into_iter().flatten();
    let options: Vec<_> = options.filter_map(|option| option["label"].as_str()).collect();
    if options.is_empty() { text.to_owned() } else { format!("{text} ({})", options.join(", ")) }
}

/// What the program is answered, or why it may not.
fn decision(ask: &Ask, answer: &Answer) -> Result<Value, String> {
    match (answer, questions(ask)) {
        // Without an input the tool gets the one that it asked with: the one known here has no secrets in it.
        (Answer::Allow, None) => Ok(json!({"behavior": "allow"})),
        (Answer::Deny, _) => Err(NOT_ALLOWED.to_owned()),
        (Answer::Text(text), None) => Err(format!("A person did not allow this, and says: {text}")),
        (Answer::Expired, _) => Err("Nobody answered.".to_owned()),
        (Answer::Allow, Some(questions)) => Ok(told(ask, questions, "Yes")),
        (Answer::Text(text), Some(questions)) => Ok(told(ask, questions, text)),
    }
}

fn told(ask: &Ask, questions: &[Value], answer: &str) -> Value {
    let texts = questions.iter().filter_map(|question| question["question"].as_str());
    let answers: serde_json::Map<_, _> =
        texts.map(|text| (text.to_owned(), Value::String(answer.to_owned()))).collect();
    let mut input = ask.input.clone();
    input["answers"] = Value::Object(answers);
    json!({"behavior": "allow", "updatedInput": input})
}

//! `runners.<name>.gateway.*`: what stands between a runner and its model.

use serde::Deserialize;

/// `runners.<name>.gateway.*` as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "`GatewaySpec` tells the fields")]
pub struct GatewayConfig {
    pub enabled: Option<bool>,
    pub wire: Option<GatewayWire>,
    pub upstream: Option<String>,
    pub variable: Option<String>,
    pub credentials: Option<Vec<String>>,
    pub max_tokens: Option<u64>,
}

/// In which format a model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayWire {
    /// That of Anthropic.
    Anthropic,
    /// That of OpenAI.
    Openai,
    /// That of Gemini.
    Gemini,
}

/// How a program asks its model through the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySpec {
    /// In which format.
    pub wire: GatewayWire,
    /// Where the model is, unless the variable says otherwise.
    pub upstream: String,
    /// The variable by which the program is told where its model is.
    pub variable: Option<String>,
    /// The credentials that the gateway can put in; with another one the program has to ask its model itself.
    pub credentials: Vec<String>,
    /// The most tokens of one attempt.
    pub max_tokens: Option<u64>,
}

impl GatewayConfig {
    pub(super) fn over(self, below: &Self) -> Self {
        Self {
            enabled: self.enabled.or(below.enabled),
            wire: self.wire.or(below.wire),
            upstream: self.upstream.or_else(|| below.upstream.clone()),
            variable: self.variable.or_else(|| below.variable.clone()),
            credentials: self.credentials.or_else(|| below.credentials.clone()),
            max_tokens: self.max_tokens.or(below.max_tokens),
        }
    }

    pub(super) fn spec(self) -> Option<GatewaySpec> {
        if self.enabled == Some(false) {
            return None;
        }
        Some(GatewaySpec {
            wire: self.wire?,
            upstream: self.upstream?,
            variable: self.variable,
            credentials: self.credentials.unwrap_or_default(),
            max_tokens: self.max_tokens,
        })
    }
}

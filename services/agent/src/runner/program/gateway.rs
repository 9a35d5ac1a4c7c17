//! The gateway of a run: whether a program asks its model through it, and what the program is told of it.

use std::net::TcpListener;
use std::path::Path;

use conductor_gateway::{Gateways, Limit, Model, ModelOrder, Price, Proxy, Wire};
use conductor_runtime::config::{GatewaySpec, GatewayWire, RunnerSpec};
use conductor_runtime::secrets::Secret;
use url::Url;

use super::super::network::OWN_HOSTS;
use super::credential::{Credential, Programs};

/// The place in a command for what tells the program of its gateway.
pub(super) const PLACE: &str = "{gateway}";
/// What a token begins with. It is good for one attempt.
const PREFIX: &str = "cdt-";
/// The largest file of authorities.
const MAX_AUTHORITIES_BYTES: u64 = 4 << 20;

/// How a program asks its model: none when it does so itself, and so holds the real credential.
pub(in crate::runner) fn asked<'a>(spec: &'a RunnerSpec, credential: &Credential) -> Option<&'a GatewaySpec> {
    let gateway = spec.gateway.as_ref()?;
    let is_told = gateway.variable.is_some()
        || spec.command.iter().any(|word| word == PLACE)
        || spec.env.values().any(|value| value.contains(PLACE));
    (is_told && gateway.credentials.contains(&credential.name)).then_some(gateway)
}

/// Makes a token for one attempt.
pub(in crate::runner) fn token() -> Secret {
    let [one, other] = [(); 2].map(|()| uuid::Uuid::new_v4().simple().to_string());
    Secret::new(format!("{PREFIX}{one}{other}"))
}

/// Opens the gateway of a run.
pub(super) fn open(
    (gateways, listener): (&Gateways, Option<TcpListener>),
    programs: &Programs,
    spec: &RunnerSpec,
    gateway: &GatewaySpec,
    (credential, token): (&Credential, &Secret),
    limit: Limit,
) -> Result<Model, String> {
    let named = gateway.variable.as_ref().and_then(|name| {
        let own = spec.env.get(name).map(String::as_str);
        own.or_else(|| spec.inherit_env.contains(name).then(|| programs.variable(name)).flatten())
    });
    let upstream = named.unwrap_or(&gateway.upstream);
    // Some write the version, which programs write too.
    let base = upstream.trim_end_matches('/');
    let base =
        if gateway.wire == GatewayWire::Openai { base.strip_suffix("/v1").unwrap_or(base) } else { base };
    let upstream =
        Url::parse(base).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let upstream = upstream.ok_or_else(|| format!("{base:?} is no address of a model"))?;
    let price = |price: &conductor_runtime::config::Price| Price {
        input: price.input,
        cached_input: price.cached_input,
        output: price.output,
    };
    let order = ModelOrder {
        wire: match gateway.wire {
            GatewayWire::Anthropic => Wire::Anthropic,
            GatewayWire::Openai => Wire::OpenAi,
            GatewayWire::Gemini => Wire::Gemini,
        },
        upstream,
        key: credential.value.clone(),
        token: token.clone(),
        limit,
        prices: spec.prices.iter().map(|(model, of)| (model.clone(), price(of))).collect(),
        proxy: proxy(programs),
        authorities: programs.variable("NODE_EXTRA_CA_CERTS").and_then(|path| authorities(Path::new(path))),
    };
    gateways.model_on(listener, order).map_err(|error| format!("its gateway cannot be opened: {error}"))
}

/// The proxy of the owner's network, as programs know it.
pub(in crate::runner) fn proxy(programs: &Programs) -> Option<Proxy> {
    let either = |name: &str| programs.variable(name).or_else(|| programs.variable(&name.to_lowercase()));
    Proxy::new(either("HTTPS_PROXY")?, either("NO_PROXY").unwrap_or_default())
}

fn authorities(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_AUTHORITIES_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Has a program find its gateway, and reach it without a proxy.
pub(super) fn tell(own: &mut Vec<(String, std::ffi::OsString)>, gateway: &GatewaySpec, url: &str) {
    if let Some(variable) = &gateway.variable {
        own.retain(|(name, _)| !name.eq_ignore_ascii_case(variable));
        own.push((variable.clone(), url.into()));
    }
    let mut direct = OWN_HOSTS.to_owned();
    if let Some((_, known)) = own.iter().find(|(name, _)| name.eq_ignore_ascii_case("NO_PROXY"))
        && let Some(known) = known.to_str().filter(|known| !known.is_empty() && *known != OWN_HOSTS)
    {
        direct = format!("{known},{direct}");
    }
    own.retain(|(name, _)| !name.eq_ignore_ascii_case("NO_PROXY"));
    own.extend(["NO_PROXY", "no_proxy"].map(|name| (name.to_owned(), direct.clone().into())));
}

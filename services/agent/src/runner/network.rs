//! Where the processes of a run may connect to: what is opened for them, what their keeper is told, what they are told themselves.
//!
//! Where a keeper has a network of its own, nothing is in there but three listeners that are answered from here: the proxy, the
//! gateway to the model, and the way to the API. Elsewhere the kernel lets connections through to the ports of these alone.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use conductor_gateway::{Egress, Error, Forward, Gateways, HostRule};
use conductor_runtime::config::{self, RunnerSpec};
use conductor_runtime::secrets::Secret;
use url::{Host, Url};

use super::attempt::{Attempt, What};
use super::confined;
use super::program::Programs;
use crate::process::Keeper;
use crate::sandbox::{Kind, Sandbox};

/// What must not go through a proxy: what is beside the run.
pub(super) const OWN_HOSTS: &str = "127.0.0.1,localhost,::1";
/// Variables that send programs through a proxy, in both spellings.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"];
/// The same, and those that programs have besides; nothing of them comes from the agent's environment where egress is held.
const ALL_PROXY_VARIABLES: [&str; 4] = ["https_proxy", "http_proxy", "all_proxy", "no_proxy"];
/// The variable that makes Node.js heed the others.
const NODE: &str = "NODE_USE_ENV_PROXY";
const HTTPS: u16 = 443;

/// What a run is to reach.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reach {
    egress: config::Egress,
    /// Hosts besides those of the list.
    hosts: Vec<HostRule>,
    /// Ports that it connects to itself: of servers on this machine, or of an API that is not.
    ports: Vec<u16>,
    /// The API of this machine.
    api: Option<SocketAddr>,
}

/// The ways out of a run. They close when this goes.
#[derive(Debug)]
pub(super) struct Ways {
    proxy: Option<(Arc<Egress>, String)>,
    forward: Option<Forward>,
    /// The ports that it may connect to; none where no rule on ports holds it.
    ports: Option<Vec<u16>>,
    is_held: bool,
}

impl Reach {
    /// What an attempt is to reach; with a gateway, its model is not among it.
    pub fn of(attempt: &Attempt, programs: &Programs, has_gateway: bool) -> Self {
        let kind = confined::kind(&attempt.what).unwrap_or(Kind::Command);
        let egress = programs.sandbox.egress(kind);
        let mut reach = Self { egress, hosts: Vec::new(), ports: Vec::new(), api: None };
        if let (What::Program(order), false) = (&attempt.what, has_gateway) {
            reach.add_hosts_of(&order.spec, programs);
        }
        let repository = attempt.git.workspace.as_ref().and_then(|workspace| Url::parse(&workspace.url).ok());
        if egress == config::Egress::Allowlist
            && let Some(host) = repository.as_ref().and_then(Url::host_str)
        {
            let port = repository.as_ref().and_then(Url::port_or_known_default).unwrap_or(HTTPS);
            reach.hosts.extend([HostRule::exact(host, port), HostRule::exact(host, HTTPS)]);
        }
        if let Some(url) = attempt.submits.as_ref().and_then(|submits| Url::parse(&submits.url).ok()) {
            let port = url.port_or_known_default().unwrap_or(HTTPS);
            match loopback(&url) {
                Some(at) if url.scheme() == "http" => reach.api = Some(SocketAddr::new(at, port)),
                Some(_) | None => reach.ports.push(port),
            }
        }
        reach
    }

    /// Adds what a program needs that asks its model itself.
    fn add_hosts_of(&mut self, spec: &RunnerSpec, programs: &Programs) {
        let is_base = |name: &str| name.ends_with("_BASE_URL") || name.ends_with("_API_BASE");
        let own = spec.env.iter().filter(|(name, _)| is_base(name)).map(|(_, value)| value.as_str());
        let inherited =
            spec.inherit_env.iter().filter(|name| is_base(name)).filter_map(|name| programs.variable(name));
        let written = spec.files.values().chain(&spec.command).flat_map(|text| urls_in(text));
        let urls = own.chain(inherited).chain(written).filter_map(|value| Url::parse(value).ok());
        let named = spec
            .egress_hosts
            .iter()
            .filter_map(|host| Url::parse(&format!("http://{host}")).ok().map(|url| (host, url)));
        for url in urls {
            let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { continue };
            match loopback(&url) {
                Some(_) => self.ports.push(port),
                None => self.hosts.push(HostRule::exact(host, port)),
            }
        }
        for (host, url) in named {
            match (loopback(&url), url.port(), host.parse()) {
                (Some(_), Some(port), _) => self.ports.push(port),
                (_, _, Ok(rule)) => self.hosts.push(rule),
                // What is no rule was told when the configuration was read.
                (_, _, Err(_)) => {}
            }
        }
    }

    /// Whether it can be had in a network of its own.
    pub fn takes_own_network(&self, sandbox: &Sandbox) -> bool {
        sandbox.has_own_network() && self.egress != config::Egress::Open && self.ports.is_empty()
    }
}

/// The addresses in a text that the owner wrote.
fn urls_in(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ',' | ')' | ']' | '}');
    let starts = ["http://", "https://"].into_iter().flat_map(|scheme| text.match_indices(scheme));
    starts.map(move |(at, _)| text[at..].split(ends).next().unwrap_or_default())
}

fn loopback(url: &Url) -> Option<std::net::IpAddr> {
    match url.host()? {
        Host::Ipv4(at) => at.is_loopback().then_some(at.into()),
        Host::Ipv6(at) => at.is_loopback().then_some(at.into()),
        Host::Domain(name) => (name == "localhost").then_some(std::net::Ipv4Addr::LOCALHOST.into()),
    }
}

/// The proxy of a slot's keeper, which is opened with the first run that needs it.
#[derive(Debug, Default)]
pub(super) struct Proxies(Vec<(i32, Arc<Egress>)>);

impl Proxies {
    /// A slot has a keeper with a network of its own and one without.
    const MOST: usize = 2;

    fn of(&mut self, keeper: &Keeper, gateways: &Gateways) -> Result<Arc<Egress>, Error> {
        if let Some((_, known)) = self.0.iter().find(|(pid, _)| *pid == keeper.pid()) {
            return Ok(Arc::clone(known));
        }
        let listener = keeper.network().map(|network| network.proxy.try_clone());
        let listener = listener.transpose().map_err(Error::Listen)?;
        let opened = Arc::new(gateways.egress_on(listener)?);
        if self.0.len() == Self::MOST {
            // Those of keepers that are gone come first.
            self.0.remove(0);
        }
        self.0.push((keeper.pid(), Arc::clone(&opened)));
        Ok(opened)
    }
}

impl Ways {
    /// Opens what a run is to reach.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub fn open(
        reach: Reach,
        keeper: &Keeper,
        sandbox: &Sandbox,
        (proxies, gateways): (&mut Proxies, &Gateways),
    ) -> Result<Self, Error> {
        let Reach { egress, hosts, mut ports, api } = reach;
        if egress == config::Egress::Open {
            return Ok(Self { proxy: None, forward: None, ports: None, is_held: false });
        }
        let needs_proxy = egress == config::Egress::Allowlist || !hosts.is_empty();
        let proxy = match needs_proxy {
            true => {
                let proxy = proxies.of(keeper, gateways)?;
                let token = Secret::new(uuid::Uuid::new_v4().simple().to_string());
                let url = proxy.url(&token);
                ports.push(proxy.port());
                proxy.begin(token, sandbox.ways().rules(egress, hosts));
                Some((proxy, url))
            }
            false => None,
        };
        let (forward, ports) = match (keeper.network(), api) {
            (Some(network), Some(api)) => {
                let listener = network.api.try_clone().map_err(Error::Listen)?;
                (Some(gateways.forward(listener, api)?), None)
            }
            (Some(_), None) => (None, None),
            (None, api) => {
                ports.extend(api.map(|api| api.port()));
                (None, Some(ports))
            }
        };
        Ok(Self { proxy, forward, ports, is_held: true })
    }

    /// The ports that it may connect to, with one more; none where no rule on ports holds it.
    pub fn ports(&self, more: Option<u16>) -> Option<Vec<u16>> {
        self.ports.as_ref().map(|ports| ports.iter().copied().chain(more).collect())
    }

    /// What tells programs of the proxy.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let proxied = self.proxy.iter().flat_map(|(_, url)| PROXY_VARIABLES.map(|name| (name, url.as_str())));
        let besides =
            self.proxy.iter().flat_map(|_| [("NO_PROXY", OWN_HOSTS), ("no_proxy", OWN_HOSTS), (NODE, "1")]);
        proxied.chain(besides)
    }

    /// Puts these in the place of the agent's own, which lead nowhere where egress is held.
    pub fn tell(&self, own: &mut Vec<(String, OsString)>) {
        if !self.is_held {
            return;
        }
        own.retain(|(name, _)| !ALL_PROXY_VARIABLES.iter().any(|other| name.eq_ignore_ascii_case(other)));
        own.extend(self.variables().map(|(name, value)| (name.to_owned(), value.into())));
    }

    /// Where it finds the API that lies at this address for others.
    pub fn api_url(&self, url: &str) -> String {
        let Some(forward) = &self.forward else { return url.to_owned() };
        let Ok(mut own) = Url::parse(url) else { return url.to_owned() };
        let at = forward.address();
        if own.set_ip_host(at.ip()).is_err() || own.set_port(Some(at.port())).is_err() {
            return url.to_owned();
        }
        own.as_str().trim_end_matches('/').to_owned()
    }
}

impl Drop for Ways {
    fn drop(&mut self) {
        if let Some((proxy, _)) = &self.proxy {
            proxy.end();
        }
    }
}

/// The listener for the gateway to a run's model; none where it listens on this machine.
pub(super) fn model_listener(keeper: &Keeper) -> std::io::Result<Option<TcpListener>> {
    keeper.network().map(|network| network.model.try_clone()).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::program::tests::{attempt, spec};
    use crate::runner::{Order, Submits};
    use crate::sandbox::{Kernel, Needs, Ways as Allowed};

    fn programs(egress: config::Egress) -> Programs {
        let kernel = Kernel { landlock: 7, filter: true, own_network: true };
        let sandbox = Sandbox::new(None, kernel, &Needs::default()).unwrap();
        let ways = Allowed { egress, ..Allowed::default() };
        Programs { sandbox: sandbox.with_ways(ways), ..Programs::default() }
    }

    fn of_program(spec: RunnerSpec, has_gateway: bool) -> Reach {
        let order = Order { spec: Arc::new(spec), ..crate::runner::program::tests::order() };
        let attempt = Attempt { what: What::Program(Box::new(order)), ..attempt() };
        Reach::of(&attempt, &programs(config::Egress::Model), has_gateway)
    }

    #[test]
    fn a_program_without_a_gateway_reaches_its_own_hosts_and_with_one_none() {
        let mut asks = spec(&["x"]);
        asks.egress_hosts = vec!["api.example.com".into(), "localhost:11434".into()];
        asks.files.insert("x.json".into(), r#"{"url":"https://written.example.com/v1"}"#.into());
        asks.env.insert("OPENAI_BASE_URL".into(), "https://models.example.com:8443/v1".into());
        let reach = of_program(asks.clone(), false);
        let hosts = ["models.example.com:8443", "written.example.com:443", "api.example.com"]
            .map(|host| host.parse().unwrap());
        assert_eq!((reach.hosts.as_slice(), reach.ports.as_slice()), (&hosts[..], &[11_434][..]));
        assert!(
            !reach.takes_own_network(&programs(config::Egress::Model).sandbox),
            "a server of this machine is not in one"
        );
        let reach = of_program(asks, true);
        assert_eq!((reach.hosts.len(), reach.ports.len()), (0, 0));
        assert!(reach.takes_own_network(&programs(config::Egress::Model).sandbox));
    }

    #[test]
    fn the_api_of_this_machine_is_reached_through_and_that_of_another_by_its_port() {
        let submits = |url: &str| {
            let submits = Some(Submits { url: url.into(), token: Secret::new("t") });
            Reach::of(&Attempt { submits, ..attempt() }, &programs(config::Egress::Allowlist), false)
        };
        let near = submits("http://127.0.0.1:8081");
        assert_eq!((near.api, near.ports.as_slice()), (Some("127.0.0.1:8081".parse().unwrap()), &[][..]));
        let far = submits("https://conductor.example.com/sub");
        assert_eq!((far.api, far.ports.as_slice()), (None, &[443][..]));
    }

    #[test]
    fn the_host_of_the_repository_is_on_the_list_and_not_with_the_model_alone() {
        let mut asked = attempt();
        asked.git.workspace =
            serde_json::from_value(serde_json::json!({"url": "https://git.example.com/a.git"})).unwrap();
        let hosts = |egress| Reach::of(&asked, &programs(egress), false).hosts;
        assert!(hosts(config::Egress::Allowlist).contains(&HostRule::exact("git.example.com", 443)));
        assert!(hosts(config::Egress::Model).is_empty() && hosts(config::Egress::Open).is_empty());
    }
}

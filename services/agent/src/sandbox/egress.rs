//! Where runs may connect to, as the owner says.

use std::sync::Arc;

use conductor_gateway::{EgressRules, HostRule, Proxy};
use conductor_runtime::config::{Egress, Reachable};

/// The ways to other hosts.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// What is held.
    pub egress: Egress,
    /// What the list has.
    pub hosts: Arc<[HostRule]>,
    /// Addresses that may be reached although they are private.
    pub private: Vec<Reachable>,
    /// The proxy of the owner's network.
    pub proxy: Option<Proxy>,
}

impl Ways {
    /// The rules of a run that reaches hosts of its own besides those of the list; without the list where only its model is for it.
    pub(crate) fn rules(&self, egress: Egress, own: Vec<HostRule>) -> EgressRules {
        let hosts = match egress {
            Egress::Allowlist => Arc::clone(&self.hosts),
            Egress::Model | Egress::Open => Arc::default(),
        };
        EgressRules { open: false, hosts, own, private: self.private.clone(), proxy: self.proxy.clone() }
    }
}

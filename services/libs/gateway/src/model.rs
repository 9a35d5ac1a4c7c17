//! The gateway between a coding agent and its model.

mod auth;
mod cut;
mod meter;
mod paths;
mod service;
mod upstream;
mod usage;

use std::net::TcpListener;
use std::sync::Arc;

use conductor_runtime::credentials::Secret;
use url::Url;

use meter::Meter;
pub use meter::{ASSUMED_PRICE, Exceeded, Limit, Price, Used, named};
use service::Service;

use crate::places::Proxy;
use crate::thread::{Error, Gateways, Open};

/// The most connections of one run at the same time; more wait to be taken.
const MAX_CONNECTIONS: usize = 64;

/// In which format a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// `POST /v1/messages`.
    Anthropic,
    /// `POST /v1/responses` and `/v1/chat/completions`.
    OpenAi,
    /// `POST /v1beta/models/MODEL:streamGenerateContent`.
    Gemini,
}

/// What a gateway is to do.
#[derive(Debug, Clone)]
pub struct ModelOrder {
    /// In which format.
    pub wire: Wire,
    /// Where the model is; its path goes before that of each request.
    pub upstream: Url,
    /// The real key.
    pub key: Secret,
    /// What the run shows instead.
    pub token: Secret,
    /// What may be used.
    pub limit: Limit,
    /// Prices by model; one that ends in `*` is that of all that begin so.
    pub prices: Vec<(String, Price)>,
    /// Through which the model is reached.
    pub proxy: Option<Proxy>,
    /// Authorities besides those of the machine, as PEM. The first order says them for all.
    pub authorities: Option<Vec<u8>>,
}

/// An open gateway. With it go its port, its token and its connections.
#[derive(Debug)]
pub struct Model {
    open: Open,
    meter: Arc<Meter>,
}

impl Gateways {
    /// Opens a gateway to a model.
    ///
    /// # Errors
    /// When there is no port, or the thread of gateways is gone.
    pub fn model(&self, order: ModelOrder) -> Result<Model, Error> {
        self.model_on(None, order)
    }

    /// The same on a listener, which may be in another network than this process.
    ///
    /// # Errors
    /// When it cannot be listened on, or the thread of gateways is gone.
    pub fn model_on(&self, listener: Option<TcpListener>, order: ModelOrder) -> Result<Model, Error> {
        let meter = Arc::new(Meter::new(order.limit, order.prices.clone()));
        let service = Service::new(order, Arc::clone(&meter));
        let open =
            self.open(listener, MAX_CONNECTIONS, move |stream| service::serve(stream, service.clone()))?;
        Ok(Model { open, meter })
    }
}

impl Model {
    /// Where a run finds it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.open.address())
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.open.address().port()
    }

    /// What was used so far.
    #[must_use]
    pub fn used(&self) -> Used {
        self.meter.used()
    }

    /// Which limit was passed, if one was.
    #[must_use]
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.meter.exceeded()
    }

    /// Sets another limit, which holds from now on, also for what is under way.
    pub fn set_limit(&self, limit: Limit) {
        self.meter.set_limit(limit);
    }

    /// Ends it now.
    pub fn close(&self) {
        self.open.close();
    }
}

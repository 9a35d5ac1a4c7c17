//! The API and the dashboard of `up`, in this process.

use std::time::Duration;

use conductor_client::{Control, Link, Patience, Target};
use conductor_orchestrator::Running;
use conductor_runtime::clock::Clock;
use conductor_runtime::config::{AuthMode, Loaded};
use conductor_runtime::lifecycle::{Ended, Shutdown};

use super::find::options;
use crate::exit::{Failure, chain};

/// How long connections have to end.
const END: Duration = Duration::from_secs(5);

/// The API and the dashboard, as long as they run.
#[derive(Debug)]
pub struct Http {
    shutdown: Shutdown,
    /// Where the API is found.
    pub api_url: String,
    /// Where the dashboard is found.
    pub dashboard_url: String,
    /// Where a browser is logged in, once; none when nobody has to log in.
    pub login_url: Option<String>,
}

/// Where they are found.
struct Urls {
    api: String,
    dashboard: String,
    login: Option<String>,
}

impl Http {
    /// Starts both over an orchestrator of this process. Nothing is left running when one of them cannot.
    pub async fn start(loaded: &Loaded, running: &Running) -> Result<Self, Failure> {
        let shutdown = Shutdown::new();
        match Self::listen(loaded, running, &shutdown).await {
            Ok(Urls { api, dashboard, login }) => {
                Ok(Self { shutdown, api_url: api, dashboard_url: dashboard, login_url: login })
            }
            Err(failure) => {
                shutdown.kill();
                shutdown.finish(END).await;
                Err(failure)
            }
        }
    }

    async fn listen(loaded: &Loaded, running: &Running, shutdown: &Shutdown) -> Result<Urls, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::Failed(chain(error));
        let config = conductor_api::Config::new(&loaded.config);
        let way = link(loaded, running).await?;
        let api = conductor_api::start(config, Clock::System, shutdown, way).await;
        let api = api.map_err(|error| failed(&error))?;
        let config = conductor_dashboard::Config::new(&loaded.config);
        let mut way = link(loaded, running).await?;
        let login = match loaded.config.auth.mode {
            AuthMode::Token => Some(way.control().await?.make_login().await?),
            AuthMode::None => None,
        };
        let dashboard = conductor_dashboard::start(config, Clock::System, shutdown, way).await;
        let dashboard = dashboard.map_err(|error| failed(&error))?.url;
        // Behind a proxy people come by the public address, and the session's cookie belongs to that.
        let public =
            loaded.config.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        let front = public.unwrap_or_else(|| dashboard.clone());
        let login = login.map(|login| format!("{front}/login?code={}", login.code));
        Ok(Urls { api: api.url, dashboard, login })
    }

    /// Waits until something in it fails, which ends it.
    pub async fn failed(&self) {
        self.shutdown.draining().await;
    }

    /// Ends both, streams first.
    pub async fn end(&self, at_once: bool) -> Ended {
        if at_once {
            self.shutdown.kill();
        }
        self.shutdown.finish(END).await
    }
}

/// A way to the orchestrator that begins within this process.
async fn link(loaded: &Loaded, running: &Running) -> Result<Link, Failure> {
    let target = Target::of_home(&loaded.home);
    let Some(stream) = running.connect() else { return Ok(Link::new(target, options(), Patience::None)) };
    let control = Control::over(stream, running.control_key(), options()).await?;
    Ok(Link::over(target, options(), Patience::None, control))
}

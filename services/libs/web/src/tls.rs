//! The certificate of a listener, read anew when its files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use conductor_runtime::config::Tls;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the certificate or key {path}")]
    Read { path: PathBuf, source: pem::Error },
    #[error("{path} holds no certificate")]
    Empty { path: PathBuf },
    #[error("the certificate {path} cannot be used with its key")]
    Unfit { path: PathBuf, source: rustls::Error },
}

/// The certificate of a listener.
#[derive(Debug)]
pub(crate) struct Certificate {
    cert_file: PathBuf,
    key_file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    changed: Times,
    looked: Instant,
}

/// When the two files were last changed.
type Times = [Option<SystemTime>; 2];

impl Certificate {
    /// Reads the configured files; nothing when none are.
    pub(crate) fn configured(tls: &Tls) -> Result<Option<Self>, Error> {
        let (Some(cert_file), Some(key_file)) = (&tls.cert_file, &tls.key_file) else { return Ok(None) };
        // Before the reading: what changes meanwhile is read again.
        let changed = times(cert_file, key_file);
        let state = State { config: read(cert_file, key_file)?, changed, looked: Instant::now() };
        Ok(Some(Self { cert_file: cert_file.clone(), key_file: key_file.clone(), state: Mutex::new(state) }))
    }

    /// What the next connection is accepted with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK {
            state.looked = Instant::now();
            let changed = times(&self.cert_file, &self.key_file);
            if changed != state.changed {
                state.changed = changed;
                self.replace(&mut state);
            }
        }
        TlsAcceptor::from(Arc::clone(&state.config))
    }

    fn replace(&self, state: &mut State) {
        let path = self.cert_file.display();
        match read(&self.cert_file, &self.key_file) {
            Ok(config) => {
                state.config = config;
                tracing::info!(%path, "read the certificate anew");
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the certificate changed and cannot be used; the earlier one stays in use"
            ),
        }
    }
}

fn times(cert_file: &Path, key_file: &Path) -> Times {
    [cert_file, key_file].map(|path| path.metadata().and_then(|found| found.modified()).ok())
}

fn read(cert_file: &Path, key_file: &Path) -> Result<Arc<ServerConfig>, Error> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    };
    let certificates = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable(cert_file))?;
    if certificates.is_empty() {
        return Err(Error::Empty { path: cert_file.to_owned() });
    }
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(unreadable(key_file))?;
    let unfit = |source| Error::Unfit { path: cert_file.to_owned(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(unfit)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

//! What the HTTP programs read.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

/// `api.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Where the API listens, as `host:port`; port 0 picks one.
    pub listen: String,
    /// The most bytes of a body that is not an upload.
    pub max_body_bytes: usize,
    /// The most bytes of an upload.
    pub max_upload_bytes: u64,
    /// The most connections at the same time, of each listener.
    pub max_connections: usize,
}

/// `dashboard.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Where the dashboard listens, as `host:port`; port 0 picks one.
    pub listen: String,
}

/// `tls.*`; both or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those above it, as PEM.
    pub cert_file: Option<PathBuf>,
    /// Its key, as PEM.
    pub key_file: Option<PathBuf>,
}

/// `files.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Where the file server is found, when there is one.
    pub public_url: Option<Url>,
    /// The names that the file server answers to; unset, those of loopback and that of `public_url`.
    pub hosts: Vec<String>,
    /// The most bytes of the files of one archive.
    pub max_archive_bytes: u64,
}

//! Listening with a certificate.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Version};
use conductor_protocol::control::Role;
use conductor_runtime::config::Tls;
use conductor_runtime::lifecycle::Ended;
use conductor_web::{ListenError, Listener};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::place::{Place, converse};

/// Writes a new certificate for localhost and gives what a client trusts it by.
fn certify(folder: &Path) -> (Tls, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&key_file, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&cert_file, made.cert.pem()).unwrap();
    (Tls { cert_file: Some(cert_file), key_file: Some(key_file) }, made.cert.der().clone())
}

async fn connect(place: &Place, trusted: &CertificateDer<'static>) -> std::io::Result<TlsStream<TcpStream>> {
    connect_by(place, trusted, &[]).await
}

async fn connect_by(
    place: &Place,
    trusted: &CertificateDer<'static>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, place.connect().await).await
}

#[tokio::test]
async fn a_session_over_tls_has_the_cookie_that_no_other_site_can_set() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, trusted) = certify(folder.path());
    let place = Place::on("127.0.0.1:0", &tls, |_| {}).await;
    place.people.let_in("session-secret", "ann", Role::Viewer);
    let ask = async |cookie: &str| {
        let stream = connect(&place, &trusted).await.unwrap();
        let head = format!("GET /me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookie}");
        converse(stream, &format!("{head}\r\n\r\n")).await
    };
    assert!(ask("__Host-conductor=session-secret").await.ok().starts_with("ann"));
    ask("conductor=session-secret").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn http_2_is_spoken_and_many_requests_share_a_connection_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, trusted) = certify(folder.path());
    let place = Place::on("127.0.0.1:0", &tls, |_| {}).await;
    let stream = connect_by(&place, &trusted, &[b"h2"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let ask = async |host: &str| {
        let request = Request::get(format!("https://{host}/open")).body(Body::empty()).unwrap();
        client.clone().send_request(request).await.unwrap()
    };
    for answer in futures_util::future::join_all((0..20).map(|_| ask("localhost"))).await {
        assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
    }
    assert_eq!(ask("evil.example").await.status(), 403, "the name is in the URI");
    assert_eq!(place.shutdown.finish(crate::place::LIMIT).await, Ended::Drained);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_speaks_no_tls_is_let_go_and_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, trusted) = certify(folder.path());
    let place = Place::on("127.0.0.1:0", &tls, |_| {}).await;
    assert!(!place.ask("GET", "/open", &[]).await.text.contains("200"));
    connect(&place, &trusted).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_changes_is_used_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, old) = certify(folder.path());
    let place = Place::on("127.0.0.1:0", &tls, |_| {}).await;
    connect(&place, &old).await.unwrap();
    let (_, new) = certify(folder.path());
    let changed = async {
        while connect(&place, &new).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::place::LIMIT, changed).await.expect("the new certificate is used");
    std::fs::write(folder.path().join("cert.pem"), "garbage").unwrap();
    connect(&place, &new).await.expect("a certificate that is none does not take the place of one that is");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, _) = certify(folder.path());
    std::fs::write(folder.path().join("cert.pem"), "garbage").unwrap();
    let error = Listener::bind("127.0.0.1:0", &tls).await.unwrap_err();
    let ListenError::Tls(error) = error else { panic!("{error:?}") };
    assert!(error.to_string().contains("cert.pem"), "{error}");
}

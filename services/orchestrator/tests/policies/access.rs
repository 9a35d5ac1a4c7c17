//! Tokens, sessions and login codes, over the control protocol.

use std::time::Duration;

use conductor_client::{Control, Error};
use conductor_protocol::Code;
use conductor_protocol::control::{
    ActorView, CreateToken, Groups, Identity, NewToken, Presented, Role, TokenKind,
};
use conductor_testkit::world::eventually;
use sha2::{Digest as _, Sha256};

use crate::server::{LIMIT, Server};

const DAY: u64 = 24 * 3_600;

pub(super) fn presented(secret: &str) -> Presented {
    let digest = hex::encode(Sha256::digest(secret));
    Presented { digest, address: Some("192.0.2.7".into()) }
}

pub(super) fn code<T: std::fmt::Debug>(answer: Result<T, Error>) -> Option<Code> {
    match answer {
        Ok(_) => None,
        Err(Error::Refused(problem)) => Some(problem.code),
        Err(other) => panic!("{other}"),
    }
}

async fn create(control: &Control, name: &str, expires_in_seconds: Option<u64>) -> Result<NewToken, Error> {
    let groups = Groups::Only(vec!["red".into()]);
    control
        .create_token(CreateToken { name: name.into(), role: Role::Viewer, groups, expires_in_seconds })
        .await
}

async fn who(control: &Control, secret: &str) -> Option<Identity> {
    match control.authenticate(presented(secret)).await {
        Ok(identity) => Some(identity),
        Err(Error::Refused(problem)) if problem.code == Code::Unauthorized => None,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_homes_token_is_an_admins_and_another_secret_is_nobodys() {
    let server = Server::new().await;
    let identity = who(&server.control, &server.admin_token()).await.expect("the home's token");
    assert_eq!(
        (identity.name.as_str(), identity.role, identity.kind),
        ("admin", Role::Admin, TokenKind::Home)
    );
    assert_eq!(identity.groups, Groups::All);
    assert_eq!(who(&server.control, "cnd_0").await, None);
    let malformed = Presented { digest: "x".into(), address: None };
    assert_eq!(code(server.control.authenticate(malformed).await), Some(Code::Unauthorized));
}

#[tokio::test]
async fn a_token_stands_for_its_role_and_groups_until_it_is_revoked() {
    let mut server = Server::new().await;
    let made = create(&server.control, "ci", None).await.unwrap();
    assert!(made.secret.starts_with("cnd_") && made.secret.len() == 68);
    let identity = who(&server.control, &made.secret).await.expect("just made");
    assert_eq!((identity.name.as_str(), identity.role), ("ci", Role::Viewer));
    assert_eq!(identity.groups, Groups::Only(vec!["red".into()]));
    assert_eq!(code(create(&server.control, "ci", None).await), Some(Code::Conflict));
    server.restart(Duration::from_secs(60)).await;
    assert_eq!(who(&server.control, &made.secret).await, Some(identity), "the log keeps it");
    let named: Vec<_> = server.control.tokens().await.unwrap().into_iter().map(|token| token.name).collect();
    assert_eq!(named, ["admin", "ci"]);
    server.control.revoke_token("ci".into()).await.unwrap();
    assert_eq!(who(&server.control, &made.secret).await, None);
    assert_eq!(code(server.control.revoke_token("ci".into()).await), Some(Code::NotFound));
    assert_eq!(code(server.control.revoke_token("admin".into()).await), Some(Code::Conflict));
}

#[tokio::test]
async fn a_session_lives_as_long_as_its_token() {
    let mut server = Server::new().await;
    let short = create(&server.control, "short", Some(DAY)).await.unwrap();
    let session = server.control.open_session(presented(&short.secret)).await.unwrap();
    assert!(session.secret.starts_with("cns_"));
    assert_eq!((session.identity.kind, session.identity.role), (TokenKind::Session, Role::Viewer));
    assert_eq!(session.identity.expires_at, short.token.expires_at, "never beyond its token's end");
    let again = server.control.open_session(presented(&session.secret)).await;
    assert_eq!(code(again), Some(Code::Unauthorized), "a session opens no session");
    server.restart(Duration::from_secs(60)).await;
    assert!(who(&server.control, &session.secret).await.is_some());
    server.advance(DAY);
    assert_eq!(who(&server.control, &session.secret).await, None);
    assert_eq!(who(&server.control, &short.secret).await, None);

    let long = create(&server.control, "long", None).await.unwrap();
    let [first, second] = [(); 2].map(|()| server.control.open_session(presented(&long.secret)));
    let (first, second) = (first.await.unwrap().secret, second.await.unwrap().secret);
    server.control.close_session(presented(&first)).await.unwrap();
    assert_eq!(who(&server.control, &first).await, None);
    assert!(who(&server.control, &second).await.is_some(), "another browser stays");
    server.control.revoke_token("long".into()).await.unwrap();
    assert_eq!(who(&server.control, &second).await, None, "revoking ends sessions");
}

#[tokio::test]
async fn a_login_code_opens_one_session_of_an_admin_within_its_time() {
    let server = Server::new().await;
    let login = server.control.make_login().await.unwrap();
    assert!(login.code.starts_with("cnl_"));
    assert_eq!(who(&server.control, &login.code).await, None, "a code is no token");
    let session = server.control.open_session(presented(&login.code)).await.unwrap();
    assert_eq!((session.identity.name.as_str(), session.identity.role), ("admin", Role::Admin));
    assert!(who(&server.control, &session.secret).await.is_some());
    assert_eq!(code(server.control.open_session(presented(&login.code)).await), Some(Code::Unauthorized));
    let late = server.control.make_login().await.unwrap();
    server.advance(15 * 60);
    assert_eq!(code(server.control.open_session(presented(&late.code)).await), Some(Code::Unauthorized));
}

#[tokio::test]
async fn only_the_owner_of_the_socket_asks_who_a_secret_is() {
    let server = Server::new().await;
    let admin = ActorView {
        name: "admin".into(),
        role: Role::Admin,
        groups: Groups::All,
        via: "http".into(),
        address: None,
        attempt: None,
    };
    let control = server.control.on_behalf_of(admin);
    let secret = server.admin_token();
    assert_eq!(code(control.authenticate(presented(&secret)).await), Some(Code::Forbidden));
    assert_eq!(code(control.open_session(presented(&secret)).await), Some(Code::Forbidden));
    assert_eq!(code(control.close_session(presented(&secret)).await), Some(Code::Forbidden));
}

#[tokio::test]
async fn the_audit_says_who_made_what_and_who_came_from_where() {
    let server = Server::new().await;
    let made = create(&server.control, "ci", None).await.unwrap();
    let session = server.control.open_session(presented(&made.secret)).await.unwrap();
    server.control.close_session(presented(&session.secret)).await.unwrap();
    server.control.revoke_token("ci".into()).await.unwrap();
    let page = server.control.audit(Default::default()).await.unwrap();
    let told = page.items.iter().map(|entry| {
        let address = entry.address.as_deref().unwrap_or("-");
        format!("{} {} {address} {}", entry.by, entry.action, entry.subject)
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "owner token_revoke - ci",
            "ci logout 192.0.2.7 ",
            "ci login 192.0.2.7 ",
            "owner token_create - ci (viewer of red)",
        ]
    );
    let told = serde_json::to_string(&page).unwrap();
    assert!(!told.contains(&made.secret) && !told.contains(&session.secret));
}

#[tokio::test]
async fn unfit_tokens_are_refused_by_their_field() {
    let server = Server::new().await;
    let token = |name: &str, groups, expires_in_seconds| CreateToken {
        name: name.into(),
        role: Role::Viewer,
        groups,
        expires_in_seconds,
    };
    for (token, pointer) in [
        (token("a b", Groups::All, None), "/name"),
        (token("admin", Groups::All, None), "/name"),
        (token("owner", Groups::All, None), "/name"),
        (token("ci", Groups::Only(Vec::new()), None), "/groups"),
        (token("ci", Groups::Only(vec![" ".into()]), None), "/groups"),
        (token("ci", Groups::All, Some(0)), "/expires_in_seconds"),
        (token("ci", Groups::All, Some(u64::MAX)), "/expires_in_seconds"),
    ] {
        match server.control.create_token(token).await {
            Err(Error::Refused(problem)) => assert_eq!(problem.errors[0].pointer, pointer, "{problem}"),
            other => panic!("{pointer}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn without_tokens_everybody_is_an_admin_called_nobody() {
    let server = Server::with(&[("CONDUCTOR__AUTH__MODE", "none")]).await;
    let nothing = Presented { digest: String::new(), address: None };
    let identity = server.control.authenticate(nothing.clone()).await.unwrap();
    assert_eq!((identity.name.as_str(), identity.role), ("nobody", Role::Admin));
    assert_eq!(server.control.open_session(nothing).await.unwrap().identity.name, "nobody");
}

#[tokio::test]
async fn tokens_of_a_file_are_in_force_as_the_file_says_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.yaml");
    let ci = "- {name: ci, role: operator, groups: [red], token: the-secret-of-the-ci}\n";
    std::fs::write(&path, ci).unwrap();
    let server = Server::with(&[("CONDUCTOR__AUTH__TOKENS_FILE", path.to_str().unwrap())]).await;
    let identity = who(&server.control, "the-secret-of-the-ci").await.expect("it is in the file");
    assert_eq!((identity.name.as_str(), identity.kind), ("ci", TokenKind::File));
    assert_eq!(identity.groups, Groups::Only(vec!["red".into()]));
    let session = server.control.open_session(presented("the-secret-of-the-ci")).await.unwrap().secret;
    assert_eq!(code(create(&server.control, "ci", None).await), Some(Code::Conflict), "the name is taken");
    assert_eq!(code(server.control.revoke_token("ci".into()).await), Some(Code::Conflict), "the file has it");

    // Put in place in one step, as such files are written, so that no half of it is read.
    let put = |text: String| {
        std::fs::write(folder.path().join("new"), text).unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
    };
    put(format!("{ci}- {{name: second, role: viewer, token: the-second-secret-there}}\n"));
    let secret = "the-second-secret-there";
    let second = eventually(LIMIT, "the second token", async || who(&server.control, secret).await).await;
    assert_eq!(second.name, "second");
    put("- {name: third, role: viewer, token: the-third-secret-there}\n".to_owned());
    let secret = "the-third-secret-there";
    eventually(LIMIT, "the third token", async || who(&server.control, secret).await).await;
    assert_eq!(who(&server.control, "the-secret-of-the-ci").await, None, "it was taken out");
    assert_eq!(who(&server.control, &session).await, None, "and its session with it");
}

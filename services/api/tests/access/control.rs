//! The control protocol through the API.

use std::time::Duration;

use conductor_client::{Control, Error, Options, Remote, Target};
use conductor_protocol::Code;
use conductor_protocol::control::{ActorView, Groups, ListRequest, Role, Submit};
use serde_json::value::to_raw_value;

use super::place::Place;

async fn connect(place: &Place, token: &str) -> Result<Control, Error> {
    let remote = Remote::new(&format!("http://{}", place.address), token).unwrap();
    Target::Remote(remote).connect(Options::new("test")).await
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> Code {
    match result.unwrap_err() {
        Error::Refused(problem) => problem.code,
        other => panic!("{other}"),
    }
}

fn a_task() -> Submit {
    let task = serde_json::json!({"prompt": "print a", "group": "mine"});
    Submit { tasks: vec![to_raw_value(&task).unwrap()], key: None }
}

#[tokio::test]
async fn who_asks_is_who_showed_the_token_whatever_the_request_says() {
    let place = Place::new().await;
    let groups = Groups::Only(vec!["mine".to_owned()]);
    let (mine, foreign) = (place.submit("mine").await, place.submit("other").await);
    let operator = place.token("operator", Role::Operator, groups.clone()).await;
    let control = connect(&place, &operator).await.unwrap();
    let actor = ActorView {
        name: "admin".into(),
        role: Role::Admin,
        groups: Groups::All,
        via: "cli".into(),
        address: None,
        attempt: None,
    };
    for control in [control.clone(), control.on_behalf_of(actor)] {
        let listed = control.list(ListRequest::default()).await.unwrap();
        assert!(listed.items.iter().any(|task| task.id.to_string() == mine));
        assert!(listed.items.iter().all(|task| task.group == "mine"));
        assert_eq!(code(control.get(foreign.parse().unwrap()).await), Code::NotFound);
        assert_eq!(code(control.pause(true).await), Code::Forbidden);
        let id = control.submit(a_task()).await.unwrap().ids[0];
        let by = control.get(id).await.unwrap().created_by.unwrap();
        assert_eq!((by.name.as_str(), by.via.as_str()), ("operator", "http"));
    }
    let viewer = place.token("viewer", Role::Viewer, groups).await;
    let control = connect(&place, &viewer).await.unwrap();
    assert_eq!(code(control.submit(a_task()).await), Code::Forbidden);
}

#[tokio::test]
async fn nobody_comes_in_without_a_token_and_who_loses_it_is_cut_off() {
    let place = Place::new().await;
    assert_eq!(code(connect(&place, "").await), Code::Unauthorized);
    assert_eq!(code(connect(&place, "wrong").await), Code::Unauthorized);
    let agent = place.token("agent", Role::Agent, Groups::All).await;
    assert_eq!(code(connect(&place, &agent).await), Code::Forbidden);
    let token = place.token("brief", Role::Viewer, Groups::All).await;
    let control = connect(&place, &token).await.unwrap();
    place.control.revoke_token("brief".to_owned()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), control.lost()).await.expect("it is cut off");
}

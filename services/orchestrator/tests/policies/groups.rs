//! What those see who reach some groups only.

use std::time::Duration;

use conductor_client::Control;
use conductor_core::{ScheduleId, TaskId};
use conductor_protocol::Code;
use conductor_protocol::agent::{Asked, End, FromAgent};
use conductor_protocol::control::{
    AddSchedule, Call, Events, Filter, Groups, ListRequest, Role, Submit, TrendsCall,
};
use conductor_protocol::event::EventView;
use conductor_protocol::task::State;
use conductor_testkit::world::within;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::access::code;
use crate::rights::{calls, refused, someone};
use crate::server::{LIMIT, Server, assigned};

/// A server with tasks of the group red in every state, and a schedule.
struct Scene {
    server: Server,
    finished: TaskId,
    asking: TaskId,
    queued: TaskId,
    schedule: ScheduleId,
}

async fn scene() -> Scene {
    let server = Server::new().await;
    let mut agent = server.agent("one", 2);
    let mut session = agent.connect().await.unwrap();
    let finished = server.submit(json!({"prompt": "secret words", "group": "red", "name": "hidden"})).await;
    let lease = assigned(&mut session).await.lease;
    session.finish([lease], &End::Succeeded).await.unwrap();
    server.until(finished, State::Succeeded).await;
    let asking = server.submit(json!({"prompt": "x", "group": "red"})).await;
    let lease = assigned(&mut session).await.lease;
    session.start([lease]).await.unwrap();
    let asked = Asked {
        lease,
        request_id: "0199c000-0000-7000-8000-000000000001".parse().unwrap(),
        kind: "question".into(),
        text: "Shall I?".into(),
        tool: None,
        input: None,
    };
    session.say(FromAgent { asked: vec![asked], ..FromAgent::default() }).await.unwrap();
    server.until(asking, State::Waiting).await;
    server.control.pause(true).await.unwrap();
    let queued = server.submit(json!({"prompt": "x", "group": "red"})).await;
    let schedule = add_schedule(&server.control, json!({"prompt": "x", "group": "red"})).await.unwrap();
    drop(session);
    // The agent is gone, and its task waits on.
    Scene { server, finished, asking, queued, schedule }
}

async fn add_schedule(control: &Control, task: Value) -> Result<ScheduleId, conductor_client::Error> {
    let schedule = AddSchedule {
        name: Some("hourly".into()),
        cron: "0 * * * *".into(),
        time_zone: None,
        overlap: Default::default(),
        catch_up: Default::default(),
        task: to_raw_value(&task).unwrap(),
    };
    control.add_schedule(schedule).await.map(|schedule| schedule.id)
}

fn of(server: &Server, role: Role, groups: &[&str]) -> Control {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    server.control.on_behalf_of(someone(role, Groups::Only(groups)))
}

async fn submit(control: &Control, task: Value) -> Result<TaskId, conductor_client::Error> {
    let tasks = vec![to_raw_value(&task).unwrap()];
    control.submit(Submit { tasks, key: None }).await.map(|submitted| submitted.ids[0])
}

/// What the log tells from its beginning.
async fn told(control: &Control) -> Vec<EventView> {
    let mut events = control.events(Events { since: Some(0), follow: false }).await.unwrap();
    let mut told = Vec::new();
    while let Some(event) = within(LIMIT, "events", events.next()).await.unwrap() {
        told.push(event);
    }
    told
}

#[tokio::test]
async fn what_may_not_be_seen_is_as_if_it_were_not_there_on_every_call() {
    let scene = scene().await;
    let nowhere = (TaskId(77), ScheduleId(77));
    for role in [Role::Viewer, Role::Operator, Role::Admin] {
        let blue = of(&scene.server, role, &["blue"]);
        for task in [scene.finished, scene.asking, scene.queued] {
            let hidden = calls(task, scene.schedule).into_iter().zip(calls(nowhere.0, nowhere.1));
            for (hidden, absent) in hidden {
                let call = format!("{role:?} asks {hidden:?}");
                let about_one =
                    call.contains(&task.to_string()) || call.contains(&scene.schedule.to_string());
                let (hidden, absent) = (refused(&blue, hidden).await, refused(&blue, absent).await);
                let told = |problem: Option<conductor_protocol::Problem>| {
                    problem.map(|problem| {
                        let text = problem.to_string();
                        let text = text.replace(&task.to_string(), &nowhere.0.to_string());
                        (problem.code, text.replace(&scene.schedule.to_string(), &nowhere.1.to_string()))
                    })
                };
                let (hidden, absent) = (told(hidden), told(absent));
                assert_eq!(hidden, absent, "{call}");
                if about_one {
                    let code = hidden.expect("refused").0;
                    assert!(matches!(code, Code::NotFound | Code::Forbidden), "{call}: {code:?}");
                }
            }
        }
    }
    // Nothing came of it, and those who may still see.
    let red = of(&scene.server, Role::Viewer, &["green", "red"]);
    assert_eq!(red.get(scene.asking).await.unwrap().state, State::Waiting);
    assert_eq!(red.get(scene.queued).await.unwrap().state, State::Queued);
    assert_eq!(red.get(scene.finished).await.unwrap().state, State::Succeeded);
}

#[tokio::test]
async fn lists_and_figures_tell_of_the_callers_groups_alone() {
    let scene = scene().await;
    let (red, blue) = (of(&scene.server, Role::Viewer, &["red"]), of(&scene.server, Role::Viewer, &["blue"]));
    let mine = submit(&of(&scene.server, Role::Operator, &["blue"]), json!({"prompt": "x"})).await.unwrap();
    let list = async |control: &Control, filter: Filter| -> Vec<TaskId> {
        let request = ListRequest { filter, ..ListRequest::default() };
        control.list(request).await.unwrap().items.into_iter().map(|task| task.id).collect()
    };
    assert_eq!(list(&red, Filter::default()).await, [scene.queued, scene.asking, scene.finished]);
    assert_eq!(list(&blue, Filter::default()).await, [mine]);
    let asked = Filter { group: Some("red".into()), ..Filter::default() };
    assert_eq!(list(&blue, asked).await, []);
    let searched = Filter { q: Some("secret words".into()), ..Filter::default() };
    assert_eq!(list(&red, searched.clone()).await, [scene.finished]);
    assert_eq!(list(&blue, searched).await, []);

    let counted = |states: Vec<(State, u64)>| states.into_iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!(counted(red.stats().await.unwrap().by_state), 3);
    assert_eq!(counted(blue.stats().await.unwrap().by_state), 1);
    assert_eq!(
        (red.stats().await.unwrap().finished_last_day, blue.stats().await.unwrap().finished_last_day),
        (1, 0)
    );
    let hour = TrendsCall { seconds: 7_200, step_seconds: 3_600 };
    let submitted = async |control: &Control| -> u64 {
        control.trends(hour).await.unwrap().steps.iter().map(|step| step.submitted).sum()
    };
    assert_eq!((submitted(&red).await, submitted(&blue).await), (3, 1));

    let queue = blue.queue().await.unwrap();
    assert_eq!((counted(queue.by_state), queue.queued_by_group), (1, vec![("blue".to_owned(), 1)]));
    assert_eq!((queue.queued_by_runner, queue.oldest_seconds), (Vec::new(), None));
    assert_eq!(red.questions().await.unwrap().len(), 1);
    assert_eq!(blue.questions().await.unwrap().len(), 0);
    assert_eq!(red.schedules().await.unwrap().len(), 1);
    assert_eq!(blue.schedules().await.unwrap().len(), 0);
    let tasks = async |control: &Control| control.agents().await.unwrap().remove(0).tasks;
    assert_eq!(tasks(&red).await, [scene.asking]);
    assert_eq!(tasks(&blue).await, []);
}

#[tokio::test]
async fn events_name_their_group_and_reach_those_who_may_see_it() {
    let mut scene = scene().await;
    scene.server.control.cancel(scene.queued, None).await.unwrap();
    scene.server.control.remove_schedule(scene.schedule).await.unwrap();
    // What is known of a finished task is in the history alone now.
    scene.server.restart(Duration::from_secs(1)).await;
    let everything = told(&scene.server.control).await;
    assert!(
        everything
            .iter()
            .filter(|event| event.topic == "tasks")
            .all(|event| event.group.as_deref() == Some("red"))
    );
    let red = told(&of(&scene.server, Role::Viewer, &["red"])).await;
    assert_eq!(red, everything);
    let blue = told(&of(&scene.server, Role::Viewer, &["blue"])).await;
    assert!(!blue.is_empty() && blue.iter().all(|event| event.topic == "agents" || event.topic == "queue"));
    let told = serde_json::to_string(&blue).unwrap();
    for id in [scene.finished, scene.asking, scene.queued] {
        assert!(!told.contains(&id.to_string()));
    }

    // A follower that was not there from the beginning finds out the groups of what goes on.
    let mut follows =
        of(&scene.server, Role::Viewer, &["red"]).events(Events { since: None, follow: true }).await.unwrap();
    let mut others = of(&scene.server, Role::Viewer, &["blue"])
        .events(Events { since: None, follow: true })
        .await
        .unwrap();
    scene.server.control.status().await.unwrap();
    scene.server.control.cancel(scene.asking, None).await.unwrap();
    let first = within(LIMIT, "the cancel", follows.next()).await.unwrap().unwrap();
    assert_eq!((first.id, first.group), (Some(scene.asking.to_string()), Some("red".into())));
    scene.server.control.pause(false).await.unwrap();
    let first = within(LIMIT, "the resumption", others.next()).await.unwrap().unwrap();
    assert_eq!(first.kind, "queue_resumed", "the cancel before it was not for them");
}

#[tokio::test]
async fn tasks_are_made_in_reached_groups_and_tied_to_tasks_that_are_seen() {
    let scene = scene().await;
    let blue = of(&scene.server, Role::Operator, &["blue"]);
    let mine = submit(&blue, json!({"prompt": "x"})).await.unwrap();
    assert_eq!(blue.get(mine).await.unwrap().group, "blue", "its only group is its default");
    assert_eq!(code(submit(&blue, json!({"prompt": "x", "group": "red"})).await), Some(Code::Forbidden));
    let below = json!({"subtasks": [{"prompt": "x", "group": "red"}]});
    assert_eq!(code(submit(&blue, below).await), Some(Code::Forbidden));
    let both = of(&scene.server, Role::Operator, &["blue", "red"]);
    assert_eq!(code(submit(&both, json!({"prompt": "x"})).await), Some(Code::Forbidden), "it must name one");
    submit(&both, json!({"prompt": "x", "group": "red", "depends_on": [mine.to_string()]})).await.unwrap();

    for (tied, pointer) in [
        (json!({"prompt": "x", "depends_on": [scene.queued.to_string()]}), "/depends_on/0"),
        (json!({"prompt": "x", "depends_on": [scene.finished.to_string()]}), "/depends_on/0"),
        (
            json!({"prompt": "x", "workspace": {"continue": scene.finished.to_string()}}),
            "/workspace/continue",
        ),
    ] {
        let tied = serde_json::to_string(&tied).unwrap();
        let ask = |text: &str| {
            let task = serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
            Call::Submit(Submit { tasks: vec![task], key: None })
        };
        let hidden = refused(&blue, ask(&tied)).await.expect("refused");
        assert_eq!((hidden.code, hidden.errors[0].pointer.as_str()), (Code::InvalidRequest, pointer));
        let nowhere = TaskId(77).to_string();
        let (queued, finished) = (scene.queued.to_string(), scene.finished.to_string());
        let tied = tied.replace(&queued, &nowhere).replace(&finished, &nowhere);
        let absent = refused(&blue, ask(&tied)).await.expect("refused");
        let hidden = hidden.to_string().replace(&queued, &nowhere).replace(&finished, &nowhere);
        assert_eq!(hidden, absent.to_string(), "no word tells that it is there");
    }
    assert_eq!(
        code(add_schedule(&blue, json!({"prompt": "x", "group": "red"})).await),
        Some(Code::Forbidden)
    );
    let schedule = add_schedule(&blue, json!({"prompt": "x"})).await.unwrap();
    assert_eq!(blue.schedules().await.unwrap()[0].id, schedule);
}

#[tokio::test]
async fn a_schedule_makes_its_tasks_in_the_group_of_who_made_it() {
    let server = Server::new().await;
    let groups = conductor_protocol::control::Groups::Only(vec!["blue".into()]);
    let token = conductor_protocol::control::CreateToken {
        name: "someone".into(),
        role: Role::Operator,
        groups,
        expires_in_seconds: None,
    };
    server.control.create_token(token).await.unwrap();
    let blue = of(&server, Role::Operator, &["blue"]);
    add_schedule(&blue, json!({"prompt": "x"})).await.unwrap();
    server.advance(3_600);
    let task = conductor_testkit::world::eventually(LIMIT, "a task of the schedule", async || {
        blue.list(ListRequest::default()).await.unwrap().items.pop()
    })
    .await;
    assert_eq!(task.group, "blue");
}

#[tokio::test]
async fn what_is_done_to_all_that_match_is_done_to_what_is_seen() {
    let scene = scene().await;
    let blue = of(&scene.server, Role::Operator, &["blue"]);
    let mine = submit(&blue, json!({"prompt": "mine"})).await.unwrap();
    assert_eq!(blue.cancel_matching(Filter::default()).await.unwrap().ids, [mine]);
    assert_eq!(scene.server.state(scene.queued).await, State::Queued);
    let again = blue.retry_matching(Filter::default()).await.unwrap().ids;
    assert_eq!(again.len(), 1, "the finished task of red is not repeated");
    let view = blue.get(again[0]).await.unwrap();
    assert_eq!((view.retry_of, view.group.as_str()), (Some(mine), "blue"));
    let red = scene.server.control.retry(scene.finished).await.unwrap().ids[0];
    assert_eq!(scene.server.view(red).await.group, "red", "a repeated task stays in its group");
    let live = Filter { state: vec![State::Queued], ..Filter::default() };
    assert_eq!(code(blue.retry_matching(live).await), Some(Code::InvalidRequest));
}

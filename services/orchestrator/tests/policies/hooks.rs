//! Who is told of what, over HTTP, and what a restart leaves of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conductor_client::Error;
use conductor_core::{Lease, TaskId};
use conductor_protocol::Code;
use conductor_protocol::agent::{Asked, FromAgent, Withdrawn};
use conductor_protocol::control::{AnswerBody, DeliveryView};
use conductor_protocol::task::State;
use conductor_runtime::secrets::{Name, Secret, Secrets};
use conductor_testkit::world::eventually;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::server::{LIMIT, Server, assigned, failed};

const LOOPBACK: (&str, &str) = ("CONDUCTOR__WEBHOOKS__ALLOW_PRIVATE", "127.0.0.1");

/// What a receiver was sent.
#[derive(Debug, Clone)]
struct Heard {
    head: String,
    body: String,
}

impl Heard {
    fn header(&self, name: &str) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head)).to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Takes what is sent to it, and answers with the statuses given, then with 204.
struct Receiver {
    url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    async fn new(statuses: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let (kept, mut statuses) = (heard.clone(), VecDeque::from(statuses.to_vec()));
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = String::new();
                let heard = loop {
                    let mut buffer = [0; 16 << 10];
                    let count = stream.read(&mut buffer).await.unwrap();
                    text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let heard = Heard { head: head.to_owned(), body: body.to_owned() };
                    if heard.header("content-length").parse::<usize>().unwrap() == body.len() {
                        break heard;
                    }
                };
                kept.lock().unwrap().push(heard);
                let status = statuses.pop_front().unwrap_or("204 No Content");
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, heard, task }
    }

    async fn heard(&self, count: usize) -> Vec<Heard> {
        eventually(LIMIT, "the receiver hears of it", async || {
            Some(self.heard.lock().unwrap().clone()).filter(|heard| heard.len() >= count)
        })
        .await
    }
}

/// Waits until the newest delivery of a task stands so.
async fn delivery(server: &Server, task: TaskId, state: &str, tries: u32) -> DeliveryView {
    eventually(LIMIT, state, async || {
        let told = server.control.deliveries(task).await.unwrap().into_iter().next();
        told.filter(|told| told.state == state && told.tries == tries)
    })
    .await
}

#[tokio::test]
async fn the_end_of_a_task_is_told_signed_and_again_until_it_is_taken() {
    let receiver = Receiver::new(&["500 Broken", "302 Elsewhere"]).await;
    let server = Server::with(&[LOOPBACK, ("CONDUCTOR__WEBHOOKS__SIGNING_KEY", "whsec_c2VjcmV0")]).await;
    let task = server.submit(json!({"prompt": "x", "webhook": {"url": receiver.url}})).await;
    server.control.cancel(task, None).await.unwrap();
    let told = delivery(&server, task, "pending", 1).await;
    assert_eq!(
        (told.status, told.channel.as_str(), told.event.as_str()),
        (Some(500), "webhook", "task.finished")
    );
    assert!(told.next_at.is_some() && told.to.starts_with("http://127.0.0.1:") && !told.to.contains("hook"));
    server.advance(5);
    let told = delivery(&server, task, "pending", 2).await;
    assert!(told.error.is_some_and(|error| error.contains("redirects are not followed")));
    server.advance(30);
    let told = delivery(&server, task, "delivered", 3).await;
    assert_eq!((told.status, told.next_at, told.error), (Some(204), None, None));
    let heard = receiver.heard(3).await;
    assert_eq!(heard.len(), 3);
    let id = heard[0].header("webhook-id");
    assert!(heard.iter().all(|heard| heard.header("webhook-id") == id), "one id for every try");
    assert_ne!(heard[0].header("webhook-timestamp"), heard[2].header("webhook-timestamp"));
    let signatures = heard.iter().map(|heard| heard.header("webhook-signature")).collect::<Vec<_>>();
    assert!(
        signatures.iter().all(|signature| signature.starts_with("v1,")) && signatures[0] != signatures[2]
    );
    let body = heard[2].json();
    assert_eq!((&body["type"], &body["task"]["id"]), (&json!("task.finished"), &json!(task.to_string())));
    assert_eq!(body["task"]["state"], "cancelled");
    assert!(body["seq"].as_u64().is_some());
}

#[tokio::test]
async fn a_restart_in_the_midst_of_tries_loses_nothing_and_repeats_nothing() {
    let receiver = Receiver::new(&["500 Broken"]).await;
    let mut server = Server::with(&[LOOPBACK]).await;
    let first = server.submit(json!({"prompt": "x", "webhook": {"url": receiver.url}})).await;
    server.control.cancel(first, None).await.unwrap();
    delivery(&server, first, "pending", 1).await;
    server.restart(Duration::ZERO).await;
    assert_eq!(delivery(&server, first, "pending", 1).await.status, Some(500));
    server.restart(Duration::from_secs(5)).await;
    delivery(&server, first, "delivered", 2).await;
    server.restart(Duration::from_secs(24 * 3_600)).await;
    // Another is told after the restart: what went before it would have come before it.
    let second = server.submit(json!({"prompt": "x", "webhook": {"url": receiver.url}})).await;
    server.control.cancel(second, None).await.unwrap();
    delivery(&server, second, "delivered", 1).await;
    let told: Vec<_> =
        receiver.heard(3).await.iter().map(|heard| heard.json()["task"]["id"].clone()).collect();
    assert_eq!(told, [first, first, second].map(|task| json!(task.to_string())));
}

#[tokio::test]
async fn a_private_address_is_refused_unless_it_is_allowed() {
    let receiver = Receiver::new(&[]).await;
    let server = Server::new().await;
    let task = server.submit(json!({"prompt": "x", "webhook": {"url": receiver.url}})).await;
    server.control.cancel(task, None).await.unwrap();
    let told = delivery(&server, task, "pending", 1).await;
    assert!(told.error.is_some_and(|error| error.contains("no public address")));
    assert!(receiver.heard.lock().unwrap().is_empty());
    let problem = server.try_submit(vec![json!({"prompt": "x", "webhook": {"url": "file:///"}})], None).await;
    assert_eq!(problem.unwrap_err().errors[0].pointer, "/webhook/url");
}

#[tokio::test]
async fn rules_tell_people_of_failures_and_of_what_nothing_can_run() {
    let (slack, ntfy) = (Receiver::new(&[]).await, Receiver::new(&[]).await);
    let rules = json!([
        {"on": ["failed"], "group": "red", "to": {"slack": slack.url}},
        {"on": ["unservable"], "to": {"ntfy": ntfy.url}},
    ]);
    let server = Server::with(&[LOOPBACK, ("CONDUCTOR__NOTIFY", &rules.to_string())]).await;
    let mut agent = server.agent("one", 2);
    let mut session = agent.connect().await.unwrap();
    for group in ["blue", "red"] {
        let task = server.submit(json!({"prompt": "x", "group": group, "name": "the task"})).await;
        let assign = assigned(&mut session).await;
        session.finish([assign.lease], &failed()).await.unwrap();
        server.until(task, State::Failed).await;
    }
    let said = slack.heard(1).await;
    let text = said[0].json()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("the task") && text.contains("runner_error"), "{text}");
    let picky = server.submit(json!({"prompt": "x", "requires": ["gpu"]})).await;
    server.advance(61);
    let said = ntfy.heard(1).await;
    assert!(said[0].body.contains(&picky.to_string()) && said[0].body.contains("gpu"), "{}", said[0].body);
    assert_eq!(said[0].header("priority"), "4");
    assert_eq!(slack.heard.lock().unwrap().len(), 1, "the failure in blue is not told");
}

/// A question of a run; of a tool, where one is named.
fn asks(lease: Lease, kind: &str, text: &str, tool: Option<&str>) -> Asked {
    let request_id = "0199c000-0000-7000-8000-000000000001".parse().unwrap();
    let input = tool.map(|_| RawValue::from_string(r#"{"command":"make"}"#.to_owned()).unwrap());
    Asked { lease, request_id, kind: kind.into(), text: text.into(), tool: tool.map(Into::into), input }
}

#[tokio::test]
async fn a_question_for_permission_is_told_by_rule_and_webhook_and_an_answer_is_refused_once_it_is_withdrawn()
{
    let (slack, hook) = (Receiver::new(&[]).await, Receiver::new(&[]).await);
    let rules = json!([{"on": ["waiting"], "to": {"slack": slack.url}}]);
    let server = Server::with(&[LOOPBACK, ("CONDUCTOR__NOTIFY", &rules.to_string())]).await;
    let task = server.submit(json!({"prompt": "x", "webhook": {"url": hook.url}})).await;
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    let lease = assigned(&mut session).await.lease;
    let asked = asks(lease, "permission", "May it use Bash? make", Some("Bash"));
    let request_id = asked.request_id;
    session.say(FromAgent { asked: vec![asked], ..FromAgent::default() }).await.unwrap();
    let said = slack.heard(1).await[0].json()["text"].as_str().unwrap().to_owned();
    assert!(said.contains("May it use Bash? make"), "{said}");
    let waiting = hook.heard(1).await[0].json()["task"]["waiting"].clone();
    assert_eq!(
        (&waiting["kind"], &waiting["tool"], &waiting["input"]["command"]),
        (&json!("permission"), &json!("Bash"), &json!("make"))
    );
    let withdrawn = vec![Withdrawn { lease, request_id }];
    session.say(FromAgent { withdrawn, ..FromAgent::default() }).await.unwrap();
    server.until(task, State::Running).await;
    assert!(server.control.get(task).await.unwrap().waiting.is_none());
    let late = server.control.answer(task, Some(request_id), AnswerBody::Allow).await.unwrap_err();
    assert!(matches!(&late, Error::Refused(problem) if problem.code == Code::Conflict), "{late:?}");
}

#[tokio::test]
async fn a_question_is_told_and_the_end_after_it() {
    let receiver = Receiver::new(&[]).await;
    let server = Server::with(&[LOOPBACK]).await;
    let task = server.submit(json!({"prompt": "x", "webhook": {"url": receiver.url}})).await;
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    let lease = assigned(&mut session).await.lease;
    let asked = asks(lease, "question", "Shall I?", None);
    session.say(FromAgent { asked: vec![asked], ..FromAgent::default() }).await.unwrap();
    let heard = receiver.heard(1).await[0].json();
    assert_eq!(
        (&heard["type"], &heard["task"]["waiting"]["text"]),
        (&json!("task.waiting"), &json!("Shall I?"))
    );
    session.finish([lease], &failed()).await.unwrap();
    server.until(task, State::Failed).await;
    assert_eq!(delivery(&server, task, "delivered", 1).await.event, "task.failed");
    assert_eq!(receiver.heard(2).await[1].json()["type"], "task.failed");
    assert_eq!(server.control.deliveries(task).await.unwrap().len(), 2);
    server.control.delete(task).await.unwrap();
    let gone = server.control.deliveries(task).await.unwrap_err();
    assert!(gone.to_string().contains("no task"), "{gone}");
}

/// A mail server that takes one mail after another, and refuses to take the first so often as it was told.
async fn mail_server(refusals: usize) -> (u16, Arc<Mutex<Vec<String>>>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = mails.clone();
    let task = tokio::spawn(async move {
        let mut left = refusals;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = tokio::io::BufReader::new(stream);
            stream.write_all(b"220 test\r\n").await.unwrap();
            let (mut line, mut mail) = (String::new(), None::<String>);
            while tokio::io::AsyncBufReadExt::read_line(&mut stream, &mut line).await.unwrap_or(0) > 0 {
                let said = std::mem::take(&mut line);
                let answer = match (&mut mail, said.trim_end()) {
                    (Some(text), ".") => {
                        kept.lock().unwrap().push(std::mem::take(text));
                        mail = None;
                        "250 taken"
                    }
                    (Some(text), _) => {
                        text.push_str(&said);
                        continue;
                    }
                    (None, said) if said.starts_with("EHLO") => "250 test",
                    (None, said) if said.starts_with("RCPT") && left > 0 => {
                        left -= 1;
                        "451 come again"
                    }
                    (None, "DATA") => {
                        mail = Some(String::new());
                        "354 go on"
                    }
                    (None, _) => "250 ok",
                };
                if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    (port, mails, task)
}

#[tokio::test]
async fn a_rule_sends_a_mail_until_the_server_takes_it() {
    let (port, mails, task) = mail_server(1).await;
    let url = format!("smtp://127.0.0.1:{port}");
    let rules = r#"[{"on":["finished"],"to":{"mailto":"ops@example.com"}}]"#;
    let server = Server::with(&[
        ("CONDUCTOR__SMTP__URL", &url),
        ("CONDUCTOR__SMTP__FROM", "conductor@example.com"),
        ("CONDUCTOR__NOTIFY", rules),
    ])
    .await;
    let id = server.submit(json!({"prompt": "x", "name": "nightly"})).await;
    server.control.cancel(id, None).await.unwrap();
    let told = delivery(&server, id, "pending", 1).await;
    assert_eq!((told.status, told.channel.as_str()), (Some(451), "mailto"));
    server.advance(5);
    let told = delivery(&server, id, "delivered", 2).await;
    assert_eq!((told.status, told.to.as_str()), (Some(250), "mailto:ops@example.com"));
    let mails = mails.lock().unwrap().clone();
    assert_eq!(mails.len(), 1);
    for part in [
        "To: ops@example.com",
        "From: conductor@example.com",
        "Subject: Conductor: a task is over",
        "nightly",
    ] {
        assert!(mails[0].contains(part), "{part} is not in {}", mails[0]);
    }
    task.abort();
}

#[tokio::test]
async fn a_schedule_whose_makers_token_was_taken_stops_and_says_so() {
    use conductor_protocol::control::{CreateToken, Groups, Role};
    let receiver = Receiver::new(&[]).await;
    let rules = format!(r#"[{{"on":["schedule_stopped"],"to":{{"webhook":"{}"}}}}]"#, receiver.url);
    let server = Server::with(&[LOOPBACK, ("CONDUCTOR__NOTIFY", &rules)]).await;
    let token = || CreateToken {
        name: "someone".into(),
        role: Role::Operator,
        groups: Groups::All,
        expires_in_seconds: None,
    };
    server.control.create_token(token()).await.unwrap();
    let maker = server.control.on_behalf_of(super::rights::someone(Role::Operator, Groups::All));
    let schedule = serde_json::from_value(json!({"cron": "* * * * *", "task": {"prompt": "x"}})).unwrap();
    maker.add_schedule(schedule).await.unwrap();
    let view = async || server.control.schedules().await.unwrap().remove(0);
    assert_eq!(view().await.paused, None);
    server.advance(60);
    let made = eventually(LIMIT, "its first task", async || view().await.last).await;
    assert_eq!((made.state, made.finished_at), (State::Queued, None));
    server.control.cancel(made.task, None).await.unwrap();

    server.control.revoke_token("someone".into()).await.unwrap();
    let stopped = view().await;
    assert!(stopped.paused.unwrap().contains("revoked"));
    let last = stopped.last.unwrap();
    assert_eq!((last.task, last.state), (made.task, State::Cancelled));
    assert!(last.finished_at.is_some());
    for _ in 0..2 {
        let due = view().await.next_at;
        server.advance(60);
        eventually(LIMIT, "the occurrence is passed over", async || {
            (view().await.next_at > due).then_some(())
        })
        .await;
    }
    assert_eq!(view().await.last_task, Some(made.task), "no other task was made");
    let heard = receiver.heard(1).await;
    assert_eq!(heard[0].json()["type"], "schedule.stopped");
    assert!(heard[0].json()["detail"].as_str().unwrap().contains("someone"));

    server.control.create_token(token()).await.unwrap();
    server.advance(60);
    eventually(LIMIT, "it goes on", async || view().await.last_task.filter(|task| *task != made.task)).await;
    assert_eq!(receiver.heard(1).await.len(), 1, "it was told once");
}

#[tokio::test]
async fn a_task_names_the_secret_that_signs_its_webhook() {
    let receiver = Receiver::new(&[]).await;
    let server = Server::with(&[LOOPBACK]).await;
    let secrets = Secrets::open(server.home().secrets()).unwrap();
    let name = |text: &str| text.parse::<Name>().unwrap();
    secrets.set(&name("hook"), &Secret::new("whsec_c2VjcmV0")).unwrap();
    secrets.set(&name("MODEL_KEY"), &Secret::new("sk-not-for-this")).unwrap();
    let task = |secret: &str| json!({"prompt": "x", "webhook": {"url": receiver.url, "secret": secret}});
    for (other, why) in [("none", "secret set none"), ("MODEL_KEY", "whsec_"), ("../token", "cannot name")] {
        let problem = server.try_submit(vec![task(other)], None).await.unwrap_err();
        assert_eq!(problem.errors[0].pointer, "/webhook/secret");
        assert!(problem.errors[0].detail.contains(why), "{problem:?}");
        assert!(!problem.errors[0].detail.contains("sk-not"), "{problem:?}");
    }
    let signed = server.submit(task("hook")).await;
    server.control.cancel(signed, None).await.unwrap();
    delivery(&server, signed, "delivered", 1).await;
    let heard = receiver.heard(1).await.remove(0);
    let (id, at) = (heard.header("webhook-id"), heard.header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(format!("{id}.{at}.{}", heard.body).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(heard.header("webhook-signature"), expected);
    // A secret that was taken away is waited for, and the message is not lost.
    let waits = server.submit(task("hook")).await;
    secrets.remove(&name("hook")).unwrap();
    server.control.cancel(waits, None).await.unwrap();
    let told = delivery(&server, waits, "pending", 1).await;
    assert!(told.error.is_some_and(|error| error.contains("no secret hook")));
}

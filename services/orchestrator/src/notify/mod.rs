//! Telling people and programs what happened: webhooks of tasks, and the rules of the configuration.
//!
//! What is to be told is the machine's state; here it is sent. Each try is noted before the next, so that what was taken is
//! not sent again, whatever ends meanwhile; a try that was cut off before its note is repeated under the same id.

mod keys;
mod mail;
mod message;
mod rules;
mod sign;
mod watch;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use conductor_core::{Answer, Command, Delivery, Now, Route, Seq, TaskId, Wall};
use conductor_protocol::submit::SubmitTask;
use conductor_protocol::task::TaskView;
use conductor_protocol::{Code, Problem};
use conductor_runtime::config::Reachable;
use conductor_runtime::credentials::Secret;
use conductor_runtime::lifecycle::Shutdown;
use conductor_store::log::PayloadKey;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use url::Url;

use crate::control;
use conductor_outbound::{Outbound, Reach, Refused};
use mail::Mailer;
use message::{About, Message};
use sign::Signer;

pub(crate) use keys::Keys;
pub use mail::Error as MailError;
pub(crate) use message::kind;
pub(crate) use rules::{Targets, channel, rules};
pub(crate) use watch::watch;

/// Sends under way at once.
const MAX_UNDER_WAY: usize = 16;
/// When the end begins, sends under way have this long to be answered and noted.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Pause before a try is noted again that could not be, as when the disk is full.
const PAUSE: Duration = Duration::from_secs(2);

/// How notices are sent.
#[derive(Debug, Clone)]
pub struct Options {
    /// What webhooks are signed with; none for the key of the home.
    pub signing_key: Option<String>,
    /// The folder of the secrets that tasks can name for their webhooks.
    pub secrets: std::path::PathBuf,
    /// Addresses that are not public and may be reached all the same.
    pub allow_private: Vec<Reachable>,
    /// How long a receiver has to answer.
    pub timeout: Duration,
    /// The mail server, and who mails are from; none where no rule sends any.
    pub smtp: Option<(Secret, String)>,
    pub(crate) targets: Targets,
}

/// What sends.
#[derive(Debug)]
pub(crate) struct Sender {
    context: Arc<control::Context>,
    targets: Targets,
    outbound: Outbound,
    mailer: Option<Mailer>,
    signer: Signer,
    wake: Arc<Notify>,
}

/// What is due now, and when the next is.
struct Look {
    due: Vec<Delivery>,
    next: Option<Wall>,
    now: Now,
}

impl Sender {
    pub(crate) fn new(
        context: Arc<control::Context>,
        options: Options,
        home_key: &str,
        wake: Arc<Notify>,
    ) -> Result<Self, MailError> {
        let signer = Signer::new(options.signing_key.as_deref().unwrap_or(home_key));
        let outbound = Outbound::new(
            Reach { allowed: options.allow_private, key: "webhooks.allow_private" },
            conductor_outbound::system(),
            options.timeout,
            None,
        );
        let mailer = options.smtp.map(|(url, from)| Mailer::new(url.reveal(), &from, options.timeout));
        let mailer = mailer.transpose()?;
        Ok(Self { context, targets: options.targets, outbound, mailer, signer, wake })
    }

    /// Sends what is due until the end.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let mut under_way: FuturesUnordered<BoxFuture<'_, Seq>> = FuturesUnordered::new();
        let mut known: HashSet<Seq> = HashSet::new();
        loop {
            let mut next = None;
            if under_way.len() < MAX_UNDER_WAY {
                let Ok(look) = self.look(known.clone(), MAX_UNDER_WAY - under_way.len()).await else { break };
                next = look.next.map(|next| look.now.rebase(next).0);
                for delivery in look.due {
                    known.insert(delivery.seq);
                    under_way.push(Box::pin(self.deliver(delivery, &shutdown)));
                }
            }
            tokio::select! {
                () = shutdown.draining() => break,
                Some(done) = under_way.next() => drop(known.remove(&done)),
                () = self.wake.notified() => {}
                () = self.context.clock.sleep_until(next.unwrap_or_default()), if next.is_some() => {}
            }
        }
        // Whatever is cut off here is sent again after the next start.
        drop(tokio::time::timeout(LAST_WORDS, async { while under_way.next().await.is_some() {} }).await);
    }

    async fn look(&self, known: HashSet<Seq>, room: usize) -> Result<Look, Problem> {
        let look = move |machine: &conductor_core::Machine, now: Now| {
            let deliveries = machine.state().deliveries();
            let mut waiting = deliveries.filter(|delivery| !known.contains(&delivery.seq)).peekable();
            let mut due = Vec::new();
            while due.len() < room
                && let Some(delivery) = waiting.next_if(|delivery| delivery.next_at <= now.wall)
            {
                due.push(delivery.clone());
            }
            // With no room left, the end of a send is waited for.
            let next = waiting.peek().map(|delivery| delivery.next_at).filter(|_| due.len() < room);
            Look { due, next, now }
        };
        self.context.engine.look(look).await
    }

    /// Tries once, and notes what came of it.
    async fn deliver(&self, delivery: Delivery, shutdown: &Shutdown) -> Seq {
        let (to, sent) = match self.message(&delivery).await {
            Ok(message) => (message.to(), self.send(message).await),
            Err(refused) => (String::new(), Err(refused)),
        };
        let (delivered, hopeless) = match &sent {
            Ok(_) => (true, false),
            Err(refused) => {
                tracing::info!(task = ?delivery.task, to, why = refused.why, "a notice was not taken");
                (false, refused.hopeless)
            }
        };
        let answer = match sent {
            Ok(status) => Answer { to: to.into(), status: Some(status), error: None },
            Err(refused) => Answer { to: to.into(), status: refused.status, error: Some(refused.why.into()) },
        };
        let answer = Box::new(answer);
        let note = Command::DeliveryTried { delivery: delivery.seq, delivered, hopeless, answer };
        while let Err(problem) = self.context.engine.command(note.clone()).await {
            tracing::warn!(%problem, "what came of a notice could not be noted yet");
            tokio::select! {
                () = shutdown.draining() => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        delivery.seq
    }

    async fn send(&self, message: Message) -> Result<u16, Refused> {
        match (message, &self.mailer) {
            (Message::Post(post), _) => self.outbound.send(post).await,
            (Message::Mail(mail), Some(mailer)) => mailer.send(mail).await,
            (Message::Mail(_), None) => Err(Refused::hopeless("no mail server is configured")),
        }
    }

    /// What is to be sent.
    async fn message(&self, delivery: &Delivery) -> Result<Message, Refused> {
        let task = match delivery.task {
            Some(task) => Some(self.view(task).await?),
            None => None,
        };
        let now_seconds = self.context.clock.now().wall_ms.div_euclid(1_000);
        let about = About { delivery, task: task.as_ref(), signer: &self.signer, now_seconds };
        match &delivery.route {
            Route::Webhook => {
                let (url, own) = self.webhook_of(delivery).await?;
                let signer = own.as_ref().unwrap_or(&self.signer);
                Ok(Message::Post(message::webhook(url, About { signer, ..about })))
            }
            Route::Rule(name) => match self.targets.get(name) {
                Some(to) => Ok(message::by_rule(to, about)),
                None => Err(Refused::hopeless("no rule of the configuration leads there any more")),
            },
        }
    }

    async fn view(&self, task: TaskId) -> Result<TaskView, Refused> {
        control::task(&self.context, task).await.map_err(|problem| Refused {
            status: None,
            hopeless: problem.code == Code::NotFound,
            why: problem.detail,
        })
    }

    /// The webhook that a task names, and what signs it when that is a key of its own.
    async fn webhook_of(&self, delivery: &Delivery) -> Result<(Url, Option<Signer>), Refused> {
        let gone = || Refused::hopeless("the task's webhook is not kept any more");
        let key = PayloadKey::from(delivery.task.ok_or_else(gone)?);
        let log = self.context.log.clone();
        let Ok(Ok(bodies)) = tokio::task::spawn_blocking(move || log.payloads(&[key])).await else {
            return Err(Refused::new("the task cannot be read"));
        };
        let body = bodies.into_iter().next().flatten().ok_or_else(gone)?;
        let task: SubmitTask = serde_json::from_slice(&body).map_err(|_| gone())?;
        let webhook = task.webhook.ok_or_else(gone)?;
        let url = webhook.url.parse().map_err(|_| gone())?;
        let Some(name) = webhook.secret else { return Ok((url, None)) };
        let keys = self.context.keys.clone();
        match tokio::task::spawn_blocking(move || keys.get(&name)).await {
            Ok(Ok(key)) => Ok((url, Some(Signer::new(key.reveal())))),
            Ok(Err(error)) => Err(Refused::new(error.to_string())),
            Err(_) => Err(Refused::new("the secret cannot be read")),
        }
    }
}

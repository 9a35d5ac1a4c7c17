//! Submits that wait at the same time go to the orchestrator together.
//!
//! Each keeps its own answer: nothing that one asks for decides about another. The first goes at once; those that arrive
//! while as many calls are under way as may be go together in the next. So the hop to the orchestrator is paid once for
//! many, and costs no waiting where there are few.

use conductor_client::{Control, Error};
use conductor_protocol::control::{ActorView, Call, Outcome, Submit, Submitted};
use conductor_protocol::limits::MAX_SUBMITS_TOGETHER;
use conductor_web::{Caller, Refusal, Site};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

/// The most calls under way at once. With two, one is decided while the other is written or answered.
const MAX_UNDER_WAY: usize = 2;
/// Bodies beyond this many bytes wait for the next call.
const MAX_BYTES_TOGETHER: usize = 1 << 20;
/// A body of more bytes goes by itself.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Submits that may wait; callers beyond wait to hand theirs over.
const MAX_WAITING: usize = 1_024;

/// The way of single submits to the orchestrator.
#[derive(Debug)]
pub(crate) struct Submits {
    waiting: mpsc::Sender<Waiting>,
}

/// A submit on its way, and who waits for its answer.
#[derive(Debug)]
struct Waiting {
    actor: ActorView,
    submit: Submit,
    answer: oneshot::Sender<Result<Submitted, Error>>,
}

/// Submits of one caller.
#[derive(Debug)]
struct Together {
    actor: ActorView,
    submits: Vec<Submit>,
    answers: Vec<oneshot::Sender<Result<Submitted, Error>>>,
}

impl Submits {
    /// Begins to carry submits. It ends when nobody is left who could submit.
    pub(crate) fn start(site: &Site) -> Self {
        let (waiting, queue) = mpsc::channel(MAX_WAITING);
        site.shutdown().spawn("submits", carry(site.clone(), queue));
        Self { waiting }
    }

    /// Submits on behalf of a caller.
    ///
    /// # Errors
    /// When the orchestrator refuses or cannot be reached.
    pub(crate) async fn submit(
        &self,
        site: &Site,
        caller: &Caller,
        submit: Submit,
    ) -> Result<Submitted, Refusal> {
        if bytes_of(&submit) > MAX_BODY_BYTES {
            return Ok(caller.control(site).await?.submit(submit).await?);
        }
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { actor: caller.actor(), submit, answer };
        let lost = || Error::Lost("the API is ending".into());
        self.waiting.send(waiting).await.map_err(|_| lost())?;
        Ok(answered.await.unwrap_or_else(|_| Err(lost()))?)
    }
}

fn bytes_of(submit: &Submit) -> usize {
    submit.tasks.iter().map(|task| task.get().len()).sum()
}

/// Carries what waits until nobody is left who could submit, or the program is killed.
async fn carry(site: Site, mut queue: mpsc::Receiver<Waiting>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = under_way.next() => {}
            first = queue.recv(), if under_way.len() < MAX_UNDER_WAY => {
                let Some(first) = first else { break };
                // Those who are about to submit at this very moment come along.
                tokio::task::yield_now().await;
                for together in gather(first, &mut queue) {
                    under_way.push(together.send(&site));
                }
            }
            () = site.shutdown().killed() => return,
        }
    }
    while under_way.next().await.is_some() {}
}

/// Takes what waits, each caller's together.
fn gather(first: Waiting, queue: &mut mpsc::Receiver<Waiting>) -> Vec<Together> {
    let mut callers: Vec<Together> = Vec::new();
    let (mut bytes, mut count, mut next) = (0, 0, Some(first));
    while let Some(Waiting { actor, submit, answer }) = next.take() {
        bytes += bytes_of(&submit);
        count += 1;
        match callers.iter_mut().find(|caller| caller.actor == actor) {
            Some(caller) => {
                caller.submits.push(submit);
                caller.answers.push(answer);
            }
            None => callers.push(Together { actor, submits: vec![submit], answers: vec![answer] }),
        }
        if bytes < MAX_BYTES_TOGETHER && count < MAX_SUBMITS_TOGETHER {
            next = queue.try_recv().ok();
        }
    }
    callers
}

impl Together {
    /// Sends, and hands out the answers.
    async fn send(mut self, site: &Site) {
        let control = match site.control_soon().await {
            Ok(control) => control.on_behalf_of(self.actor),
            Err(problem) => {
                return self.answers.drain(..).for_each(|it| tell(it, Err(Error::Refused(problem.clone()))));
            }
        };
        if self.submits.len() == 1 {
            return alone(&control, self.submits, self.answers).await;
        }
        let call = Call::SubmitEach(self.submits);
        let outcomes: Result<Vec<Outcome>, Error> = control.ask_by(&call).await;
        let Call::SubmitEach(submits) = call else { return };
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => return self.answers.into_iter().for_each(|it| tell(it, Err(error.clone()))),
        };
        // An answer without an outcome is dropped, which tells its caller that it was lost.
        let (mut left, mut unanswered) = (Vec::new(), Vec::new());
        for ((outcome, submit), answer) in outcomes.into_iter().zip(submits).zip(self.answers) {
            match outcome {
                Outcome::Accepted(submitted) => tell(answer, Ok(submitted)),
                Outcome::Refused(problem) => tell(answer, Err(Error::Refused(problem))),
                Outcome::Alone => {
                    left.push(submit);
                    unanswered.push(answer);
                }
            }
        }
        alone(&control, left, unanswered).await;
    }
}

/// Sends each by itself, all at once.
async fn alone(
    control: &Control,
    submits: Vec<Submit>,
    answers: Vec<oneshot::Sender<Result<Submitted, Error>>>,
) {
    let send = |(submit, answer)| async { tell(answer, control.submit(submit).await) };
    let mut sent: FuturesUnordered<_> = submits.into_iter().zip(answers).map(send).collect();
    while sent.next().await.is_some() {}
}

/// Who asked may have left.
fn tell(answer: oneshot::Sender<Result<Submitted, Error>>, result: Result<Submitted, Error>) {
    drop(answer.send(result));
}

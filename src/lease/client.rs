//! The handle of the two tasks.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::requests::{Answers, Releases, Requests, Task};
use super::scripts::{Request, Scripts};
use super::{Answer, Failure, LeaseSetup, Server, listener};
use crate::protocol::Epoch;

/// The longest wait at the end: whoever stops, or begins to serve, has no time for a server that hangs.
const LONGEST_END: Duration = Duration::from_secs(1);

/// Asks Redis for the lease, and hears announcements. When the last clone is dropped, both end at once: a release that
/// must not be lost is waited for with [`finish`](LeaseClient::finish).
///
/// Everything asked for is done in this order, one after another; but a release makes what was asked for before it, and
/// has not begun, superfluous, and that gets no answer.
#[derive(Clone)]
pub struct LeaseClient(Arc<Inner>);

struct Inner {
    tasks: UnboundedSender<Task>,
    releases: Arc<watch::Sender<Releases>>,
    server: Server,
    request_limit: Duration,
    running: Mutex<JoinSet<()>>,
}

impl LeaseClient {
    /// Starts two tasks in the current tokio runtime, which needs I/O and time. They connect when they need to; the one
    /// that listens does so now. `answers` is called from them and must not block.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub fn start(setup: LeaseSetup, answers: impl Fn(Answer) + Send + Sync + 'static) -> LeaseClient {
        let answers: Answers = Arc::new(answers);
        let (tasks, inbox) = unbounded_channel();
        let releases = Arc::new(watch::Sender::new(Releases::default()));
        let request_limit = setup.request_limit;
        let mut running = JoinSet::new();
        let (server, token) = (setup.server.clone(), setup.holder.token);
        running.spawn(listener::listen(server.clone(), setup.scope.clone(), token, Arc::clone(&answers)));
        let scripts = Scripts::new(&setup);
        let requests = Requests { setup, scripts, answers, releases: Arc::clone(&releases), connection: None };
        running.spawn(requests.run(inbox));
        LeaseClient(Arc::new(Inner { tasks, releases, server, request_limit, running: Mutex::new(running) }))
    }

    /// Asks for the lease; if it is ours already, prolongs it.
    pub fn acquire(&self) {
        self.send(Task::Ask(Request::Acquire));
    }

    /// Prolongs the lease if it is ours, and tells Redis our epoch.
    pub fn renew(&self) {
        self.send(Task::Ask(Request::Renew));
    }

    /// Gives the lease back if it is ours, and announces in any case that there is something to look at.
    pub fn release(&self) {
        self.0.releases.send_modify(|releases| releases.open += 1);
        self.send(Task::Ask(Request::Release));
    }

    /// What is asked for from now on tells this epoch.
    pub fn set_epoch(&self, epoch: Option<Epoch>) {
        self.send(Task::SetEpoch(epoch));
    }

    /// Waits until every release that was asked for is over, for one request's limit and a second at the longest. Then
    /// nothing of the client runs any more, whoever else holds a clone of it.
    ///
    /// # Errors
    ///
    /// Why the last release was not confirmed. A server that hangs may have been told of it all the same; if not, the lease
    /// ends by itself.
    pub async fn finish(self) -> Result<(), Failure> {
        let limit = self.0.request_limit.min(LONGEST_END);
        let mut releases = self.0.releases.subscribe();
        let is_over = timeout(limit, releases.wait_for(|releases| releases.open == 0)).await.is_ok();
        let failure = releases.borrow().failure.clone();
        let mut running = mem::take(&mut *self.0.running.lock().unwrap_or_else(PoisonError::into_inner));
        running.shutdown().await;
        if is_over { failure.map_or(Ok(()), Err) } else { Err(Failure::timeout(&self.0.server, limit)) }
    }

    fn send(&self, task: Task) {
        // After `finish` nobody listens, and nothing is wanted.
        let _ = self.0.tasks.send(task);
    }
}

impl fmt::Debug for LeaseClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseClient").field("releases", &self.0.releases.borrow().open).finish_non_exhaustive()
    }
}

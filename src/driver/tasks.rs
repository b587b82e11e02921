//! The runs of async steps: tasks, asked to end, aborted, and awaited until nothing of them is left.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::context::{Facts, StepContext};
use super::journal::{Journal, Lines};
use super::message::Message;
use super::work::{StepFunction, StepResult};
use crate::process::{RunEnd, RunHow, boottime};
use crate::protocol::Timestamp;
use crate::volume::Guard;

/// What a program that panics exits with.
const PANICKED: i32 = 101;

/// After so long beyond its abort, a task that is still there is told of.
const PATIENCE: Duration = Duration::from_secs(5);

/// And again each time so long after that; the same for a clone that is kept.
const REMIND_EVERY: Duration = Duration::from_secs(30);

/// The runtime's timers stand still while the machine sleeps, deadlines do not: we look this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a task has been told.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    stop: bool,
    kill: bool,
    deadline: Option<Timestamp>,
}

/// Gives orders to one task. When it is dropped, nobody leads any more, and the task is stopped.
#[derive(Debug)]
pub(super) struct TaskControl(watch::Sender<Orders>);

impl TaskControl {
    /// Asks it to end; after the grace it is aborted.
    pub(super) fn stop(&self) {
        self.0.send_modify(|orders| orders.stop = true);
    }

    /// Aborts it.
    pub(super) fn kill(&self) {
        self.0.send_modify(|orders| orders.kill = true);
    }

    /// At this moment it is asked to end, instead of any other told before.
    pub(super) fn set_deadline(&self, deadline: Timestamp) {
        self.0.send_modify(|orders| orders.deadline = Some(deadline));
    }
}

/// What a task is started with.
pub(super) struct Order {
    pub(super) facts: Facts,
    pub(super) guard: Option<Arc<Guard>>,
    pub(super) deadline: Option<Timestamp>,
    pub(super) grace: Duration,
    pub(super) lines: Lines,
}

/// Starts a run. Its end is told by a message.
pub(super) fn start(function: StepFunction, order: Order, answers: UnboundedSender<Message>) -> TaskControl {
    let Order { facts, guard, deadline, grace, lines } = order;
    let (control, orders) = watch::channel(Orders { deadline, ..Orders::default() });
    let (cancel, is_cancelled) = watch::channel(false);
    let (step, name) = (facts.step, lines.name.clone());
    let journal = Arc::new(Journal::new(lines));
    info!(step = %name, "step started");
    let (context, gone) = StepContext::new(facts, is_cancelled, Arc::clone(&journal), guard);
    let task = tokio::spawn(function.call(context));
    let keeper =
        Keeper { name, task, orders, cancel, gone, grace, journal, begun: boottime::now(), stage: Stage::Running };
    tokio::spawn(async move {
        let (end, lines) = keeper.keep().await;
        let _ = answers.send(Message::RunEnded(step, end, lines));
    });
    TaskControl(control)
}

/// How far a task has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Running,
    /// It was asked to end, and may do so until that moment.
    Grace(Timestamp),
    /// It was aborted; if it is there at that moment, that is told.
    Aborted(Timestamp),
}

/// Watches over one task until nothing is left of it.
struct Keeper {
    name: String,
    task: JoinHandle<StepResult>,
    orders: watch::Receiver<Orders>,
    cancel: watch::Sender<bool>,
    gone: oneshot::Receiver<()>,
    grace: Duration,
    journal: Arc<Journal>,
    begun: Timestamp,
    stage: Stage,
}

impl Keeper {
    async fn keep(mut self) -> (RunEnd, Vec<String>) {
        let result = loop {
            let rest = self.next_moment().map_or(Duration::MAX, |at| at.since(boottime::now()).min(LOOK_EVERY));
            let is_led = self.orders.has_changed().is_ok();
            tokio::select! {
                biased;
                result = &mut self.task => break result,
                // Without a leader this is over at once, and once is enough.
                _ = self.orders.changed(), if is_led || self.stage == Stage::Running => {}
                () = sleep(rest) => {}
            }
            self.advance(boottime::now());
        };
        let stopped = self.stage != Stage::Running;
        let how = RunHow::Exit(self.judge(result));
        self.await_clones().await;
        let duration = boottime::now().since(self.begun);
        (RunEnd { how, stopped, checked: false, leftovers: 0, duration }, self.journal.finish())
    }

    fn advance(&mut self, now: Timestamp) {
        let is_led = self.orders.has_changed().is_ok();
        let orders = *self.orders.borrow_and_update();
        let is_late = orders.deadline.is_some_and(|deadline| deadline <= now);
        match self.stage {
            Stage::Running | Stage::Grace(_) if orders.kill => self.abort(now),
            Stage::Running if orders.stop || is_late || !is_led => {
                if !orders.stop && is_late {
                    warn!(step = %self.name, "stopped at the lease's deadline");
                }
                self.cancel.send_replace(true);
                self.stage = Stage::Grace(now + self.grace);
                self.advance_grace(now, now + self.grace);
            }
            Stage::Grace(until) => self.advance_grace(now, until),
            Stage::Aborted(until) if until <= now => {
                warn!(step = %self.name, "still there after its abort, so the guard is kept: the function does not await");
                self.stage = Stage::Aborted(now + REMIND_EVERY);
            }
            Stage::Running | Stage::Aborted(_) => {}
        }
    }

    fn advance_grace(&mut self, now: Timestamp, until: Timestamp) {
        if until <= now {
            self.abort(now);
        }
    }

    fn abort(&mut self, now: Timestamp) {
        self.cancel.send_replace(true);
        self.task.abort();
        self.stage = Stage::Aborted(now + PATIENCE);
    }

    fn next_moment(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Running => self.orders.borrow().deadline,
            Stage::Grace(until) | Stage::Aborted(until) => Some(until),
        }
    }

    /// The exit code that a command would have ended with.
    fn judge(&self, result: Result<StepResult, JoinError>) -> i32 {
        match result {
            Ok(Ok(())) => 0,
            Ok(Err(error)) => {
                self.journal.say(error.reason());
                error.code()
            }
            Err(error) if error.is_panic() => {
                self.journal.say(&format!("panicked: {}", panic_text(error.into_panic().as_ref())));
                PANICKED
            }
            Err(_aborted) => 1,
        }
    }

    /// Whoever has a clone of the context may be at work for this step.
    async fn await_clones(&mut self) {
        self.cancel.send_replace(true);
        let mut patience = PATIENCE;
        while timeout(patience, &mut self.gone).await.is_err() {
            warn!(step = %self.name, "the step has ended, but a clone of its context is kept: waiting for that to be dropped");
            patience = REMIND_EVERY;
        }
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::driver::log_thread::LogThread;
    use crate::driver::testing;
    use crate::protocol::{Epoch, StepId};
    use crate::settings::Mask;

    const NO_GRACE: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(3600);

    /// Starts `function` with `grace` and a deadline so far from now.
    fn begin(
        function: StepFunction,
        grace: Duration,
        deadline: Option<Duration>,
    ) -> (TaskControl, UnboundedReceiver<Message>) {
        let (answers, inbox) = unbounded_channel();
        let (volume, _) = testing::volume();
        let logs = LogThread::start(volume.clone()).unwrap();
        let lines = Lines::new(StepId(0), "step".to_owned(), Arc::new(Mask::new()), logs);
        let facts = Facts { step: StepId(0), epoch: Epoch(7), attempt: 1, volume };
        let deadline = deadline.map(|rest| boottime::now() + rest);
        (start(function, Order { facts, guard: None, deadline, grace, lines }, answers), inbox)
    }

    async fn end(inbox: &mut UnboundedReceiver<Message>) -> (RunEnd, Vec<String>) {
        match inbox.recv().await {
            Some(Message::RunEnded(StepId(0), end, lines)) => (end, lines),
            other => panic!("{other:?}"),
        }
    }

    /// Says when it was asked to end, and ends.
    fn listening() -> StepFunction {
        StepFunction::new(|context| async move {
            context.cancelled().await;
            context.log(&format!("asked in epoch {}", context.epoch()));
            Ok(())
        })
    }

    fn deaf() -> StepFunction {
        StepFunction::new(|_| std::future::pending())
    }

    #[tokio::test]
    async fn at_the_deadline_it_is_asked_to_end_and_after_the_grace_aborted() {
        let (_control, mut inbox) = begin(listening(), LONG, Some(Duration::from_millis(20)));
        let (told, lines) = end(&mut inbox).await;
        assert!(told.stopped && lines == ["asked in epoch 7"], "{told:?} {lines:?}");
        let (_control, mut inbox) = begin(deaf(), Duration::from_millis(20), Some(Duration::from_millis(20)));
        let (told, _) = end(&mut inbox).await;
        assert!(told.stopped && told.duration >= Duration::from_millis(40), "{told:?}");
    }

    #[tokio::test]
    async fn a_deadline_that_is_put_off_counts_alone() {
        let (control, mut inbox) = begin(listening(), LONG, Some(Duration::from_millis(50)));
        control.set_deadline(boottime::now() + LONG);
        assert!(timeout(Duration::from_millis(200), inbox.recv()).await.is_err());
        control.set_deadline(boottime::now());
        assert!(end(&mut inbox).await.0.stopped);
    }

    #[tokio::test]
    async fn without_grace_or_when_it_is_killed_it_is_aborted_at_once() {
        let (control, mut inbox) = begin(deaf(), NO_GRACE, None);
        control.stop();
        assert!(end(&mut inbox).await.0.stopped);
        let (control, mut inbox) = begin(deaf(), LONG, None);
        control.stop();
        control.kill();
        assert!(end(&mut inbox).await.0.stopped);
    }

    #[tokio::test]
    async fn without_a_leader_it_is_stopped_however_early_that_went() {
        let (control, mut inbox) = begin(listening(), LONG, None);
        drop(control);
        assert!(end(&mut inbox).await.0.stopped);
    }

    #[tokio::test]
    async fn what_had_ended_before_it_was_stopped_ended_by_itself() {
        let (control, mut inbox) = begin(StepFunction::new(|_| async { Ok(()) }), LONG, None);
        tokio::task::yield_now().await;
        control.stop();
        let (told, _) = end(&mut inbox).await;
        assert_eq!((told.how, told.stopped), (RunHow::Exit(0), false));
    }

    /// A function that ends at once, and whose context is sent elsewhere.
    fn leaving(contexts: UnboundedSender<StepContext>) -> StepFunction {
        StepFunction::new(move |context| {
            let _ = contexts.send(context);
            async { Ok(()) }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_not_over_while_a_clone_lives_however_long() {
        let (contexts, mut kept) = unbounded_channel();
        let (control, mut inbox) = begin(leaving(contexts), NO_GRACE, None);
        let clone = kept.recv().await.unwrap();
        control.kill();
        assert!(timeout(LONG, inbox.recv()).await.is_err(), "the clone is still there");
        drop(clone);
        assert_eq!(end(&mut inbox).await.0.how, RunHow::Exit(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clone_is_told_when_its_function_has_ended() {
        let (contexts, mut kept) = unbounded_channel();
        let (_control, mut inbox) = begin(leaving(contexts), LONG, None);
        let clone = kept.recv().await.unwrap();
        timeout(LONG, clone.cancelled()).await.expect("the clone is told");
        assert!(clone.is_cancelled());
        drop(clone);
        assert!(!end(&mut inbox).await.0.stopped, "it ended by itself");
    }

    #[tokio::test]
    async fn a_context_is_kept_for_a_function_that_drops_its_own() {
        let (context, mut gone) = {
            let (volume, _) = testing::volume();
            let logs = LogThread::start(volume.clone()).unwrap();
            let journal = Journal::new(Lines::new(StepId(0), "step".to_owned(), Arc::new(Mask::new()), logs));
            let facts = Facts { step: StepId(0), epoch: Epoch(7), attempt: 1, volume };
            StepContext::new(facts, watch::channel(false).1, Arc::new(journal), None)
        };
        let (release, released) = oneshot::channel::<()>();
        let released = std::sync::Mutex::new(Some(released));
        let function = StepFunction::new(move |_| {
            let released = released.lock().unwrap().take().unwrap();
            async { Ok(released.await?) }
        });
        let run = tokio::spawn(function.call(context));
        tokio::task::yield_now().await;
        assert!(gone.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty), "it runs");
        release.send(()).unwrap();
        run.await.unwrap().unwrap();
        assert!(gone.await.is_err(), "it is over");
    }
}

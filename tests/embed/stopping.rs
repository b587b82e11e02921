//! Stopping and dropping: what is left of a step, and when.

use std::future::pending;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use bellwether::{Outcome, RunError, Running, Step, StepContext};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{sleep, timeout};

use crate::scratch::{Scratch, outcome, until, until_blocking};
use crate::waiting::LIMIT;

/// Says when it is dropped.
struct Witness(Arc<AtomicBool>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A step that ignores that it is asked to end, and whether it is gone.
fn stubborn(scratch: &Scratch) -> (Step, Arc<AtomicBool>) {
    let (gone, noting) = (Arc::new(AtomicBool::new(false)), scratch.clone());
    let seen = Arc::clone(&gone);
    let step = Step::run("stubborn", move |context: StepContext| {
        let (noting, witness) = (noting.clone(), Witness(Arc::clone(&seen)));
        async move {
            noting.note("begun");
            context.cancelled().await;
            noting.note("asked");
            let _witness = witness;
            pending().await
        }
    });
    (step, gone)
}

#[tokio::test]
async fn a_stopped_replica_leaves_nothing_in_the_way() {
    let scratch = Scratch::new();
    let running = scratch.start("v1", scratch.endless());
    scratch.until_noted("epoch 1").await;
    assert!(scratch.has(".endless_in_progress_v1") && scratch.is_guarded());
    running.stop();
    assert_eq!(outcome(running).await, Outcome::Stopped);
    assert_eq!(scratch.notes(), ["epoch 1", "cancelled"]);
    assert!(!scratch.has(".endless_in_progress_v1") && !scratch.has(".endless_done_v1"), "Ok after a stop is not done");
    assert!(!scratch.is_guarded());
}

#[tokio::test]
async fn a_dropped_handle_stops_in_the_background() {
    let scratch = Scratch::new();
    let running = scratch.start("v1", scratch.endless());
    scratch.until_noted("epoch 1").await;
    drop(running);
    scratch.until_left().await;
    assert_eq!(scratch.notes(), ["epoch 1", "cancelled"]);
}

#[tokio::test]
async fn dropping_what_was_stopped_already_leaves_it_its_grace() {
    let scratch = Scratch::new();
    let noting = scratch.clone();
    let step = Step::run("slow", move |context: StepContext| {
        let noting = noting.clone();
        async move {
            noting.note("begun");
            context.cancelled().await;
            sleep(Duration::from_millis(100)).await;
            noting.note("tidied up");
            Ok(())
        }
    });
    let running =
        scratch.bootstrap("v1").stop_grace(Duration::from_secs(60)).step(step).build().unwrap().start().unwrap();
    scratch.until_noted("begun").await;
    running.stop();
    drop(running);
    scratch.until_left().await;
    assert_eq!(scratch.notes(), ["begun", "tidied up"]);
}

#[tokio::test]
async fn a_dropped_future_stops_in_the_background() {
    let scratch = Scratch::new();
    let replica = scratch.replica("v1", scratch.endless());
    tokio::select! {
        end = replica.run() => panic!("{end:?}"),
        () = scratch.until_noted("epoch 1") => {}
    }
    scratch.until_left().await;
    assert_eq!(scratch.notes(), ["epoch 1", "cancelled"]);
}

#[tokio::test]
async fn a_step_that_does_not_listen_is_aborted_after_the_grace() {
    let scratch = Scratch::new();
    let (step, gone) = stubborn(&scratch);
    let running = scratch.start("v1", step);
    scratch.until_noted("begun").await;
    running.stop();
    scratch.until_noted("asked").await;
    assert!(!gone.load(Ordering::SeqCst) && scratch.is_guarded(), "it has its grace");
    assert_eq!(outcome(running).await, Outcome::Stopped);
    assert!(gone.load(Ordering::SeqCst) && !scratch.is_guarded());
}

#[tokio::test]
async fn a_second_request_does_not_wait_for_the_grace() {
    let scratch = Scratch::new();
    let (step, gone) = stubborn(&scratch);
    let replica = scratch.bootstrap("v1").stop_grace(Duration::from_secs(3600)).step(step).build().unwrap();
    let running = replica.start().unwrap();
    let stopper = running.stopper();
    scratch.until_noted("begun").await;
    stopper.stop();
    scratch.until_noted("asked").await;
    stopper.stop();
    assert_eq!(outcome(running).await, Outcome::Stopped);
    assert!(gone.load(Ordering::SeqCst));
}

#[tokio::test]
async fn being_cancelled_can_be_awaited_again_and_by_many() {
    let scratch = Scratch::new();
    let noting = scratch.clone();
    let step = Step::run("many", move |context: StepContext| {
        let noting = noting.clone();
        async move {
            // Polled and dropped: nothing is lost.
            for _ in 0..3 {
                assert!(timeout(Duration::from_millis(1), context.cancelled()).await.is_err());
            }
            noting.note("begun");
            let other = context.clone();
            let waiting = tokio::spawn(async move { other.cancelled().await });
            context.cancelled().await;
            context.cancelled().await;
            waiting.await?;
            assert!(context.is_cancelled());
            noting.note("all have heard");
            Ok(())
        }
    });
    let running = scratch.start("v1", step);
    scratch.until_noted("begun").await;
    running.stop();
    assert_eq!(outcome(running).await, Outcome::Stopped);
    assert_eq!(scratch.notes(), ["begun", "all have heard"]);
}

/// Notes when a function has been dropped.
struct Farewell(Scratch);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.note("the function is gone");
    }
}

/// A step whose work is done by a thread with a clone of the context, until it is released.
fn in_a_thread(scratch: &Scratch) -> (Step, Witness) {
    let (noting, released) = (scratch.clone(), Arc::new(AtomicBool::new(false)));
    // A runtime waits for its threads, so a test that fails has to release this one, too.
    let release = Witness(Arc::clone(&released));
    let step = Step::run("blocking", move |context: StepContext| {
        let (noting, released) = (noting.clone(), Arc::clone(&released));
        async move {
            let _farewell = Farewell(noting.clone());
            let worker = context.clone();
            let work = move || {
                noting.note("begun");
                while !released.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                noting.note("ended");
                drop(worker);
            };
            tokio::task::spawn_blocking(work).await?;
            Ok(())
        }
    });
    (step, release)
}

#[tokio::test]
async fn a_run_is_not_over_while_a_thread_has_its_context() {
    let scratch = Scratch::new();
    let (step, release) = in_a_thread(&scratch);
    let running = scratch.start("v1", step);
    scratch.until_noted("begun").await;
    running.stop();
    running.stop();
    scratch.until_noted("the function is gone").await;
    let impatient = scratch.bootstrap("v1").step(scratch.endless()).ready_timeout(Duration::from_millis(300));
    assert_eq!(outcome(impatient.build().unwrap().run()).await, Outcome::GaveUp);
    assert!(
        !running.is_finished() && scratch.is_guarded() && scratch.has(".blocking_in_progress_v1"),
        "the function is gone, the thread is not"
    );
    drop(release);
    assert_eq!(outcome(running).await, Outcome::Stopped);
    assert_eq!(scratch.notes(), ["begun", "the function is gone", "ended"]);
    // The impatient one's wait for it cannot be taken back: it gets it, and closes it at once.
    until("the guard to be free", || !scratch.is_guarded()).await;
}

#[test]
fn a_thread_that_outlives_the_runtime_keeps_the_guard() {
    let scratch = Scratch::new();
    let (step, release) = in_a_thread(&scratch);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let running = runtime.block_on(async {
        let running = scratch.start("v1", step);
        scratch.until_noted("begun").await;
        running
    });
    shut_down(runtime, running);
    assert!(scratch.is_guarded());
    drop(release);
    until_blocking("the guard to be free", || !scratch.is_guarded());
    assert_eq!(scratch.notes(), ["begun", "the function is gone", "ended"]);
}

/// Shuts a runtime down in the background, and waits until the replica there is gone.
fn shut_down(runtime: Runtime, running: Running) {
    runtime.shutdown_background();
    let end = one_thread().block_on(async { timeout(LIMIT, running).await.expect("an end") });
    assert!(matches!(end, Err(RunError::ShutDown)), "{end:?}");
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A step that does nothing with its context, and in its first run blocks its thread until the sender is dropped.
fn blocking(scratch: &Scratch) -> (Step, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel();
    let (noting, released) = (scratch.clone(), Arc::new(Mutex::new(Some(released))));
    let step = Step::run("blocking", move |_| {
        let (noting, released) = (noting.clone(), released.lock().unwrap().take());
        async move {
            noting.note("begun");
            if let Some(released) = released {
                assert!(released.recv().is_err());
            }
            noting.note("ended");
            Ok(())
        }
    });
    (step, release)
}

#[test]
fn a_blocked_function_that_ignores_its_context_keeps_others_out_when_its_runtime_is_gone() {
    let scratch = Scratch::new();
    let (step, release) = blocking(&scratch);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let running = runtime.block_on(async {
        let running = scratch.start("v1", step.clone());
        scratch.until_noted("begun").await;
        running
    });
    shut_down(runtime, running);
    one_thread().block_on(async {
        // It has seen the leader's silence for long enough, and would have begun.
        let other = scratch.bootstrap("v1").step(step.clone()).ready_timeout(Duration::from_secs(3));
        assert_eq!(outcome(other.build().unwrap().run()).await, Outcome::GaveUp);
        assert_eq!(scratch.notes(), ["begun"]);
        let other = scratch.start("v1", step);
        drop(release);
        assert_eq!(outcome(other).await, Outcome::Ready);
    });
    assert_eq!(scratch.notes(), ["begun", "ended", "begun", "ended"]);
}

fn drop_runtime_in_the_middle(runtime: Runtime) {
    let scratch = Scratch::new();
    let (step, gone) = stubborn(&scratch);
    let running = runtime.block_on(async {
        let running = scratch.start("v1", step);
        scratch.until_noted("begun").await;
        running
    });
    assert!(scratch.is_guarded());
    drop(runtime);
    until_blocking("the task to be gone", || gone.load(Ordering::SeqCst));
    until_blocking("the guard to be free", || !scratch.is_guarded());
    assert_eq!(scratch.notes(), ["begun"]);
    drop(running);
}

#[test]
fn a_dropped_runtime_takes_its_tasks_along_and_the_guard_is_free_at_last() {
    drop_runtime_in_the_middle(Builder::new_current_thread().enable_all().build().unwrap());
    drop_runtime_in_the_middle(Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
}

#[tokio::test]
async fn a_follower_that_is_stopped_ends_at_once() {
    let scratch = Scratch::new();
    let leader = scratch.start("v1", scratch.endless());
    scratch.until_noted("epoch 1").await;
    let follower = scratch.start("v1", scratch.endless());
    until("the follower to look", || scratch.has(".bellwether/revisions")).await;
    follower.stop();
    assert_eq!(outcome(follower).await, Outcome::Stopped);
    let impatient = scratch.bootstrap("v1").step(scratch.endless()).ready_timeout(Duration::from_millis(50));
    assert_eq!(outcome(impatient.build().unwrap().run()).await, Outcome::GaveUp);
    leader.stop();
    assert_eq!(outcome(leader).await, Outcome::Stopped);
}

/// How many tasks this runtime has, the test itself aside.
fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn what_waits_for_the_needs_is_gone_with_the_replica() {
    let scratch = Scratch::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let replica = || scratch.bootstrap("v1").need(format!("tcp://{socket}")).step(scratch.endless()).build().unwrap();
    let running = replica().start().unwrap();
    until("the driver and what waits", || tasks() == 2).await;
    running.stop();
    assert_eq!(outcome(running).await, Outcome::Stopped);
    until("no task to be left", || tasks() == 0).await;
    let running = replica().start().unwrap();
    until("the driver and what waits", || tasks() == 2).await;
    drop(running);
    until("no task to be left", || tasks() == 0).await;
}

#[tokio::test]
async fn an_outcome_is_told_once_and_then_it_is_pending_for_ever() {
    let scratch = Scratch::new();
    let mut running = scratch.start("v1", scratch.endless());
    scratch.until_noted("epoch 1").await;
    assert!(!running.is_finished());
    running.stop();
    until("the end", || running.is_finished()).await;
    assert_eq!(outcome(&mut running).await, Outcome::Stopped);
    assert!(running.is_finished());
    let again = std::pin::pin!(running).poll(&mut Context::from_waker(Waker::noop()));
    assert!(again.is_pending());
}

#[test]
fn a_thread_that_asks_whether_it_is_to_end_is_told_so_when_the_runtime_is_gone() {
    let scratch = Scratch::new();
    let noting = scratch.clone();
    let step = Step::run("asking", move |context: StepContext| {
        let noting = noting.clone();
        async move {
            let work = move || {
                noting.note("begun");
                until_blocking("the order to end", || context.is_cancelled());
                noting.note("told");
            };
            std::thread::spawn(work);
            pending().await
        }
    });
    let runtime = one_thread();
    let running = runtime.block_on(async {
        let running = scratch.start("v1", step);
        scratch.until_noted("begun").await;
        running
    });
    assert_eq!(scratch.notes(), ["begun"]);
    drop(runtime);
    until_blocking("the guard to be free", || !scratch.is_guarded());
    assert_eq!(scratch.notes(), ["begun", "told"]);
    drop(running);
}

//! Several replicas in one process, on one volume.

use std::time::Duration;

use bellwether::{Outcome, Step, StepContext};
use tokio::runtime::{Builder, Runtime};

use crate::scratch::{Scratch, outcome, until};

/// A step that is short the second time.
fn once_long(scratch: &Scratch) -> Step {
    let scratch = scratch.clone();
    Step::run("migrate", move |context: StepContext| {
        let scratch = scratch.clone();
        async move {
            scratch.note(&format!("epoch {} attempt {}", context.epoch(), context.attempt()));
            if scratch.notes().len() == 1 {
                context.cancelled().await;
            }
            Ok(())
        }
    })
}

fn exactly_one_of_three_runs_them(runtime: &Runtime) {
    let scratch = Scratch::new();
    let step = |name: &'static str| {
        let scratch = scratch.clone();
        Step::run(name, move |_| {
            let scratch = scratch.clone();
            async move {
                scratch.note(name);
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(())
            }
        })
    };
    let start = || {
        let bootstrap = scratch.bootstrap("v1").step(step("migrate")).step(step("index").after("migrate"));
        bootstrap.build().unwrap().start().unwrap()
    };
    runtime.block_on(async {
        let replicas = [start(), start(), start()];
        for replica in replicas {
            assert_eq!(outcome(replica).await, Outcome::Ready);
        }
    });
    assert_eq!(scratch.notes(), ["migrate", "index"]);
}

#[test]
fn exactly_one_of_three_runs_the_steps_on_any_runtime() {
    exactly_one_of_three_runs_them(&Builder::new_current_thread().enable_all().build().unwrap());
    exactly_one_of_three_runs_them(&Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
}

#[tokio::test]
async fn when_the_leader_is_dropped_another_takes_over_under_a_greater_epoch() {
    let scratch = Scratch::new();
    let first = scratch.start("v1", once_long(&scratch));
    scratch.until_noted("epoch 1 attempt 1").await;
    let second = scratch.start("v1", once_long(&scratch));
    drop(first);
    assert_eq!(outcome(second).await, Outcome::Ready);
    assert_eq!(scratch.notes(), ["epoch 1 attempt 1", "epoch 2 attempt 1"], "what we stopped is not counted");
}

#[test]
fn when_the_leaders_runtime_is_dropped_another_takes_over_after_the_silence() {
    let scratch = Scratch::new();
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let (doomed, other) = (runtime(), runtime());
    let first = doomed.block_on(async {
        let first = scratch.start("v1", once_long(&scratch));
        scratch.until_noted("epoch 1 attempt 1").await;
        first
    });
    let second = other.block_on(async { scratch.start("v1", once_long(&scratch)) });
    drop(doomed);
    other.block_on(async { assert_eq!(outcome(second).await, Outcome::Ready) });
    assert_eq!(scratch.notes(), ["epoch 1 attempt 1", "epoch 2 attempt 2"], "nobody could give the attempt back");
    drop(first);
}

/// The mask of blocked signals of each thread of ours with this name.
fn blocked(name: &str) -> Vec<u64> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let statuses = tasks.map(|task| std::fs::read_to_string(task.path().join("status")).unwrap_or_default());
    let named = statuses.filter(|status| status.starts_with(&format!("Name:\t{name}\n")));
    let mask = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t").map(str::to_owned));
        u64::from_str_radix(&line.unwrap(), 16).unwrap()
    };
    named.map(mask).collect()
}

#[tokio::test]
async fn the_threads_that_we_start_take_no_signal_of_the_embedders() {
    let scratch = Scratch::new();
    let leader = scratch.start("v1", scratch.endless());
    scratch.until_noted("epoch 1").await;
    let follower = scratch.start("v1", scratch.endless());
    // HUP, INT, QUIT, USR1, USR2, PIPE, ALRM, TERM, CHLD.
    let signals = [1, 2, 3, 10, 12, 13, 14, 15, 17].map(|signal| 1_u64 << (signal - 1)).iter().sum::<u64>();
    for name in ["volume", "logs", "guard"] {
        until(&format!("{name} with all signals blocked"), || {
            let masks = blocked(name);
            !masks.is_empty() && masks.iter().all(|mask| mask & signals == signals)
        })
        .await;
    }
    drop((leader, follower));
    scratch.until_left().await;
}

#[tokio::test]
async fn one_that_never_leads_waits_for_one_that_does() {
    let scratch = Scratch::new();
    let step = |text: &'static str| {
        let scratch = scratch.clone();
        Step::run("migrate", move |_| {
            let scratch = scratch.clone();
            async move {
                scratch.note(text);
                Ok(())
            }
        })
    };
    let worker = || scratch.bootstrap("v1").never_lead().step(step("worker"));
    let impatient = worker().ready_timeout(Duration::from_millis(100)).build().unwrap();
    assert_eq!(outcome(impatient.run()).await, Outcome::GaveUp);
    assert!(!scratch.has(".bellwether"), "it touches nothing");
    let worker = worker().build().unwrap().start().unwrap();
    let web = scratch.start("v1", step("web"));
    assert_eq!(outcome(web).await, Outcome::Ready);
    assert_eq!(outcome(worker).await, Outcome::Ready);
    assert_eq!(scratch.notes(), ["web"]);
}

#[tokio::test]
async fn a_superseded_revision_is_ready_with_a_warning_or_refused() {
    let scratch = Scratch::new();
    let step = || Step::run("migrate", |_| async { Ok(()) });
    for rev in ["v1", "v2", "v1"] {
        assert_eq!(outcome(scratch.replica(rev, step()).run()).await, Outcome::Ready, "{rev}");
    }
    let refusing = scratch.bootstrap("v1").refuse_downgrade().step(step()).build().unwrap();
    let end = outcome(refusing.run()).await;
    assert!(matches!(&end, Outcome::Superseded { newest, .. } if newest == "v2"), "{end:?}");
}

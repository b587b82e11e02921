//! Steps that are async functions: what they are given, and how they end.

use std::time::Duration;

use bellwether::{Outcome, RunError, Step, StepContext, StepError};

use crate::scratch::{Scratch, outcome};

#[tokio::test]
async fn a_step_is_told_which_run_it_is() {
    let scratch = Scratch::new();
    let facts = scratch.clone();
    let step = Step::run("facts", move |context: StepContext| {
        let facts = facts.clone();
        async move {
            assert_eq!(context.volume(), facts.root());
            let (step, revision) = (context.step(), context.revision());
            facts.note(&format!("{step} {revision} epoch {} attempt {}", context.epoch(), context.attempt()));
            assert!(!context.is_cancelled());
            Ok(())
        }
    });
    for rev in ["v1", "v2"] {
        let replica = scratch.replica(rev, step.clone().markers("stating", "stated"));
        assert_eq!(outcome(replica.run()).await, Outcome::Ready);
        assert!(scratch.has(&format!(".stated_{rev}")) && scratch.has(&format!(".ready_{rev}")));
    }
    assert_eq!(scratch.notes(), ["facts v1 epoch 1 attempt 1", "facts v2 epoch 2 attempt 1"], "epochs grow");
    assert_eq!(outcome(scratch.replica("v2", step).run()).await, Outcome::Ready);
    assert_eq!(scratch.notes().len(), 2, "what is ready is not done again");
}

#[tokio::test]
async fn steps_run_in_their_order_and_otherwise_side_by_side() {
    let scratch = Scratch::new();
    let noting = |name: &'static str| {
        let scratch = scratch.clone();
        Step::run(name, move |_| {
            let scratch = scratch.clone();
            async move {
                scratch.note(name);
                Ok(())
            }
        })
    };
    let meet = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let meeting = |name: &'static str| {
        let meet = meet.clone();
        Step::run(name, move |_| {
            let meet = meet.clone();
            async move {
                meet.wait().await;
                Ok(())
            }
        })
    };
    let bootstrap = scratch.bootstrap("v1").step(noting("last").after("left").after("right")).step(noting("first"));
    let bootstrap = bootstrap.step(meeting("left").after("first")).step(meeting("right").after("first"));
    assert_eq!(outcome(bootstrap.build().unwrap().run()).await, Outcome::Ready);
    assert_eq!(scratch.notes(), ["first", "last"]);
}

/// Runs a step that always ends like this, twice at most, and gives the failed marker's report.
async fn report(end: fn(StepContext) -> Result<(), StepError>) -> (Scratch, String) {
    let scratch = Scratch::new();
    let noting = scratch.clone();
    let step = Step::run("bad", move |context: StepContext| {
        let noting = noting.clone();
        async move {
            noting.note(&format!("attempt {}", context.attempt()));
            end(context)
        }
    });
    let end = outcome(scratch.replica("v1", step.max_attempts(2)).run()).await;
    let Outcome::StepFailed { step, report, .. } = end else { panic!("{end:?}") };
    assert_eq!(step, "bad");
    assert_eq!(scratch.notes(), ["attempt 1", "attempt 2"]);
    (scratch, report)
}

#[tokio::test]
async fn an_error_is_a_bad_end_and_its_text_the_last_line() {
    let (scratch, told) = report(|_| Err(StepError::failed("the table is locked"))).await;
    assert!(told.contains("exit 1 after") && told.contains("    the table is locked\n"), "{told}");
    let follower = scratch.replica("v1", Step::run("bad", |_| async { panic!("never run") }));
    assert!(matches!(outcome(follower.run()).await, Outcome::StepFailed { .. }), "it stays failed");
}

#[tokio::test]
async fn any_error_comes_through_the_question_mark_with_its_causes() {
    let (_, told) = report(|_| Ok("x".parse::<u8>().map(drop)?)).await;
    assert!(told.contains("    invalid digit found in string\n"), "{told}");
    let (_, told) = report(|_| Err(StepError::failed(Box::<dyn std::error::Error>::from("disk on fire")))).await;
    assert!(told.contains("    disk on fire\n"), "{told}");
}

#[tokio::test]
async fn a_panic_is_a_bad_end_and_nothing_more() {
    let (_, told) = report(|context| panic!("no such column in {}", context.revision())).await;
    assert!(told.contains("exit 101 after") && told.contains("    panicked: no such column in v1\n"), "{told}");
}

#[tokio::test]
async fn not_yet_is_tried_again_and_not_counted() {
    let scratch = Scratch::new();
    let noting = scratch.clone();
    let step = Step::run("patient", move |context: StepContext| {
        let noting = noting.clone();
        async move {
            noting.note(&format!("attempt {}", context.attempt()));
            if noting.notes().len() < 3 { Err(StepError::not_yet("the database starts")) } else { Ok(()) }
        }
    });
    assert_eq!(outcome(scratch.replica("v1", step.max_attempts(1)).run()).await, Outcome::Ready);
    assert_eq!(scratch.notes(), ["attempt 1"; 3]);
    assert!(scratch.text(".bellwether/log/patient.log.1").contains("the database starts"));
}

#[tokio::test]
async fn for_good_is_not_tried_again_though_attempts_are_left() {
    let scratch = Scratch::new();
    let noting = scratch.clone();
    let step = Step::run("hopeless", move |context: StepContext| {
        noting.note(&format!("attempt {}", context.attempt()));
        async { Err(StepError::for_good("no such customer")) }
    });
    for _ in 0..2 {
        let end = outcome(scratch.replica("v1", step.clone()).run()).await;
        let Outcome::StepFailed { step, report, .. } = end else { panic!("{end:?}") };
        assert!(
            step == "hopeless" && report.contains("exit 78: for good") && report.contains("    no such customer\n")
        );
    }
    assert_eq!(scratch.notes(), ["attempt 1"]);
    let error = StepError::for_good("x");
    assert!(error.is_for_good() && !error.is_not_yet() && !StepError::failed("x").is_for_good());
    drop(step);
}

#[tokio::test]
async fn what_a_step_has_written_down_is_there_for_its_next_run_and_cleared_when_it_is_done() {
    let scratch = Scratch::new();
    let noting = scratch.clone();
    let step = Step::run("rows", move |context: StepContext| {
        let noting = noting.clone();
        async move {
            let row: u32 = context.record().read().await?.parse().unwrap_or(0);
            noting.note(&format!("from row {row}"));
            context.record().write(&format!("{}", row + 10)).await?;
            if row < 20 { Err(StepError::failed("half-way")) } else { Ok(()) }
        }
    });
    assert_eq!(outcome(scratch.replica("v1", step.clone()).run()).await, Outcome::Ready);
    assert_eq!(scratch.notes(), ["from row 0", "from row 10", "from row 20"]);
    assert!(!scratch.has(".bellwether/steps/rows.data"));
    drop(step);
}

#[tokio::test]
async fn what_a_step_says_is_kept_masked_and_line_by_line() {
    let scratch = Scratch::new();
    let step = Step::run("talks", |context: StepContext| async move {
        context.log("the password is hunter2\nand nothing else\u{7}");
        Ok(())
    });
    let replica = scratch.bootstrap("v1").secret("hunter2").step(step).build().unwrap();
    assert_eq!(outcome(replica.run()).await, Outcome::Ready);
    let log = scratch.text(".bellwether/log/talks.log");
    assert_eq!(log, "the password is ***\nand nothing else\u{fffd}\n");
}

#[tokio::test]
async fn a_step_that_takes_too_long_is_stopped_and_that_counts() {
    let scratch = Scratch::new();
    let step = scratch.endless().timeout(Duration::from_millis(50)).max_attempts(2);
    let end = outcome(scratch.replica("v1", step).run()).await;
    let Outcome::StepFailed { report, .. } = end else { panic!("{end:?}") };
    assert!(report.contains("took longer than its timeout"), "{report}");
    assert_eq!(scratch.notes(), ["epoch 1", "cancelled", "epoch 1", "cancelled"]);
}

#[test]
fn a_program_without_a_runtime_runs_too() {
    let scratch = Scratch::new();
    let replica = scratch.replica("v1", Step::run("quick", |_| async { Ok(()) }));
    assert_eq!(replica.run_blocking().unwrap(), Outcome::Ready);
}

#[test]
fn a_runtime_without_io_or_time_is_refused_before_anything_is_touched() {
    let scratch = Scratch::new();
    let refuse = |builder: &mut tokio::runtime::Builder| {
        let runtime = builder.build().unwrap();
        let refused = runtime.block_on(async { scratch.replica("v1", scratch.endless()).start().unwrap_err() });
        let RunError::RuntimeLacks(what) = refused else { panic!("{refused}") };
        what
    };
    assert_eq!(refuse(tokio::runtime::Builder::new_current_thread().enable_time()), "I/O");
    assert_eq!(refuse(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io()), "time");
    assert_eq!(std::fs::read_dir(scratch.root()).unwrap().count(), 0, "the volume is as it was");
}

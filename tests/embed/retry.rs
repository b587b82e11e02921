//! What a person does about a step of a program that has failed for good.

use std::process::Command;

use bellwether::{Outcome, Step, StepError};

use crate::scratch::{Scratch, outcome};

fn step(works: bool) -> Step {
    let function = move |_| async move { if works { Ok(()) } else { Err(StepError::failed("broken")) } };
    Step::run("migrate", function).markers("migration", "migrated").max_attempts(1)
}

#[tokio::test]
async fn a_failed_step_is_retried_with_a_plan_file_of_the_same_names_and_markers() {
    let scratch = Scratch::new();
    let again = || outcome(scratch.replica("v1", step(true)).run());
    let first = outcome(scratch.replica("v1", step(false)).run()).await;
    assert!(matches!(first, Outcome::StepFailed { .. }), "{first:?}");
    assert!(matches!(again().await, Outcome::StepFailed { .. }), "it stays failed");
    let json =
        r#"{ "steps": [ { "name": "migrate", "run": ["true"], "in_progress": "migration", "done": "migrated" } ] }"#;
    std::fs::write(scratch.path("plan.json"), json).unwrap();
    let mut retry = Command::new(env!("CARGO_BIN_EXE_bellwether"));
    retry.arg("retry").env("IMAGE_REV", "v1").env("BELLWETHER_VOLUME", scratch.root());
    let retried = retry.env("BELLWETHER_PLAN", scratch.path("plan.json")).output().unwrap();
    assert!(retried.status.success(), "{retried:?}");
    assert_eq!(again().await, Outcome::Ready);
    assert!(scratch.has(".migrated_v1"));
}

#[tokio::test]
async fn a_new_revision_begins_anew() {
    let scratch = Scratch::new();
    let first = outcome(scratch.replica("v1", step(false)).run()).await;
    assert!(matches!(first, Outcome::StepFailed { .. }), "{first:?}");
    assert_eq!(outcome(scratch.replica("v2", step(true)).run()).await, Outcome::Ready);
}

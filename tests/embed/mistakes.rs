//! What is refused before anything is touched, and what the types promise.

use std::time::Duration;

use bellwether::{Bootstrap, Outcome, Replica, RunError, Running, Step, StepContext, StepError, Trust};

use crate::scratch::Scratch;

fn is_send<T: Send>(_: &T) {}
fn is_send_and_sync<T: Send + Sync>() {}

#[test]
fn everything_may_go_to_other_threads() {
    is_send_and_sync::<Bootstrap>();
    is_send_and_sync::<Step>();
    is_send_and_sync::<StepContext>();
    is_send_and_sync::<StepError>();
    is_send_and_sync::<Outcome>();
    is_send_and_sync::<RunError>();
    is_send_and_sync::<Replica>();
    is_send_and_sync::<Running>();
    let scratch = Scratch::new();
    is_send(&scratch.replica("v1", scratch.endless()).run());
}

#[test]
fn every_mistake_is_told_at_once() {
    let scratch = Scratch::new();
    let quick = || Step::run("quick", |_| async { Ok(()) });
    let told = Bootstrap::new("v 1", scratch.path("missing"))
        .step(quick().check(["true"]).env("A", "b").timeout(Duration::ZERO).max_attempts(0))
        .step(Step::run("sl/ow", |_| async { Ok(()) }))
        .step(Step::command("empty", [""; 0]).env("BELLWETHER_REV", "x").env("A=B", "x"))
        .plan_file(scratch.path("plan.json"))
        .need("ftp://me:hunter2@x")
        .need("redis://:hunter2")
        .need("tcp://db")
        .stale_after(Duration::ZERO)
        .backoff(Duration::ZERO)
        .ready_timeout(Duration::ZERO)
        .shim("/nowhere/shim")
        .build();
    let refused = told.unwrap_err();
    let told = refused.to_string();
    assert!(told.starts_with("this replica cannot be built; nothing was touched\n  "), "{told}");
    assert_eq!(format!("{refused:?}"), told, "a main that returns it prints this");
    assert_eq!(told.lines().count() - 1, refused.problems().len());
    assert!(!told.contains("hunter2"), "{told}");
    let expected = [
        "revision: \"v 1\" holds ' ' at position 2",
        "stale_after: is too short",
        "backoff: is out of range",
        "ready_timeout: is 0",
        "plan.json: cannot be read: No such file",
        "step \"quick\": \"check\" is for commands, and this step is a function",
        "step \"quick\": \"env\" is for commands, and this step is a function",
        "step \"quick\": its timeout is 0",
        "step \"quick\": max_attempts is 0",
        "step \"sl/ow\": its name holds '/' at position 3",
        "step \"empty\": its command must begin with a program",
        "step \"empty\": \"A=B\" cannot be the name of a variable",
        "step \"empty\": BELLWETHER_REV is set by bellwether itself",
        "need \"ftp://***@x\": is none of tcp://",
        "need \"tcp://db\": has no usable port",
        "shim: there is no program /nowhere/shim",
        "missing is no directory",
    ];
    for text in expected {
        assert!(told.contains(text), "{text} in:\n{told}");
    }
    assert!(!scratch.has(".bellwether"));
}

#[test]
fn a_plan_that_is_none_is_refused_with_the_step_that_is_wrong() {
    let scratch = Scratch::new();
    let step = |name: &str| Step::run(name, |_| async { Ok(()) });
    let refused = |bootstrap: Bootstrap| bootstrap.build().unwrap_err().to_string();
    assert!(refused(scratch.bootstrap("v1")).contains("plan: a plan needs at least one step"));
    let cycle = scratch.bootstrap("v1").step(step("a").after("b")).step(step("b").after("a"));
    assert!(refused(cycle).contains("step \"a\": the steps a → b → a wait for each other"));
    let twice = scratch.bootstrap("v1").step(step("a")).step(step("a"));
    assert!(refused(twice).contains("step \"a\": the name \"a\" is used twice"));
    let unknown = scratch.bootstrap("v1").step(step("migrate")).step(step("index").after("migrat"));
    assert!(
        refused(unknown)
            .contains("step \"index\": comes after \"migrat\", but there is no such step; did you mean \"migrate\"?")
    );
    let never = scratch.bootstrap("v1").step(step("a").max_attempts(0));
    assert!(refused(never).contains("step \"a\": max_attempts is 0"));
}

#[test]
fn a_command_without_a_shim_is_refused_and_told_what_to_do() {
    let scratch = Scratch::new();
    let refused = scratch.bootstrap("v1").step(Step::command("x", ["true"])).build().unwrap_err();
    assert!(refused.to_string().contains("call bellwether::shim_if_asked() before anything else in main"), "{refused}");
    assert_eq!(refused.problems().len(), 1);
}

#[test]
fn locks_that_are_not_trusted_elect_nobody() {
    let scratch = Scratch::new();
    let refused = scratch.bootstrap("v1").step(scratch.endless()).trust(Trust::NotTrusted).build().unwrap_err();
    assert!(refused.to_string().contains("volume: the volume's locks do not work between replicas"), "{refused}");
}

#[test]
fn a_plan_file_and_the_programs_own_steps_are_one_plan() {
    let scratch = Scratch::new();
    let json = r#"{ "steps": [ { "name": "schema", "run": ["true"] } ] }"#;
    std::fs::write(scratch.path("plan.json"), json).unwrap();
    let index = Step::run("index", |_| async { Ok(()) }).after("schema");
    let plan = scratch.bootstrap("v1").plan_file(scratch.path("plan.json")).step(index).plan().unwrap();
    let names: Vec<&str> = plan.iter().map(|(_, step)| step.name.as_str()).collect();
    assert_eq!(names, ["schema", "index"]);
    assert_eq!(plan.step(plan.find("index").unwrap()).after.len(), 1);
}

#[test]
fn where_there_is_no_runtime_or_one_too_many_is_said() {
    let scratch = Scratch::new();
    let refused = scratch.replica("v1", scratch.endless()).start().unwrap_err();
    assert!(matches!(refused, RunError::NoRuntime), "{refused}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let refused = runtime.block_on(async { scratch.replica("v1", scratch.endless()).run_blocking().unwrap_err() });
    assert!(matches!(refused, RunError::WithinRuntime), "{refused}");
}

#[cfg(feature = "redis")]
#[test]
fn what_is_wrong_with_the_lease_is_told_and_its_password_is_not() {
    let scratch = Scratch::new();
    let bootstrap = || scratch.bootstrap("v1").step(scratch.endless());
    let named = bootstrap().redis("redis://:hunter2@db");
    assert!(!format!("{named:?} {:?}", named.clone().build().unwrap()).contains("hunter2"));
    let refused = |bootstrap: Bootstrap| bootstrap.build().unwrap_err().to_string();
    assert!(refused(bootstrap().redis("rediss://:hunter2@db")).contains("redis: the URL "));
    assert!(!refused(bootstrap().redis("rediss://:hunter2@db")).contains("hunter2"));
    let second = Duration::from_secs(1);
    let alone = [
        (bootstrap().lease_ttl(second * 5), "lease_ttl"),
        (bootstrap().heartbeat(second), "heartbeat"),
        (bootstrap().redis_wait(second), "redis_wait"),
    ];
    for (alone, name) in alone {
        assert!(refused(alone).contains(&format!("  {name}: there is no lease without a Redis")), "{name}");
    }
    let short = named.trust(Trust::NotTrusted).stale_after(Duration::from_secs(6)).lease_ttl(Duration::from_millis(50));
    assert!(refused(short).contains("lease_ttl: a lease of 0.05 s is too short"));
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_redis_that_is_not_there_is_never_left_out_in_silence() {
    let scratch = Scratch::new();
    let bootstrap = scratch.bootstrap("v1").step(scratch.endless()).redis("unix:///nowhere/redis.sock");
    let replica = bootstrap.redis_wait(Duration::from_millis(200)).build().unwrap();
    let end = crate::scratch::outcome(replica.run()).await;
    let Outcome::RedisUnavailable { report, .. } = end else { panic!("{end:?}") };
    assert!(report.contains("/nowhere/redis.sock"), "{report}");
    assert!(report.contains("the URL given to .redis(url)") && !report.contains("BELLWETHER_"), "{report}");
    assert_eq!(scratch.notes(), [""; 0]);
}

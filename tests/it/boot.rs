//! The simple case, looked at closely: one leads, all serve, and the command starts clean.

use std::fs;

use serde_json::{Value, json};

use crate::replica::Replica;
use crate::stack::{Stack, Step};
use crate::wait::mtime;

#[test]
fn three_replicas_do_each_step_once_and_serve_when_all_are_done() {
    let stack = Stack::new()
        .step(Step::gated("site"))
        .step(Step::quick("migrate").after(&["site"]))
        .step(Step::gated("assets"));
    let journal = stack.journal();
    let mut replicas = [stack.start_replica(), stack.start_replica(), stack.start_replica()];
    journal.wait("start", "site", 1);
    journal.wait("start", "assets", 1);
    assert_eq!(journal.count("end", "site") + journal.count("end", "assets"), 0, "side by side");
    assert_eq!(journal.count("start", "migrate"), 0);
    stack.open_gate("site");
    journal.wait("end", "migrate", 1);
    assert!(!stack.has(".ready_v1"));
    assert_eq!(journal.count("serve", "-"), 0, "nobody serves early");
    stack.open_gate("assets");
    for replica in &mut replicas {
        assert_eq!(replica.wait(), 0);
    }
    for step in ["site", "migrate", "assets"] {
        assert_eq!((journal.count("start", step), journal.count("end", step)), (1, 1), "{step}");
    }
    assert!(journal.of("start", "migrate")[0].at > journal.of("end", "site")[0].at);
    let mut served: Vec<i32> = journal.of("serve", "-").iter().map(|entry| entry.pid).collect();
    let mut entrypoints = replicas.each_ref().map(Replica::pid);
    served.sort_unstable();
    entrypoints.sort_unstable();
    assert_eq!(served, entrypoints, "the command keeps the entrypoint's pid");
    let ready = mtime(&stack.path(".ready_v1")).unwrap();
    for done in [".site_done_v1", ".migrate_done_v1", ".assets_done_v1"] {
        assert!(mtime(&stack.path(done)).unwrap() <= ready, "{done}");
    }
    assert!(journal.of("serve", "-").iter().all(|entry| entry.at >= ready));
    let led = replicas.iter().filter(|replica| replica.has_said("LEADER")).count();
    assert_eq!(led, 1);
    assert!(replicas.iter().all(|replica| replica.has_said("FOLLOWER")));
    assert!(!stack.names(".").iter().any(|name| name.contains("in_progress")));
}

/// What the command of a replica finds.
fn clean(stack: &Stack, flags: &[&str]) -> (Value, i32) {
    fs::write(stack.scratch().join("clean.py"), include_str!("clean.py")).unwrap();
    let script = stack.scratch().join("clean.py").display().to_string();
    // Whoever starts it may leave a descriptor open, and signals ignored. (A test that runs in the background has more
    // of these; those for stopping would be kept, as `nohup` wants it.)
    let script_of_leaks = "trap '' PIPE CHLD; exec 9</dev/null; exec \"$@\"";
    let leaky = ["env", "--default-signal", "/bin/sh", "-c", script_of_leaks, "sh"];
    let launch = stack.replica().under(&leaky).command(&["/usr/bin/python3", &script]);
    let mut replica = flags.iter().fold(launch, |launch, flag| launch.flag(flag)).start();
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    (serde_json::from_str(&replica.output()).unwrap(), replica.pid())
}

#[test]
fn the_command_starts_as_if_nobody_had_been_there_before() {
    let stack = Stack::new().step(Step::quick("migrate"));
    let expected = |pid: i32| {
        json!({"pid": pid, "blocked": 0, "ignored": 0, "caught": 0, "high": [], "subreaper": 0,
               "death_signal": 0, "timers": [], "threads": 1})
    };
    // As a leader, on a warm start, and without waiting.
    for flags in [&[][..], &[], &["--no-wait"]] {
        let (found, pid) = clean(&stack, flags);
        assert_eq!(found, expected(pid), "{flags:?}");
    }
    fs::remove_file(stack.path(".ready_v1")).unwrap();
    let (found, pid) = clean(&stack, &["--is-leader=0", "--no-wait"]);
    assert_eq!(found, expected(pid));
}

//! Steps that are commands, in a program that is no leader by trade: no subreaper, no signal handler, no reaping.

use std::fs;
use std::time::Duration;

use bellwether::{Outcome, Step, StepContext};
use tokio::runtime::Builder;

use crate::scratch::{Scratch, outcome, until, until_blocking};

const SHIM: &str = env!("CARGO_BIN_EXE_bellwether");

fn shell(name: &str, script: &str) -> Step {
    Step::command(name, ["sh", "-c", script])
}

/// What stands behind this word in our `/proc/self/status`.
fn status(word: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|line| line.starts_with(word)).unwrap().to_owned()
}

/// A process that has ended and waits to be reaped does not count.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Children of ours that have ended and were not reaped.
fn zombies() -> usize {
    let own = format!(" Z {} ", std::process::id());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.map(|process| fs::read_to_string(process.path().join("stat")).unwrap_or_default());
    stats.filter(|stat| stat.contains(&own)).count()
}

#[tokio::test]
async fn commands_and_functions_stand_in_one_plan() {
    let scratch = Scratch::new();
    let caught = status("SigCgt");
    let noting = scratch.clone();
    let function = Step::run("function", move |context: StepContext| {
        let noting = noting.clone();
        async move {
            noting.note(&format!("function {}", context.epoch()));
            Ok(())
        }
    });
    let script =
        "echo \"command $BELLWETHER_EPOCH $WHO in $PWD\" >> \"$BELLWETHER_VOLUME/journal\"; echo secret $PASSWORD";
    let command = shell("command", script).env("WHO", "me").env("PASSWORD", "hunter2!").cwd("/").after("function");
    let checked = shell("checked", "exit 1").check(["true"]).after("command");
    let bootstrap = scratch.bootstrap("v1").shim(SHIM).step(command).step(function).step(checked);
    assert_eq!(outcome(bootstrap.build().unwrap().run()).await, Outcome::Ready);
    assert_eq!(scratch.notes(), ["function 1", "command 1 me in /"]);
    assert_eq!(scratch.text(".bellwether/log/command.log"), "secret ***\n");
    assert_eq!(status("SigCgt"), caught, "no signal handler was installed");
    assert_eq!(rustix::process::child_subreaper().unwrap(), None, "nor do orphans come to us");
}

#[tokio::test]
async fn a_dropped_handle_stops_the_whole_tree_and_closes_the_guard_last() {
    let scratch = Scratch::new();
    let script = "trap 'echo stopped >> \"$BELLWETHER_VOLUME/journal\"; exit' TERM; \
                  sleep 300 & echo $! > \"$BELLWETHER_VOLUME/pid\"; wait";
    let step = shell("tree", script);
    let running = scratch.bootstrap("v1").shim(SHIM).step(step).build().unwrap().start().unwrap();
    until("the tree", || scratch.text("pid").ends_with('\n')).await;
    drop(running);
    scratch.until_left().await;
    assert_eq!(scratch.notes(), ["stopped"]);
    assert!(!is_alive(&scratch.text("pid")));
}

#[test]
fn a_dropped_runtime_leaves_the_stopping_to_the_shims() {
    let scratch = Scratch::new();
    let script = "trap '' TERM; echo $$ > \"$BELLWETHER_VOLUME/pid\"; while :; do sleep 0.05; done";
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let running = runtime.block_on(async {
        let bootstrap = scratch.bootstrap("v1").stop_grace(Duration::from_millis(300)).shim(SHIM);
        let running = bootstrap.step(shell("stubborn", script)).build().unwrap().start().unwrap();
        until("the process", || scratch.text("pid").ends_with('\n')).await;
        running
    });
    drop(runtime);
    assert!(scratch.is_guarded(), "the shim has it as long as the process lives");
    until_blocking("the guard to be free", || !scratch.is_guarded());
    assert!(!is_alive(&scratch.text("pid")));
    until_blocking("the shim to be reaped", || zombies() == 0);
    drop(running);
}

#[tokio::test]
async fn a_command_that_fails_is_told_with_its_last_words() {
    let scratch = Scratch::new();
    let step = shell("bad", "echo the disk is full; exit 3").max_attempts(1);
    let end = outcome(scratch.bootstrap("v1").shim(SHIM).step(step).build().unwrap().run()).await;
    let Outcome::StepFailed { step, report, .. } = end else { panic!("{end:?}") };
    assert_eq!(step, "bad");
    assert!(report.contains("exit 3 after") && report.contains("    the disk is full\n"), "{report}");
}

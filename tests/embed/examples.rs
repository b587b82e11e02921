//! The examples do what they say, print what they should, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;

use rustix::process::{Pid, Signal, kill_process};

use crate::scratch::Scratch;
use crate::waiting::wait_for;

const BIN: &str = env!("CARGO_BIN_EXE_bellwether");

/// An example's program. `cargo test` has built it; `cargo test --test embed` alone has not.
fn example(name: &str) -> PathBuf {
    static BUILD: Once = Once::new();
    let tests = std::env::current_exe().unwrap();
    let path = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    if !path.is_file() {
        BUILD.call_once(|| {
            let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--examples"]).status().unwrap();
            assert!(built.success(), "the examples cannot be built");
        });
    }
    path
}

fn run(command: &mut Command) -> Vec<String> {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr).into_owned());
    assert!(status.success(), "{status}: {stdout}{stderr}");
    assert_eq!(stderr, "", "nothing writes to an embedder's stderr");
    stdout.lines().map(str::to_owned).collect()
}

#[test]
fn embed_migrates_once_for_each_revision_and_serves() {
    let scratch = Scratch::new();
    let embed = |rev: &str| run(Command::new(example("embed")).arg(scratch.root()).arg(rev));
    assert_eq!(embed("v1"), ["migrating to v1", "serving"]);
    assert!(scratch.has("assets"));
    assert_eq!(embed("v1"), ["serving"]);
    assert_eq!(embed("v2"), ["migrating to v2", "serving"]);
}

/// Its shims come out of an `async fn main`, with the threads of a runtime.
#[test]
fn service_builds_and_serves_or_is_stopped_in_the_middle() {
    let scratch = Scratch::new();
    let service = |rev: &str, script: &str| {
        let mut command = Command::new(example("service"));
        command.arg(scratch.root()).args([rev, "sh", "-c", script]);
        command
    };
    let script = "echo built >> \"$BELLWETHER_VOLUME/journal\"";
    for rev in ["v1", "v2", "v3"] {
        assert_eq!(run(&mut service(rev, script)), ["serving"]);
    }
    assert_eq!(scratch.notes(), ["built"; 3]);

    let script = "echo $$ > \"$BELLWETHER_VOLUME/pid\"; exec sleep 300";
    let stopped = service("v4", script).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = wait_for("the step's process", || scratch.text("pid").trim().parse::<i32>().ok());
    let signalled = Pid::from_raw(stopped.id().cast_signed()).unwrap();
    kill_process(signalled, Signal::TERM).unwrap();
    let output = stopped.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "stopped before it was ready\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(!scratch.has(".build_in_progress_v4") && !scratch.is_guarded());
}

#[test]
fn async_steps_refuses_an_epoch_that_is_over() {
    let scratch = Scratch::new();
    let expected = [
        "epoch 1 migrates to v1",
        "v1 is ready",
        "epoch 2 migrates to v2",
        "v2 is ready",
        "refused: epoch 1 is over: epoch 2 has begun",
        "tea costs 250 cents",
    ];
    assert_eq!(run(Command::new(example("async_steps")).arg(scratch.root())), expected);
}

#[test]
fn the_shell_plan_is_run_once_by_three_replicas() {
    let scratch = Scratch::new();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plan");
    let start = |replica: u32| {
        let mut command = Command::new(BIN);
        command.args(["run", "--", "echo", &format!("replica {replica} serves")]).current_dir(&directory);
        command.env("IMAGE_REV", "v1").env("BELLWETHER_PLAN", "plan.json").env("BELLWETHER_VOLUME", scratch.root());
        command.env("ROW_SECS", "0.02").stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    for (replica, child) in [1, 2, 3].map(|replica| (replica, start(replica))) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("replica {replica} serves\n"));
    }
    let mut notes = scratch.notes();
    let assets = notes.iter().position(|note| note == "assets v1").unwrap();
    notes.remove(assets);
    assert_eq!(notes, ["schema v1", "row 1", "row 2", "row 3", "row 4", "row 5"]);
    let readme = fs::read_to_string(directory.join("README.md")).unwrap();
    assert!(readme.contains("BELLWETHER_PLAN=plan.json"), "what it says is what was done here");
}

//! Stopping whole trees, whatever they do.

use std::fs;
use std::time::Duration;

use bellwether::process::{RunHow, StepProcess, StepSpec, become_subreaper, boottime};
use rustix::process::Signal;

use crate::util::{
    block_on, hear, hear_line, is_alive, is_isolated, pid_in, python, run, sh, signal, state, stubborn, wait_until,
};

const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_secs(600);

#[test]
fn a_stop_asks_first_and_hears_the_answer() {
    block_on(async {
        let spec = sh("trap 'echo tidying; exit 9' TERM; echo ready; while :; do sleep 0.01; done");
        let mut process = StepProcess::spawn(&StepSpec { grace: LATE, ..spec }, None).unwrap();
        hear_line(&mut process, "ready").await;
        process.stop();
        let told = hear(&mut process).await;
        assert_eq!((&told.end().how, told.end().stopped, told.end().leftovers), (&RunHow::Exit(9), true, 0));
        // The shell may also say that its `sleep` was terminated.
        assert_eq!(told.lines.last().unwrap(), "tidying");
        process.stop();
        process.kill();
    });
}

#[test]
fn nothing_that_ignores_term_or_leaves_its_group_survives() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let script = stubborn(scratch.path(), "print('ready', flush=True)");
        let mut process = StepProcess::spawn(&StepSpec { grace: SOON, ..python(&script) }, None).unwrap();
        hear_line(&mut process, "ready").await;
        let pids = ["main", "daemon"].map(|name| pid_in(&scratch.path().join(name)));
        assert!(pids.into_iter().all(is_alive));
        process.stop();
        let told = hear(&mut process).await;
        assert_eq!(pids.map(state), [None; 2], "gone before the end was told");
        assert_eq!((&told.end().how, told.end().stopped), (&RunHow::Signal(9), true));
    });
}

#[test]
fn who_left_the_group_is_asked_too() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().display();
    let daemon = format!("trap 'echo asked > {path}/asked; exit' TERM; echo ready; while :; do sleep 0.01; done");
    block_on(async {
        let spec = StepSpec {
            env: vec![("DAEMON".into(), daemon.into())],
            grace: LATE,
            ..sh("setsid /bin/sh -c \"$DAEMON\" & trap 'exit 0' TERM; while :; do sleep 0.01; done")
        };
        let mut process = StepProcess::spawn(&spec, None).unwrap();
        hear_line(&mut process, "ready").await;
        process.stop();
        assert!(process.wait().await.stopped);
        assert_eq!(fs::read_to_string(scratch.path().join("asked")).unwrap(), "asked\n");
    });
}

#[test]
fn a_kill_does_not_wait_for_the_grace() {
    for stop_first in [false, true] {
        block_on(async {
            let deaf = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.01; done";
            let mut process = StepProcess::spawn(&StepSpec { grace: LATE, ..sh(deaf) }, None).unwrap();
            hear_line(&mut process, "ready").await;
            if stop_first {
                process.stop();
                hear_line(&mut process, "asked").await;
            }
            process.kill();
            let end = process.wait().await;
            assert_eq!((end.how, end.stopped), (RunHow::Signal(9), true));
        });
    }
}

#[test]
fn a_suspended_step_is_stopped_and_hears_why() {
    block_on(async {
        let spec = StepSpec { grace: LATE, ..sh("trap 'echo awake; exit 3' TERM; echo $$; kill -STOP $$; exit 1") };
        let mut process = StepProcess::spawn(&spec, None).unwrap();
        let mut main = 0;
        while let Some(event) = process.next().await {
            if let bellwether::process::RunEvent::Started { pid } = event {
                main = pid;
                break;
            }
        }
        wait_until("the step is suspended", || state(main) == Some('T'));
        process.stop();
        let told = hear(&mut process).await;
        assert_eq!((&told.end().how, told.end().stopped), (&RunHow::Exit(3), true), "{told:?}");
    });
}

#[test]
fn a_storm_of_forks_ends() {
    block_on(async {
        let storm = "echo ready; while :; do setsid sleep 600 & done";
        let mut process = StepProcess::spawn(&StepSpec { grace: SOON, ..sh(storm) }, None).unwrap();
        hear_line(&mut process, "ready").await;
        process.stop();
        assert!(process.wait().await.stopped);
    });
}

#[test]
fn a_daemon_left_behind_is_stopped_and_counted() {
    let scratch = tempfile::tempdir().unwrap();
    let script = stubborn(scratch.path(), "os._exit(0)");
    let told = run(&StepSpec { grace: SOON, ..python(&script) });
    assert_eq!((&told.end().how, told.end().stopped, told.end().leftovers), (&RunHow::Exit(0), false, 1), "{told:?}");
    assert_eq!(state(pid_in(&scratch.path().join("daemon"))), None);
}

#[test]
fn a_deadline_is_kept_and_can_be_moved() {
    block_on(async {
        let spec = StepSpec { deadline: Some(boottime::now() + LATE), ..sh("echo ready; exec sleep 600") };
        let mut process = StepProcess::spawn(&spec, None).unwrap();
        hear_line(&mut process, "ready").await;
        process.set_deadline(None);
        let moment = boottime::now() + SOON;
        process.set_deadline(Some(moment));
        let told = hear(&mut process).await;
        assert!(boottime::now() >= moment);
        assert_eq!((&told.end().how, told.end().stopped), (&RunHow::Signal(15), true));
        assert_eq!(told.notes, ["stopped at the lease's deadline"]);
    });
}

#[test]
fn orders_to_a_suspended_shim_do_not_wait_and_are_obeyed() {
    block_on(async {
        let mut process = StepProcess::spawn(&sh("echo ready; exec sleep 600"), None).unwrap();
        hear_line(&mut process, "ready").await;
        let shim = process.shim_pid();
        signal(shim, Signal::STOP);
        wait_until("the shim is suspended", || state(shim) == Some('T'));
        for _ in 0..100_000 {
            process.set_deadline(Some(boottime::now() + LATE));
        }
        process.stop();
        assert!(process.wait().await.stopped);
    });
}

#[test]
fn a_person_may_stop_a_step_at_its_shim() {
    for by in [Signal::TERM, Signal::INT, Signal::HUP] {
        block_on(async {
            let mut process = StepProcess::spawn(&sh("echo ready; exec sleep 600"), None).unwrap();
            hear_line(&mut process, "ready").await;
            signal(process.shim_pid(), by);
            let end = process.wait().await;
            assert_eq!((end.how, end.stopped), (RunHow::Signal(15), true));
        });
    }
}

#[test]
fn what_a_killed_shim_leaves_is_found_by_its_mark() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let script = stubborn(scratch.path(), "print('ready', flush=True)");
        let mut process = StepProcess::spawn(&python(&script), None).unwrap();
        hear_line(&mut process, "ready").await;
        let pids = ["main", "daemon"].map(|name| pid_in(&scratch.path().join(name)));
        signal(process.shim_pid(), Signal::KILL);
        assert_eq!(process.wait().await.how, RunHow::ShimVanished);
        assert!(!pids.into_iter().any(is_alive));
    });
}

#[test]
fn what_a_killed_shim_leaves_without_a_mark_comes_to_the_subreaper() {
    if !is_isolated("stop::what_a_killed_shim_leaves_without_a_mark_comes_to_the_subreaper") {
        return;
    }
    become_subreaper().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let nameless = "os.execve('/bin/sh', ['sh', '-c', 'echo $$ > nameless; exec sleep 600'], {})";
    let script = format!(
        "import os\nos.chdir({:?})\nif os.fork() == 0:\n  os.setsid()\n  {nameless}\nprint('ready', flush=True)\nos.wait()",
        scratch.path()
    );
    block_on(async {
        let mut other = StepProcess::spawn(&sh("echo ready; read -r line; exec sleep 600"), None).unwrap();
        hear_line(&mut other, "ready").await;
        let mut process = StepProcess::spawn(&python(&script), None).unwrap();
        hear_line(&mut process, "ready").await;
        let nameless = pid_in(&scratch.path().join("nameless"));
        signal(process.shim_pid(), Signal::KILL);
        assert_eq!(process.wait().await.how, RunHow::ShimVanished);
        assert_eq!(state(nameless), None, "killed, and reaped too");
        assert!(is_alive(other.shim_pid()), "another step's shim is none of its business");
        other.kill();
        assert_eq!(other.wait().await.how, RunHow::Signal(9));
    });
}

#[test]
fn a_step_that_is_no_longer_wanted_is_stopped() {
    let scratch = tempfile::tempdir().unwrap();
    let script = stubborn(scratch.path(), "print('ready', flush=True)");
    let pids = block_on(async {
        let mut process = StepProcess::spawn(&StepSpec { grace: SOON, ..python(&script) }, None).unwrap();
        hear_line(&mut process, "ready").await;
        ["main", "daemon"].map(|name| pid_in(&scratch.path().join(name)))
    });
    wait_until("the tree of a dropped process is gone", || !pids.into_iter().any(is_alive));
}

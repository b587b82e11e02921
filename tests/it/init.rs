//! As PID 1 of a container.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::replica::{Launch, Replica};
use crate::stack::{Stack, Step};
use crate::wait::{bearing, is_alive, parent, require_root, signal, wait_for, wait_until};

/// In a PID namespace of its own, as its first process.
fn contained(launch: Launch<'_>) -> Launch<'_> {
    launch.under(&["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"])
}

/// The pid, seen from outside, of the first process in there.
fn inner(replica: &Replica) -> i32 {
    let path = format!("/proc/{0}/task/{0}/children", replica.pid());
    wait_for("the first process", || fs::read_to_string(&path).ok()?.trim().parse().ok())
}

/// Leaves an orphan to the first process, lets it end, and waits until it has been reaped.
fn orphan(stack: &Stack, init: i32) {
    let script = "E2E_ORPHAN=1 /bin/sh -c '. \"$E2E/lib.sh\"; gate orphan' & exit";
    let enter = ["--target", &init.to_string(), "--pid", "--mount", "--", "/bin/sh", "-c", script];
    let status = Command::new("nsenter").args(enter).env("E2E", stack.scratch()).status().unwrap();
    assert!(status.success());
    let of_this_stack = format!("E2E={}", stack.scratch().display());
    let orphan = wait_for("the orphan", || {
        // While it executes its program, it bears nothing at all.
        let here = bearing(&of_this_stack);
        bearing("E2E_ORPHAN=1").into_iter().find(|pid| here.contains(pid))
    });
    wait_until("its adoption", || parent(orphan) == Some(init));
    stack.open_gate("orphan");
    wait_until("its burial", || !fs::exists(format!("/proc/{orphan}")).unwrap());
    assert!(is_alive(init));
}

#[test]
fn the_first_process_leads_reaps_orphans_and_hands_its_pid_on() {
    require_root();
    let stack = Stack::new().step(Step::gated("migrate")).gate("orphan");
    let mut leader = contained(stack.replica().command(&["/bin/sh", "-c", "echo $$"])).start();
    stack.journal().wait("start", "migrate", 1);
    orphan(&stack, inner(&leader));
    stack.open_gate("migrate");
    assert_eq!(leader.wait(), 0, "{}", leader.log());
    assert_eq!(leader.output(), "1\n");
}

#[test]
fn the_first_process_reaps_orphans_and_can_be_stopped_as_a_follower() {
    require_root();
    let stack = Stack::new().step(Step::quick("migrate")).gate("orphan");
    let mut follower = contained(stack.replica().env("IS_LEADER", "0")).start();
    follower.wait_said("FOLLOWER");
    let init = inner(&follower);
    orphan(&stack, init);
    signal(init, Signal::TERM);
    assert_eq!(follower.wait(), 143, "{}", follower.log());
}

#[test]
fn the_first_process_can_be_stopped_as_a_leader_and_takes_its_steps_along() {
    require_root();
    let stack = Stack::new().step(Step::stubborn("migrate"));
    let mut leader = contained(stack.replica()).start();
    stack.journal().wait("member", "migrate", 2);
    signal(inner(&leader), Signal::TERM);
    assert_eq!(leader.wait(), 143, "{}", leader.log());
    assert!(!stack.has(".migrate_in_progress_v1"));
    assert_eq!(stack.record("migrate")["last_end"], "stopped");
}

#[test]
fn a_supervised_command_gets_the_signals_and_gives_its_exit_code() {
    require_root();
    let stack = Stack::new().step(Step::quick("migrate")).gate("orphan");
    let script = "trap 'exit 7' TERM; trap 'echo usr1' USR1; echo \"up $$\"; while :; do sleep 0.01; done";
    let mut parent = contained(stack.replica().flag("--supervise").command(&["/bin/sh", "-c", script])).start();
    wait_until("the command", || parent.output().starts_with("up "));
    assert_ne!(parent.output(), "up 1\n");
    let init = inner(&parent);
    orphan(&stack, init);
    signal(init, Signal::USR1);
    wait_until("a forwarded signal", || parent.output().ends_with("usr1\n"));
    signal(init, Signal::TERM);
    assert_eq!(parent.wait(), 7, "{}", parent.log());
}

#[test]
fn no_thread_but_the_first_takes_a_signal() {
    let stack = Stack::new().step(Step::gated("migrate"));
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    journal.wait("start", "migrate", 1);
    let mut follower = stack.start_follower();
    for replica in [&leader, &follower] {
        let tasks = fs::read_dir(format!("/proc/{}/task", replica.pid())).unwrap();
        let others = tasks.flatten().filter(|task| task.file_name().to_str() != Some(&replica.pid().to_string()));
        let masks: Vec<String> = others.map(|task| fs::read_to_string(task.path().join("status")).unwrap()).collect();
        assert!(masks.len() >= 2, "{masks:?}");
        for status in masks {
            let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
            let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
            for signal in [Signal::HUP, Signal::USR1, Signal::TERM, Signal::CHILD, Signal::WINCH] {
                assert!(blocked & 1 << (signal.as_raw() - 1) != 0, "{signal:?} in {status}");
            }
        }
    }
    stack.open_gate("migrate");
    assert_eq!((leader.wait(), follower.wait()), (0, 0));
}

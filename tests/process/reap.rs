//! Orphans are reaped, and nobody's exit status is stolen.

use std::process::Command;

use bellwether::process::{OwnChild, become_subreaper, reap_continuously, reap_orphans, resign_subreaper};

use crate::util::{block_on, is_isolated, pid_in, state, wait_until};

/// An orphan of ours that ends as soon as we are its parent; its pid is in `path`.
fn orphan(path: &std::path::Path) -> i32 {
    let wait = format!("1 until getppid() == {}; exit 3", std::process::id());
    let script = format!("(perl -e '{wait}' & echo $! > {0}.new; mv {0}.new {0})", path.display());
    assert!(Command::new("/bin/sh").args(["-c", &script]).status().unwrap().success());
    pid_in(path)
}

#[test]
fn orphans_are_reaped_and_our_childs_status_stays() {
    if !is_isolated("reap::orphans_are_reaped_and_our_childs_status_stays") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    assert_eq!(reap_orphans(), 0, "they do not come to us yet");
    become_subreaper().unwrap();
    let before = orphan(&scratch.path().join("before"));
    wait_until("the orphan has ended", || state(before) == Some('Z'));
    // Ours stands first or last in line, whatever the kernel's order: an orphan on either side of it.
    let mut child = OwnChild::spawn(Command::new("/bin/sh").args(["-c", "exit 42"])).unwrap();
    wait_until("our child has ended", || state(child.id()) == Some('Z'));
    let after = orphan(&scratch.path().join("after"));
    wait_until("the orphan has ended", || state(after) == Some('Z'));
    assert_eq!(reap_orphans(), 2);
    assert_eq!([before, after].map(state), [None; 2]);
    assert_eq!(reap_orphans(), 0);
    assert_eq!(state(child.id()), Some('Z'), "still there for its owner");
    assert_eq!(child.wait().unwrap().code(), Some(42));
    let abandoned = OwnChild::spawn(&mut Command::new("/bin/true")).unwrap();
    let pid = abandoned.id();
    drop(abandoned);
    wait_until("a child without an owner is an orphan", || reap_orphans() == 1);
    assert_eq!(state(pid), None);
    resign_subreaper().unwrap();
}

#[test]
fn a_leader_reaps_while_it_does_other_things() {
    if !is_isolated("reap::a_leader_reaps_while_it_does_other_things") {
        return;
    }
    become_subreaper().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let everything = async {
            for n in 0..5 {
                let pid = orphan(&scratch.path().join(n.to_string()));
                while state(pid).is_some() {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::select! {
            () = everything => {}
            failed = reap_continuously() => panic!("{failed:?}"),
        }
    });
}

#[test]
fn as_pid_1_everybodys_orphans_are_reaped() {
    // The shell's orphan is nobody's but PID 1's, which is our supervisor.
    let script =
        "(perl -e '1 until getppid() == 1' & echo $!) | { read -r orphan; while [ -e /proc/$orphan ]; do :; done; }";
    let supervisor = [crate::util::BIN, "run", "--no-wait", "--supervise", "--", "/bin/sh", "-c", script];
    let output = Command::new("unshare").args(["--pid", "--fork", "--mount-proc"]).args(supervisor).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

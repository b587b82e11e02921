//! Leaders that die or freeze, and the guard their steps hold.

use std::env;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use bellwether::process::{StepProcess, StepSpec, boottime};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use crate::util::{
    again, block_on, hear_line, is_again, is_alive, pid_in, python, signal, state, stubborn, wait_until,
};

const DIRECTORY: &str = "BELLWETHER_TEST_DIRECTORY";
const DEADLINE: &str = "BELLWETHER_TEST_DEADLINE_MS";

/// Not a test: the leader that the tests below kill and freeze.
#[test]
fn lead() {
    let (true, Some(directory)) = (is_again(), env::var_os(DIRECTORY)) else { return };
    let directory = Path::new(&directory);
    let guard = File::create(directory.join("guard")).unwrap();
    flock(&guard, FlockOperation::LockExclusive).unwrap();
    let script = stubborn(directory, "print('ready', flush=True)");
    let spec = StepSpec { grace: Duration::from_millis(50), ..python(&script) };
    let end = block_on(async {
        let mut process = StepProcess::spawn(&spec, Some(guard.as_fd())).unwrap();
        fs::write(directory.join("shim"), format!("{}\n", process.shim_pid())).unwrap();
        hear_line(&mut process, "ready").await;
        if let Ok(millis) = env::var(DEADLINE) {
            process.set_deadline(Some(boottime::now() + Duration::from_millis(millis.parse().unwrap())));
            fs::write(directory.join("armed"), "").unwrap();
        }
        process.wait().await
    });
    fs::write(directory.join("end"), format!("{end:?}")).unwrap();
}

fn start_leader(directory: &Path, deadline: Option<&str>) -> Leader {
    let mut command = again("leader::lead");
    command.env(DIRECTORY, directory).envs(deadline.map(|millis| (DEADLINE, millis)));
    Leader(command.stdout(Stdio::null()).spawn().unwrap())
}

struct Leader(Child);

impl Leader {
    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_guard_free(directory: &Path) -> bool {
    let guard = File::open(directory.join("guard")).unwrap();
    flock(&guard, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[test]
fn a_dead_leaders_guard_is_free_only_when_its_step_is_gone() {
    let scratch = tempfile::tempdir().unwrap();
    let mut leader = start_leader(scratch.path(), None);
    let pids = ["main", "daemon", "shim"].map(|name| pid_in(&scratch.path().join(name)));
    assert!(!is_guard_free(scratch.path()));
    leader.0.kill().unwrap();
    leader.0.wait().unwrap();
    wait_until("the guard is free", || is_guard_free(scratch.path()));
    assert_eq!(pids[..2].iter().map(|&pid| state(pid)).collect::<Vec<_>>(), [None; 2]);
    wait_until("the shim is gone", || !is_alive(pids[2]));
}

#[test]
fn a_step_that_survives_leader_and_shim_still_holds_the_guard() {
    let scratch = tempfile::tempdir().unwrap();
    let leader = start_leader(scratch.path(), None);
    let [main, daemon, shim] = ["main", "daemon", "shim"].map(|name| pid_in(&scratch.path().join(name)));
    // Frozen first: else it would begin to clean up.
    signal(shim, Signal::STOP);
    wait_until("the shim is suspended", || state(shim) == Some('T'));
    let guard = fs::canonicalize(scratch.path().join("guard")).unwrap();
    let holds = |pid: i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| target == guard)
    };
    assert!(holds(main) && holds(shim), "shim and main process hold the guard");
    assert!(!holds(daemon), "this one has closed it");
    drop(leader);
    assert!(!is_guard_free(scratch.path()));
    signal(shim, Signal::CONT);
    wait_until("the guard is free", || is_guard_free(scratch.path()));
    assert_eq!([main, daemon].map(state), [None; 2]);
}

#[test]
fn a_frozen_leaders_step_is_stopped_at_the_deadline() {
    let scratch = tempfile::tempdir().unwrap();
    let mut leader = start_leader(scratch.path(), Some("3000"));
    wait_until("the deadline is set", || scratch.path().join("armed").exists());
    signal(leader.pid(), Signal::STOP);
    wait_until("the leader is frozen", || state(leader.pid()) == Some('T'));
    let pids = ["main", "daemon"].map(|name| pid_in(&scratch.path().join(name)));
    wait_until("the tree is gone", || !pids.into_iter().any(is_alive));
    assert_eq!(state(leader.pid()), Some('T'), "the leader had no part in it");
    signal(leader.pid(), Signal::CONT);
    assert!(leader.0.wait().unwrap().success());
    let end = fs::read_to_string(scratch.path().join("end")).unwrap();
    assert!(end.contains("Signal(9), stopped: true"), "{end}");
}

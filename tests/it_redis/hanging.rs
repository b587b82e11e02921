//! A volume that hangs keeps no renewal waiting, and a Redis that hangs no beat.

use std::fs;
use std::process::{Child, Command};

use crate::scene::{Scene, two_steps};
use crate::stack::Stack;
use crate::traffic::Traffic;
use crate::wait::{mtime, wait_for, wait_until};

const MARKER: &str = ".migrate_in_progress_v1";

/// Makes every beat of a leader hang for hours, from now on; until this is dropped.
struct HangingBeats(Child);

impl HangingBeats {
    fn begin(leader: i32) -> HangingBeats {
        let thread = wait_for("the volume's thread", || {
            let mut threads = fs::read_dir(format!("/proc/{leader}/task")).ok()?.flatten();
            threads.find(|thread| fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name == "volume\n"))
        });
        let id = thread.file_name().into_string().unwrap();
        let hang = "inject=utimensat:delay_enter=36000000000";
        let strace = ["-qq", "-o", "/dev/null", "-e", "trace=utimensat", "-e", hang, "-p", &id];
        let child = Command::new("strace").args(strace).spawn().unwrap();
        wait_until("a tracer", || {
            let status = fs::read_to_string(thread.path().join("status")).unwrap();
            !status.contains("TracerPid:\t0\n")
        });
        HangingBeats(child)
    }
}

impl Drop for HangingBeats {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_volume_that_hangs_keeps_no_renewal_waiting() {
    let stack = two_steps(Stack::new());
    let scene = Scene::start(&stack);
    let hanging = HangingBeats::begin(scene.leader.pid());
    let beat = || mtime(&stack.path(MARKER)).unwrap();
    // One may have been under way.
    let before = wait_for("the first silence", || {
        let seen = beat();
        (stack.now() > seen + 1_000_000_000).then_some(seen)
    });
    let token = stack.holder().unwrap()["token"].as_str().map(str::to_owned);
    let mut traffic = Traffic::open(stack.redis());
    // They come six times in a lease: enough for two leases.
    wait_until("renewals", || traffic.look().iter().filter(|asked| asked.token == token).count() > 12);
    assert_eq!(beat(), before, "the volume hangs");
    assert!(!scene.leader.has_said("the lease is lost"), "{}", scene.leader.log());
    assert!(stack.holder().is_some_and(|holder| holder["pid"] == scene.leader.pid()));
    drop(hanging);
    scene.assert_goes_well(&stack);
}

#[test]
fn a_redis_that_hangs_keeps_no_beat_waiting() {
    let stack = two_steps(Stack::new());
    let mut scene = Scene::start(&stack);
    stack.redis().freeze();
    scene.leader.wait_said("does not answer (within");
    for _ in 0..3 {
        let before = mtime(&stack.path(MARKER));
        wait_until("a beat", || mtime(&stack.path(MARKER)) > before);
    }
    stack.redis().thaw();
    scene.assert_goes_well(&stack);
}

//! A volume whose locks do not work between the replicas: each has a guard of its own. The lease's deadline alone keeps
//! two of them from acting at once.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::journal::Journal;
use crate::replica::{Launch, Replica};
use crate::scene::Scene;
use crate::stack::{Stack, Step};
use crate::wait::{is_alive, require_root, wait_until};

/// Time to live of the lease. A step that is deaf to TERM has to be dead by 99 % of it less 2 ms, counted from the last
/// renewal.
const TTL_SECS: &str = "5";
const VALIDITY: Duration = Duration::from_millis(4948);
const STALE: Duration = Duration::from_secs(6);

/// Puts a file of the replica's own over the guard's, as seen by it and by whatever it starts.
const OWN_GUARD: &str = "own=\"$E2E/guard-$$\"; : >\"$own\"; \
                         mount --bind \"$own\" \"$BELLWETHER_VOLUME/.bellwether/guard.lock\"; exec \"$@\"";

fn stack() -> Stack {
    require_root();
    let stack = Stack::new()
        .env("BELLWETHER_VOLUME_LOCKS", "untrusted")
        .env("LOCK_RENEW_TTL_SECS", TTL_SECS)
        .env("STEP_STALE_SECS", &STALE.as_secs().to_string())
        .step(Step::stubborn("migrate"));
    fs::create_dir(stack.path(".bellwether")).unwrap();
    fs::write(stack.path(".bellwether/guard.lock"), "").unwrap();
    stack
}

fn with_own_guard(launch: Launch<'_>) -> Launch<'_> {
    launch.under(&["unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_GUARD, "sh"])
}

/// A leader whose step is deaf to TERM and has a daemon that is, too, and two who wait.
fn start(stack: &Stack) -> (Scene, [i32; 2]) {
    let scene = Scene::start_each(stack, with_own_guard);
    let journal = stack.journal();
    let members = [1, 2].map(|nth| journal.wait("member", "migrate", nth).pid);
    (scene, members)
}

fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap()
}

/// Waits until nobody of the step is left, which has to be before the lease may be another's.
fn assert_gone_in_time(since: Duration, members: [i32; 2]) -> Duration {
    wait_until("the end of the step", || !members.iter().any(|&pid| is_alive(pid)));
    let took = now().checked_sub(since).unwrap();
    assert!(took < VALIDITY, "{took:?}");
    took
}

/// The second run of the step is over, and all serve; the first has nowhere been taken for done.
fn assert_goes_well(mut scene: Scene, stack: &Stack) {
    for replica in scene.all() {
        assert_eq!(replica.wait(), 0, "{}", replica.log());
    }
    let journal = stack.journal();
    assert_eq!((journal.count("start", "migrate"), journal.count("end", "migrate")), (2, 1));
    assert_eq!((stack.told("started", "migrate"), stack.told("done", "migrate")), (2, 1));
    assert_eq!(journal.count("serve", "-"), 3);
    assert_disjoint(&journal);
}

/// The later run began when nobody of the earlier one was alive (the journal's own overlaps are looked for by the
/// stack), under a later epoch.
fn assert_disjoint(journal: &Journal) {
    let epochs: Vec<u64> = journal.of("start", "migrate").iter().map(|entry| entry.epoch).collect();
    assert!(epochs[0] < epochs[1], "{epochs:?}");
    journal.assert_no_overlap();
}

#[test]
fn locks_that_do_not_work_are_not_what_keeps_replicas_apart_here() {
    let stack = stack();
    let (mut scene, _) = start(&stack);
    // Were it one guard for all, nobody could take it now.
    let guards = || fs::read_dir(stack.scratch()).unwrap().flatten().map(|entry| entry.path());
    let guards: Vec<_> =
        guards().filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("guard-")).collect();
    assert_eq!(guards.len(), 3);
    let held = |pid: i32| {
        let file = fs::File::open(stack.scratch().join(format!("guard-{pid}"))).unwrap();
        file.try_lock().is_err()
    };
    assert_eq!(scene.all().map(|replica| held(replica.pid())), [true, false, false]);
    scene.leader.signal(Signal::TERM);
    assert_eq!(scene.leader.wait(), 143);
    assert_eq!(scene.followers.each_mut().map(Replica::wait), [0, 0]);
    assert_disjoint(&stack.journal());
}

#[test]
fn without_redis_a_step_is_over_before_its_lease_is_and_goes_on_when_redis_is_back() {
    let mut stack = stack();
    let (mut scene, members) = start(&stack);
    stack.redis_mut().kill();
    assert_gone_in_time(now(), members);
    scene.leader.wait_said("step ended: stopped");
    assert!(scene.all().iter_mut().all(|replica| replica.is_running()));
    assert_eq!(stack.journal().count("start", "migrate"), 1);
    stack.redis_mut().restart();
    assert_goes_well(scene, &stack);
}

#[test]
fn a_lease_that_becomes_anothers_ends_the_step_and_the_other_begins_when_nobody_is_left() {
    let stack = stack();
    let (scene, members) = start(&stack);
    let leader = scene.leader.pid();
    let since = now();
    wait_until("another holder", || {
        if stack.holder().is_some_and(|holder| holder["pid"] == leader) {
            let script = "redis.call('DEL', KEYS[1]) redis.call('PUBLISH', KEYS[2], 'test')";
            stack.redis().cli(&["EVAL", script, "2", &stack.lease_key(), &stack.channel()]);
        }
        stack.holder().is_some_and(|holder| holder["pid"] != leader)
    });
    assert_gone_in_time(since, members);
    assert_goes_well(scene, &stack);
}

#[test]
fn the_step_of_a_frozen_leader_is_over_before_its_lease_is_and_another_goes_on() {
    let stack = stack();
    let (mut scene, members) = start(&stack);
    scene.leader.signal(Signal::STOP);
    assert_gone_in_time(now(), members);
    stack.journal().wait("end", "migrate", 1);
    assert_eq!(scene.followers.each_mut().map(Replica::wait), [0, 0]);
    assert!(scene.leader.is_running());
    scene.leader.signal(Signal::CONT);
    assert_goes_well(scene, &stack);
}

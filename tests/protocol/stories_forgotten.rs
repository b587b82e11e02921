//! Stories of a Redis that forgets the lease, where the guard is not trusted: only what stands on the volume is left.

use std::time::Duration;

use bellwether::protocol::{Config, Election, LeaseTimes, Policy, StepEnd, Trust};

use crate::world::{Script, World, usual_plan};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn config() -> Config {
    let grace = Duration::from_millis(500);
    let times = LeaseTimes::new(secs(12), None, grace, secs(120), Trust::NotTrusted).unwrap();
    let policy = Policy { stale_after: secs(12), ..Policy::default() };
    Config::new(usual_plan(), Election::Lease(times), Trust::NotTrusted, policy).unwrap()
}

/// A leader that backs off has nothing in progress. Redis forgets its lease and gives it to another, which begins; then
/// the first begins again before it asks Redis. The referee watches.
#[test]
fn a_leader_that_backs_off_does_not_overlap_whoever_got_its_lease_meanwhile() {
    for rev in ["v1", "v2"] {
        for before in (0..2_500).step_by(50) {
            let mut world = World::new(false);
            world.scripts = Box::new(|step, begun| match (step, begun) {
                ("site", 0) => Script { lasts: secs(1), end: StepEnd::Exit(1) },
                _ => Script { lasts: Duration::from_millis(900), end: StepEnd::Exit(0) },
            });
            let first = world.start("v1", &config());
            world.run_until(secs(5), "a failure", |world| world.volume.recorded("site").is_some_and(|(n, _)| n == 1));
            world.run_until(secs(5), "a back-off", |world| world.running().is_empty() && !world.has_any_marker("v1"));
            world.run_for(Duration::from_millis(10_000 - before));
            world.redis.flush();
            world.scripts = Box::new(|_, _| Script { lasts: secs(5), end: StepEnd::Exit(0) });
            let second = world.start(rev, &config());
            world.run_until(secs(300), "both serve", |world| {
                world.has_handed_off(second) && (rev == "v2" || world.has_handed_off(first))
            });
        }
    }
}

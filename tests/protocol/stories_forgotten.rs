//! Stories of a Redis that forgets the lease, where the guard is not trusted: only what stands on the volume is left.

use std::time::Duration;

use bellwether::protocol::{Config, Election, Epoch, LeaseTimes, Outcome, Policy, Role, StepEnd, Trust};

use crate::world::{Life, Script, World, usual_plan};

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

/// A world whose volume is so slow that a story can go on between a claim and the look that follows.
fn claim_slowly() -> (World, Life) {
    let mut world = World::new(false);
    world.scripts = Box::new(|_, _| Script { lasts: secs(5), end: StepEnd::Exit(0) });
    let life = world.start("v1", &config());
    world.run_until(secs(5), "a leadership", |world| world.machine(life).role() == &Role::Leading);
    world.volume_takes = Duration::from_millis(300);
    world.run_until(secs(5), "claims", |world| {
        world.volume.has_marker("site", "v1") && world.volume.has_marker("assets", "v1")
    });
    world.run_for(Duration::from_millis(10));
    assert_eq!(world.volume.recorded("site"), None, "it looks before it counts");
    (world, life)
}

#[test]
fn whoever_is_stopped_while_it_looks_gives_its_claims_back_and_counts_nothing() {
    let (mut world, life) = claim_slowly();
    world.stop(life);
    world.run_until(secs(10), "the end", |world| world.outcome(life) == Some(&Outcome::Stopped));
    assert!(!world.has_any_marker("v1"));
    assert_eq!((world.referee.begun("site@v1"), world.volume.recorded("site")), (0, None));
}

#[test]
fn whoever_sees_a_later_epoch_while_it_looks_gives_its_claims_back_and_follows() {
    let (mut world, life) = claim_slowly();
    let later = world.volume.allot_epoch(Epoch(0));
    world.run_until(secs(5), "it follows", |world| world.machine(life).role() == &Role::Following);
    assert!(!world.has_any_marker("v1") && world.referee.begun("site@v1") == 0);
    world.volume_takes = Duration::from_millis(1);
    world.run_until(secs(60), "it leads again", |world| world.machine(life).epoch() > Some(later));
    world.run_until(secs(60), "it serves", |world| world.has_handed_off(life));
}

#[test]
fn under_a_trusted_guard_nobody_looks_again() {
    let mut world = World::new(true);
    let times = LeaseTimes::new(secs(12), None, secs(1), secs(120), Trust::Trusted).unwrap();
    let policy = Policy { stale_after: secs(12), ..Policy::default() };
    let config = Config::new(usual_plan(), Election::Lease(times), Trust::Trusted, policy).unwrap();
    world.referee.is_verbose = true;
    let life = world.start("v1", &config);
    world.run_until(secs(5), "steps run", |world| world.running().len() == 2);
    let story = world.referee.story();
    let claimed = story.find("Claim {").unwrap();
    assert!(!story[claimed..].contains("-> Look"), "{story}");
    world.run_until(secs(60), "it serves", |world| world.has_handed_off(life));
}

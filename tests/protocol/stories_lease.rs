//! Stories of replicas that are elected by a lease in Redis, with and without a guard to be trusted.

use std::time::Duration;

use bellwether::protocol::{
    Config, ConfigError, Election, Epoch, LeaseTimes, LeaseWish, Outcome, Policy, Role, StepEnd, Trust,
};

use crate::world::{Life, STALE, Script, World, usual_plan};

const TTL: Duration = Duration::from_secs(12);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn config(trust: Trust) -> Config {
    config_with_wait(trust, secs(120))
}

fn config_with_wait(trust: Trust, redis_wait: Duration) -> Config {
    let grace = Duration::from_millis(500);
    let times = LeaseTimes::new(TTL, None, grace, redis_wait, trust).unwrap();
    let policy = Policy { stale_after: STALE, ..Policy::default() };
    Config::new(usual_plan(), Election::Lease(times), trust, policy).unwrap()
}

fn start_three(trust: Trust) -> (World, [Life; 3]) {
    let mut world = World::new(trust == Trust::Trusted);
    world.scripts = Box::new(|_, _| Script { lasts: secs(30), end: StepEnd::Exit(0) });
    let lives = [(); 3].map(|()| world.start("v1", &config(trust)));
    world.run_until(secs(10), "steps run", |world| world.running().len() == 2);
    world.run_for(secs(3));
    (world, lives)
}

#[track_caller]
fn all_hand_off(world: &mut World, lives: &[Life]) {
    let lives = lives.to_vec();
    world.run_until(secs(3600), "all hand off", |world| lives.iter().all(|&life| world.has_handed_off(life)));
}

#[track_caller]
fn once_each(world: &World) {
    for step in ["site@v1", "migrate@v1", "assets@v1"] {
        assert_eq!((world.referee.begun(step), world.referee.completed(step)), (1, 1), "{step}");
    }
}

#[test]
fn the_lease_elects_one_and_all_hand_off() {
    for trust in [Trust::Trusted, Trust::NotTrusted] {
        let (mut world, lives) = start_three(trust);
        assert_eq!(world.redis.holder(world.now), world.leader());
        all_hand_off(&mut world, &lives);
        once_each(&world);
        world.run_for(secs(1));
        assert_eq!(world.redis.holder(world.now), None, "released");
    }
}

#[test]
fn a_lost_lease_under_a_trusted_guard_lets_the_work_finish_and_starts_nothing_else() {
    let (mut world, lives) = start_three(Trust::Trusted);
    let leader = world.leader().unwrap();
    world.redis.down = true;
    world.run_for(secs(40));
    assert_eq!(world.referee.completed("site@v1"), 1);
    assert_eq!(world.referee.begun("migrate@v1"), 0, "nothing else is started without the lease");
    assert_eq!(world.machine(leader).role(), &Role::Following);
    world.redis.down = false;
    all_hand_off(&mut world, &lives);
    once_each(&world);
}

#[test]
fn a_lease_that_comes_back_is_led_on_under_the_same_epoch() {
    let (mut world, lives) = start_three(Trust::Trusted);
    let leader = world.leader().unwrap();
    let epoch = world.machine(leader).epoch();
    world.redis.down = true;
    world.run_for(secs(16));
    world.redis.down = false;
    world.run_for(secs(5));
    assert_eq!(world.machine(leader).epoch(), epoch);
    all_hand_off(&mut world, &lives);
    once_each(&world);
}

#[test]
fn redis_emptied_makes_nobody_act_twice() {
    for trust in [Trust::Trusted, Trust::NotTrusted] {
        let (mut world, lives) = start_three(trust);
        world.redis.flush();
        all_hand_off(&mut world, &lives);
        assert_eq!(world.referee.completed("migrate@v1"), 1);
    }
}

#[test]
fn a_lost_lease_without_trust_stops_the_step_before_the_deadline() {
    let (mut world, lives) = start_three(Trust::NotTrusted);
    let leader = world.leader().unwrap();
    let cut = world.now;
    world.redis.down = true;
    world.run_until(TTL, "the steps are stopped", |world| world.running().is_empty());
    assert!(world.now.since(cut) < TTL);
    world.run_for(secs(1));
    assert_eq!(world.volume.recorded("site").map(|(attempts, _)| attempts), Some(0), "given back");
    assert_eq!(world.machine(leader).role(), &Role::Following);
    world.redis.down = false;
    all_hand_off(&mut world, &lives);
}

#[test]
fn a_frozen_leader_without_trust_is_stopped_by_its_shim() {
    let (mut world, lives) = start_three(Trust::NotTrusted);
    let leader = world.leader().unwrap();
    world.freeze(leader);
    world.run_until(TTL, "the shims stop the steps", |world| world.running().is_empty());
    world.run_until(secs(60), "another leads", |world| world.leader().is_some_and(|life| life != leader));
    world.thaw(leader);
    all_hand_off(&mut world, &lives);
}

#[test]
fn without_trust_an_old_marker_is_watched_before_it_is_taken_over() {
    let (mut world, lives) = start_three(Trust::NotTrusted);
    for life in lives {
        world.kill(life);
    }
    world.run_for(secs(3600));
    let again = world.start("v1", &config(Trust::NotTrusted));
    world.run_for(STALE);
    assert!(world.running().is_empty(), "its age says nothing where the guard protects nobody");
    world.run_until(secs(5), "a takeover", |world| world.running().len() == 2);
    all_hand_off(&mut world, &[again]);
}

#[test]
fn without_trust_a_lease_longer_than_the_silence_keeps_a_successor_waiting_for_its_end() {
    let times = LeaseTimes::new(secs(30), None, secs(1), secs(120), Trust::NotTrusted).unwrap();
    let policy = Policy { stale_after: secs(6), ..Policy::default() };
    let config = Config::new(usual_plan(), Election::Lease(times), Trust::NotTrusted, policy).unwrap();
    assert_eq!(config.stale_after(), secs(31));
    let mut world = World::new(false);
    world.scripts = Box::new(|_, _| Script { lasts: secs(100), end: StepEnd::Exit(0) });
    let lives = [(); 3].map(|()| world.start("v1", &config));
    world.run_until(secs(10), "steps run", |world| world.running().len() == 2);
    world.run_for(secs(3));
    let leader = world.leader().unwrap();
    world.freeze(leader);
    // Redis gives the lease away at once, though the shims' deadline is far off. The referee watches.
    world.redis.flush();
    world.run_until(secs(60), "another leads", |world| world.leader().is_some_and(|life| life != leader));
    world.thaw(leader);
    all_hand_off(&mut world, &lives);
}

#[test]
fn without_trust_nothing_is_started_that_could_not_be_stopped_in_time() {
    let mut world = World::new(false);
    world.scripts = Box::new(|_, _| Script { lasts: secs(10), end: StepEnd::Exit(0) });
    world.start("v1", &config(Trust::NotTrusted));
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    // The last renewal is at 2 s: the lease ends for us before 14 s, the shims stop at less than 12 s.
    world.run_for(secs(3));
    world.redis.down = true;
    world.run_until(secs(10), "site is done", |world| world.referee.completed("site@v1") == 1);
    world.run_for(secs(5));
    assert_eq!(world.referee.begun("migrate@v1"), 0);
}

#[test]
fn a_stopped_leader_is_followed_one_announcement_later() {
    let (mut world, _) = start_three(Trust::Trusted);
    let leader = world.leader().unwrap();
    world.stop(leader);
    world.run_until(secs(1), "the leader ends", |world| world.outcome(leader).is_some());
    world.run_until(Duration::from_millis(50), "the next starts", |world| world.running().len() == 2);
}

#[test]
fn a_replica_without_redis_gives_up_only_when_nobody_is_seen_at_work() {
    let mut world = World::new(true);
    world.redis.down = true;
    let life = world.start("v1", &config(Trust::Trusted));
    world.run_for(secs(119));
    assert_eq!(world.outcome(life), None);
    world.run_until(secs(5), "the end", |world| world.outcome(life) == Some(&Outcome::RedisUnavailable));

    let (mut world, lives) = start_three(Trust::Trusted);
    world.scripts = Box::new(|_, _| Script { lasts: secs(300), end: StepEnd::Exit(0) });
    world.redis.down = true;
    let late = world.start("v1", &config(Trust::Trusted));
    world.run_for(secs(25));
    world.redis.down = false;
    world.run_for(secs(60));
    world.redis.down = true;
    world.run_for(secs(200));
    assert_eq!(world.outcome(late), None, "markers beat");
    world.redis.down = false;
    all_hand_off(&mut world, &lives);
}

#[test]
fn however_short_the_wait_for_redis_whoever_beats_is_seen_at_work() {
    for wait in [1, 300, 1000, 2000].map(Duration::from_millis) {
        let mut world = World::new(true);
        world.scripts = Box::new(|_, _| Script { lasts: secs(40), end: StepEnd::Exit(0) });
        let lives = [(); 3].map(|()| world.start("v1", &config_with_wait(Trust::Trusted, wait)));
        world.run_until(secs(10), "steps run", |world| world.running().len() == 2);
        let leader = world.leader().unwrap();
        world.redis.down = true;
        world.run_for(secs(30));
        assert_eq!(lives.map(|life| world.outcome(life).cloned()), [None, None, None], "{wait:?}");
        world.kill(leader);
        let ended = |world: &World| lives.iter().filter(|&&life| world.outcome(life).is_some()).count();
        world.run_until(STALE + secs(10), "the others give up", |world| ended(world) == 2);
    }
}

#[test]
fn a_waiting_follower_asks_redis_at_most_once_a_poll() {
    let (mut world, _) = start_three(Trust::Trusted);
    world.scripts = Box::new(|_, _| Script { lasts: secs(3600), end: StepEnd::Exit(0) });
    let before = world.redis.requests;
    world.run_for(secs(20));
    let leader = 20 / 2 + 1;
    let followers = 2 * (20 / 5 + 1);
    assert!(world.redis.requests - before <= leader + followers, "{}", world.redis.requests - before);
}

#[test]
fn times_that_leave_no_room_are_refused_with_the_smallest_that_do() {
    let ask = |ttl, trust| LeaseTimes::new(ttl, None, secs(5), secs(120), trust);
    assert!(ask(secs(1), Trust::Trusted).is_ok());
    let Err(ConfigError::LeaseTooShort { smallest, .. }) = ask(secs(10), Trust::NotTrusted) else {
        panic!("10 s leave no room for a grace of 5 s");
    };
    assert!(ask(smallest, Trust::NotTrusted).is_ok());
    assert!(ask(smallest.saturating_sub(Duration::from_millis(10)), Trust::NotTrusted).is_err());
    let guard_alone = Config::new(usual_plan(), Election::Guard, Trust::NotTrusted, Policy::default());
    assert_eq!(guard_alone, Err(ConfigError::GuardNotTrusted));
}

#[test]
fn nobody_asks_redis_for_anything_once_it_is_announced_ready() {
    let mut world = World::new(true);
    world.scripts = Box::new(|_, _| Script { lasts: secs(7), end: StepEnd::Exit(0) });
    let lives: Vec<Life> = (0..20).map(|_| world.start("v1", &config(Trust::Trusted))).collect();
    world.run_until(secs(60), "ready", |world| !world.volume.ready.is_empty());
    let before = world.redis.requests;
    all_hand_off(&mut world, &lives);
    assert_eq!(world.redis.requests, before);
    once_each(&world);
}

#[test]
fn a_burst_of_announcements_is_obeyed_now_and_then() {
    let (mut world, _) = start_three(Trust::Trusted);
    world.scripts = Box::new(|_, _| Script { lasts: secs(3600), end: StepEnd::Exit(0) });
    let before = world.redis.requests;
    for _ in 0..1000 {
        world.announce();
        world.run_for(Duration::from_millis(1));
    }
    let asked = world.redis.requests - before;
    assert!((2..=2 * 1000 / 20 + 10).contains(&asked), "{asked}");
}

#[test]
fn a_leader_whose_lease_is_anothers_announces_what_it_has_made_ready() {
    let (mut world, lives) = start_three(Trust::Trusted);
    world.run_until(secs(120), "the last step runs", |world| {
        world.referee.begun("migrate@v1") == 1 && world.referee.completed("assets@v1") == 1
    });
    world.redis.flush();
    world.redis.down = true;
    world.run_for(TTL);
    world.redis.down = false;
    world.run_until(secs(30), "another holds the lease, or the leader again", |world| {
        world.redis.holder(world.now).is_some()
    });
    world.run_until(secs(60), "ready", |world| !world.volume.ready.is_empty());
    world.run_for(Duration::from_millis(50));
    assert!(lives.iter().all(|&life| world.has_handed_off(life)), "by announcement, not by a poll");
    once_each(&world);
}

#[test]
fn whoever_waits_for_the_guard_with_the_lease_in_hand_still_looks() {
    let (mut world, lives) = start_three(Trust::Trusted);
    let leader = world.leader().unwrap();
    world.run_until(secs(120), "the last step runs", |world| {
        world.referee.begun("migrate@v1") == 1 && world.referee.completed("assets@v1") == 1
    });
    world.freeze(leader);
    world.run_until(secs(20), "another has the lease", |world| world.redis.holder(world.now) != Some(leader));
    world.run_for(secs(1));
    world.thaw(leader);
    world.run_until(secs(60), "ready", |world| !world.volume.ready.is_empty());
    // It has not told anybody, and it keeps the guard.
    world.freeze(leader);
    world.run_for(secs(6));
    let others = lives.iter().filter(|&&life| life != leader);
    assert!(others.into_iter().all(|&life| world.has_handed_off(life)));
    world.thaw(leader);
    all_hand_off(&mut world, &lives);
    once_each(&world);
}

#[test]
fn an_epoch_is_above_what_redis_knows_and_redis_learns_it() {
    let mut world = World::new(true);
    world.redis.epoch = Epoch(41);
    world.scripts = Box::new(|_, _| Script { lasts: secs(7), end: StepEnd::Exit(0) });
    let life = world.start("v1", &config(Trust::Trusted));
    world.run_until(secs(5), "steps run", |world| world.running().len() == 2);
    assert_eq!(world.machine(life).epoch(), Some(Epoch(42)));
    world.run_for(secs(1));
    assert_eq!(world.redis.epoch, Epoch(42), "told at once, not with the next renewal");
}

#[test]
fn replicas_with_jitter_do_not_ask_in_step() {
    let times = LeaseTimes::new(TTL, None, secs(1), secs(120), Trust::Trusted).unwrap();
    let heartbeats = [0, 500, 999].map(|seed| times.clone().with_jitter(seed).heartbeat());
    assert_eq!(heartbeats[..2], [secs(2), Duration::from_millis(2100)]);
    assert!(heartbeats[2] < secs(2) * 11 / 10, "at most a tenth");
}

#[test]
fn what_is_not_said_of_the_times_is_derived() {
    let derive = |ttl: Option<u64>, grace: Option<u64>, stale, trust| {
        let wish = LeaseWish { ttl: ttl.map(secs), heartbeat: None, grace: grace.map(secs) };
        let times = LeaseTimes::derive(wish, secs(stale), secs(120), trust).ok()?;
        Some((times.ttl().as_secs_f64(), times.grace().as_secs_f64()))
    };
    let (trusted, untrusted) = (Trust::Trusted, Trust::NotTrusted);
    assert_eq!(derive(None, None, 120, trusted), Some((30.0, 5.0)));
    assert_eq!(derive(None, None, 4, trusted), Some((3.0, 5.0)), "a trusted guard leaves the grace alone");
    assert_eq!(derive(None, Some(60), 120, trusted), Some((30.0, 60.0)));
    assert_eq!(derive(None, None, 120, untrusted), Some((30.0, 5.0)));
    assert_eq!(derive(None, None, 6, untrusted), Some((4.5, 0.25)), "as much as the lease allows");
    assert_eq!(derive(None, Some(60), 120, untrusted), Some((88.64, 60.0)), "raised for an explicit grace");
    assert_eq!(derive(Some(20), None, 120, untrusted), Some((20.0, 5.0)));
    assert_eq!(derive(Some(20), Some(30), 120, untrusted), None);
    assert_eq!(derive(None, Some(1_000_000_000), 120, untrusted), None, "no lease is long enough");
    assert_eq!(derive(None, Some(1_000_000_000), 120, trusted), Some((30.0, 1e9)));
}

#[test]
fn without_trust_the_silence_must_leave_time_to_stop_a_step() {
    let times = LeaseTimes::derive(LeaseWish::default(), secs(6), secs(120), Trust::NotTrusted).unwrap();
    let build = |stale| {
        let policy = Policy { stale_after: stale, ..Policy::default() };
        Config::new(usual_plan(), Election::Lease(times.clone()), Trust::NotTrusted, policy).map(drop)
    };
    assert_eq!(build(secs(6)), Ok(()));
    assert_eq!(build(secs(5)), Err(ConfigError::StaleTooShort { stale: secs(5), least: secs(6) }));
}

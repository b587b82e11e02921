//! Stories of replicas whose guard alone elects.

use std::time::Duration;

use bellwether::protocol::{
    Config, Election, LastEnd, OnDowngrade, OnFailure, Outcome, Policy, Role, StepEnd, Trust, Why,
};

use crate::world::{Life, STALE, Script, World, usual_plan};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn config() -> Config {
    with(|_| {})
}

/// The usual configuration with a change.
pub(crate) fn with(change: impl FnOnce(&mut Policy)) -> Config {
    let mut policy = Policy { stale_after: STALE, ..Policy::default() };
    change(&mut policy);
    Config::new(usual_plan(), Election::Guard, Trust::Trusted, policy).unwrap()
}

fn start_three(world: &mut World) -> [Life; 3] {
    [(); 3].map(|()| world.start("v1", &config()))
}

#[track_caller]
fn all_hand_off(world: &mut World, lives: &[Life]) {
    let lives = lives.to_vec();
    world.run_until(secs(3600), "all hand off", |world| lives.iter().all(|&life| world.has_handed_off(life)));
}

fn once_each(world: &World) {
    for step in ["site@v1", "migrate@v1", "assets@v1"] {
        assert_eq!((world.referee.begun(step), world.referee.completed(step)), (1, 1), "{step}");
    }
}

#[test]
fn a_cold_boot_runs_every_step_once_and_independent_ones_side_by_side() {
    let mut world = World::new(true);
    let lives = start_three(&mut world);
    world.run_until(secs(1), "site and assets side by side", |world| world.running().len() == 2);
    assert_eq!(world.running(), ["site", "assets"]);
    all_hand_off(&mut world, &lives);
    once_each(&world);
}

#[test]
fn a_warm_start_hands_off_after_one_look() {
    let mut world = World::new(true);
    let lives = start_three(&mut world);
    all_hand_off(&mut world, &lives);
    let late = world.start("v1", &config());
    world.run_until(Duration::from_millis(5), "hand-off", |world| world.has_handed_off(late));
}

#[test]
fn a_leader_that_dies_is_taken_over_after_its_silence_and_not_before() {
    let mut world = World::new(true);
    let lives = start_three(&mut world);
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    world.run_for(secs(3));
    let leader = world.leader().unwrap();
    let died = world.now;
    world.kill(leader);
    world.run_for(Duration::from_millis(100));
    assert!(world.running().is_empty(), "the tree is gone before the guard is free");
    world.run_until(secs(60), "a takeover", |world| !world.running().is_empty());
    let silent = world.now.since(died);
    let beat = config().beat_every();
    assert!(silent + beat >= STALE && silent <= STALE + secs(1), "taken over after {silent:?}");
    let rest: Vec<Life> = lives.into_iter().filter(|&life| life != leader).collect();
    all_hand_off(&mut world, &rest);
    assert_eq!(world.referee.begun("site@v1"), 2);
}

#[test]
fn a_leader_that_is_stopped_leaves_nothing_in_the_way() {
    let mut world = World::new(true);
    let lives = start_three(&mut world);
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    let leader = world.leader().unwrap();
    world.stop(leader);
    world.run_until(secs(1), "the leader ends", |world| world.outcome(leader).is_some());
    assert_eq!(world.outcome(leader), Some(&Outcome::Stopped));
    assert_eq!(world.volume.recorded("site"), Some((0, LastEnd::Stopped)), "the attempt is given back");
    world.run_until(Duration::from_millis(50), "the next leader starts at once", |world| world.running().len() == 2);
    let rest: Vec<Life> = lives.into_iter().filter(|&life| life != leader).collect();
    all_hand_off(&mut world, &rest);
}

#[test]
fn a_second_request_to_stop_is_in_haste() {
    let mut world = World::new(true);
    world.stopping_takes = secs(5);
    let life = world.start("v1", &config());
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    world.stop(life);
    world.run_for(secs(1));
    assert_eq!(world.machine(life).role(), &Role::Winding(Why::Stop));
    world.stop(life);
    world.run_until(Duration::from_millis(50), "the end", |world| world.outcome(life) == Some(&Outcome::Stopped));
}

#[test]
fn a_step_much_longer_than_the_silence_allowed_is_left_alone() {
    let mut world = World::new(true);
    world.scripts = Box::new(|_, _| Script { lasts: STALE * 10, end: StepEnd::Exit(0) });
    let lives = start_three(&mut world);
    all_hand_off(&mut world, &lives);
    once_each(&world);
}

#[test]
fn a_frozen_leader_is_not_overlapped() {
    let mut world = World::new(true);
    world.scripts = Box::new(|_, _| Script { lasts: STALE * 5, end: StepEnd::Exit(0) });
    let lives = start_three(&mut world);
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    let leader = world.leader().unwrap();
    world.freeze(leader);
    world.run_for(STALE * 3);
    world.thaw(leader);
    all_hand_off(&mut world, &lives);
    once_each(&world);
}

#[test]
fn a_stack_that_was_down_for_an_hour_goes_on_at_once() {
    let mut world = World::new(true);
    let first = world.start("v1", &config());
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    world.kill(first);
    world.run_for(secs(3600));
    let again = world.start("v1", &config());
    world.run_until(Duration::from_millis(50), "it goes on", |world| world.running().len() == 2);
    all_hand_off(&mut world, &[again]);
}

#[test]
fn a_step_that_fails_is_tried_until_the_limit_by_all_replicas_together() {
    let mut world = World::new(true);
    world.scripts = Box::new(|step, _| Script {
        lasts: secs(1),
        end: if step == "site" { StepEnd::Exit(1) } else { StepEnd::Exit(0) },
    });
    for _ in 0..20 {
        let lives = start_three(&mut world);
        world.run_until(secs(600), "all end", |world| lives.iter().all(|&life| world.outcome(life).is_some()));
        assert!(lives.iter().all(|&life| world.outcome(life) == Some(&Outcome::StepFailed)));
    }
    assert_eq!(world.referee.begun("site@v1"), 3);
    assert_eq!(world.referee.completed("assets@v1"), 1, "the sibling was left to finish");
    assert!(!world.has_any_marker("v1"));

    world.scripts = Box::new(|_, _| Script { lasts: secs(1), end: StepEnd::Exit(0) });
    world.volume.retry("v1");
    let lives = start_three(&mut world);
    all_hand_off(&mut world, &lives);
    assert_eq!(world.referee.begun("assets@v1"), 1);
}

/// `site` says at once that trying again is of no use.
fn useless(step: &str, _: usize) -> Script {
    Script { lasts: secs(1), end: if step == "site" { StepEnd::FOR_GOOD } else { StepEnd::Exit(0) } }
}

#[test]
fn a_step_that_fails_for_good_is_not_tried_again_by_anybody_before_a_retry() {
    let mut world = World::new(true);
    world.scripts = Box::new(useless);
    for _ in 0..5 {
        let lives = start_three(&mut world);
        world.run_until(secs(60), "all end", |world| lives.iter().all(|&life| world.outcome(life).is_some()));
        assert!(lives.iter().all(|&life| world.outcome(life) == Some(&Outcome::StepFailed)));
    }
    assert_eq!(world.referee.begun("site@v1"), 1);
    assert_eq!((world.referee.begun("migrate@v1"), world.referee.completed("assets@v1")), (0, 1), "siblings finish");
    assert_eq!(world.volume.recorded("site"), Some((1, LastEnd::Bad)));
    world.scripts = Box::new(|_, _| Script { lasts: secs(1), end: StepEnd::Exit(0) });
    world.volume.retry("v1");
    let lives = start_three(&mut world);
    all_hand_off(&mut world, &lives);
    assert_eq!(world.referee.begun("site@v1"), 2);
}

#[test]
fn a_leader_that_dies_before_it_says_so_leaves_a_record_that_does() {
    let mut world = World::new(true);
    world.scripts = Box::new(|step, begun| match step {
        "site" => useless(step, begun),
        _ => Script { lasts: secs(300), end: StepEnd::Exit(0) },
    });
    let life = world.start("v1", &config());
    world.run_until(secs(60), "it is written down", |world| world.volume.recorded("site") == Some((1, LastEnd::Bad)));
    assert!(world.volume.failed.is_empty(), "the sibling still runs");
    world.kill(life);
    let heir = world.start("v1", &config());
    world.run_until(secs(600), "the end", |world| world.outcome(heir).is_some());
    assert_eq!(world.outcome(heir), Some(&Outcome::StepFailed));
    assert_eq!(world.referee.begun("site@v1"), 1);
}

#[test]
fn a_step_that_was_stopped_has_not_failed_for_good_whatever_it_ended_with() {
    let mut world = World::new(true);
    world.scripts = Box::new(|step, _| Script { lasts: secs(10), end: useless(step, 0).end });
    let life = world.start("v1", &config());
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    world.stop(life);
    world.run_until(secs(1), "the end", |world| world.outcome(life) == Some(&Outcome::Stopped));
    world.scripts = Box::new(|_, _| Script { lasts: secs(1), end: StepEnd::Exit(0) });
    let lives = start_three(&mut world);
    all_hand_off(&mut world, &lives);
}

#[test]
fn a_leader_that_is_killed_with_its_step_each_time_stops_at_the_limit() {
    let mut world = World::new(true);
    for round in 0..3 {
        let life = world.start("v1", &config());
        world.run_until(secs(60), "the step runs", |world| world.running().contains(&"site".to_owned()));
        assert_eq!(world.volume.recorded("site"), Some((round + 1, LastEnd::Open)));
        world.kill(life);
        world.run_for(secs(1));
    }
    let last = world.start("v1", &config());
    world.run_until(secs(60), "the end", |world| world.outcome(last).is_some());
    assert_eq!(world.outcome(last), Some(&Outcome::StepFailed));
    assert_eq!(world.referee.begun("site@v1"), 3);
    assert!(!world.volume.has_marker("site", "v1"), "what the dead left is cleared away");
}

#[test]
fn a_replica_that_holds_goes_on_when_the_failure_is_cleared() {
    let mut world = World::new(true);
    world.scripts = Box::new(|step, begun| Script {
        lasts: secs(1),
        end: if step == "site" && begun < 3 { StepEnd::Exit(1) } else { StepEnd::Exit(0) },
    });
    let hold = with(|policy| policy.on_failure = OnFailure::Hold);
    let lives = [(); 3].map(|()| world.start("v1", &hold));
    world.run_until(secs(600), "all hold", |world| {
        lives.iter().all(|&life| world.machine(life).role() == &Role::Holding)
    });
    world.run_for(secs(600));
    world.volume.retry("v1");
    all_hand_off(&mut world, &lives);
}

#[test]
fn a_step_that_says_not_yet_is_not_counted_for_ten_minutes_and_then_is() {
    let mut world = World::new(true);
    world.scripts = Box::new(|step, _| Script {
        lasts: secs(1),
        end: if step == "site" { StepEnd::NOT_YET } else { StepEnd::Exit(0) },
    });
    let life = world.start("v1", &config());
    world.run_until(secs(595), "several tries", |world| world.referee.begun("site@v1") == 6);
    assert_eq!(world.volume.recorded("site").map(|(attempts, _)| attempts), Some(1), "only the run under way counts");
    world.run_until(secs(3600), "the end", |world| world.outcome(life).is_some());
    assert_eq!(world.outcome(life), Some(&Outcome::StepFailed));
    assert_eq!(world.referee.begun("site@v1"), 6 + 3);
}

#[test]
fn a_run_that_takes_too_long_is_stopped_and_counts() {
    let mut world = World::new(true);
    world.scripts = Box::new(|_, _| Script { lasts: secs(3600), end: StepEnd::Exit(0) });
    let mut steps: Vec<_> = usual_plan().iter().map(|(_, step)| step.clone()).collect();
    steps.truncate(1);
    steps[0].timeout = Some(secs(10));
    let plan = std::sync::Arc::new(bellwether::protocol::Plan::new(steps).unwrap());
    let life = world.start("v1", &Config::new(plan, Election::Guard, Trust::Trusted, Policy::default()).unwrap());
    world.run_until(secs(100), "the end", |world| world.outcome(life).is_some());
    assert_eq!(world.outcome(life), Some(&Outcome::StepFailed));
    assert_eq!(world.referee.begun("site@v1"), 3);
}

#[test]
fn a_second_revision_waits_for_the_first_and_then_leads() {
    let mut world = World::new(true);
    let old = start_three(&mut world);
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    let new = [(); 2].map(|()| world.start("v2", &config()));
    all_hand_off(&mut world, &old);
    all_hand_off(&mut world, &new);
    assert_eq!(world.referee.completed("migrate@v2"), 1);
}

#[test]
fn a_second_revision_takes_over_from_a_dead_first_whose_late_replica_only_follows() {
    let mut world = World::new(true);
    let old = world.start("v1", &config());
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    world.kill(old);
    let new = world.start("v2", &config());
    world.run_for(secs(5));
    assert!(world.running().is_empty(), "v1's markers count for v2 until they are stale");
    let late = world.start("v1", &with(|policy| policy.ready_timeout = Some(secs(300))));
    all_hand_off(&mut world, &[new]);
    assert!(!world.volume.has_marker("site", "v1"));
    world.run_until(secs(600), "the late replica gives up", |world| world.outcome(late) == Some(&Outcome::GaveUp));
    assert_eq!(world.referee.begun("migrate@v1"), 0);
}

#[test]
fn a_replica_that_gets_the_guard_with_an_old_look_does_not_lead_a_superseded_revision() {
    let mut world = World::new(true);
    let first = world.start("v1", &config());
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    let new = world.start("v2", &config());
    world.run_for(Duration::from_millis(20));
    let late = world.start("v1", &config());
    world.run_for(Duration::from_millis(20));
    world.scripts = Box::new(|_, _| Script { lasts: Duration::from_millis(10), end: StepEnd::Exit(0) });
    world.stop(first);
    all_hand_off(&mut world, &[new]);
    world.run_for(secs(300));
    assert_eq!(world.outcome(late), None);
    assert_eq!((world.referee.begun("site@v1"), world.referee.completed("site@v1")), (1, 0));
}

#[test]
fn a_ready_old_revision_hands_off_or_refuses_as_it_is_told() {
    let mut world = World::new(true);
    let old = start_three(&mut world);
    all_hand_off(&mut world, &old);
    let new = world.start("v2", &config());
    all_hand_off(&mut world, &[new]);
    let warned = world.start("v1", &config());
    all_hand_off(&mut world, &[warned]);
    let refused = world.start("v1", &with(|policy| policy.on_downgrade = OnDowngrade::Refuse));
    world.run_until(secs(1), "the end", |world| world.outcome(refused).is_some());
    assert!(matches!(world.outcome(refused), Some(Outcome::DowngradeRefused { .. })));
}

#[test]
fn a_rollback_that_is_allowed_makes_the_old_revision_the_newest_again() {
    let mut world = World::new(true);
    let old = world.start("v1", &config());
    all_hand_off(&mut world, &[old]);
    let new = world.start("v2", &config());
    all_hand_off(&mut world, &[new]);
    let back = world.start("v1", &with(|policy| policy.allow_rollback = true));
    all_hand_off(&mut world, &[back]);
    let names: Vec<&str> = world.volume.revisions.iter().map(bellwether::protocol::Revision::as_str).collect();
    assert_eq!(names, ["v1", "v2", "v1"]);
    let refused = world.start("v2", &with(|policy| policy.on_downgrade = OnDowngrade::Refuse));
    world.run_until(secs(1), "the end", |world| world.outcome(refused).is_some());
    assert_eq!(world.referee.begun("site@v1"), 1, "nothing of v1 runs again");
}

#[test]
fn a_full_disk_silences_no_healthy_step() {
    let mut world = World::new(true);
    world.scripts = Box::new(|_, _| Script { lasts: STALE * 2, end: StepEnd::Exit(0) });
    let lives = start_three(&mut world);
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    let leader = world.leader();
    world.volume.full = true;
    world.run_for(STALE * 4);
    assert!(world.running().is_empty() && !world.volume.is_done("site", "v1"), "ended, but cannot be marked");
    assert!(world.volume.has_marker("site", "v1"), "still ours");
    assert_eq!(world.referee.begun("site@v1"), 1);
    world.volume.full = false;
    world.run_until(secs(2), "it goes on", |world| world.running() == ["migrate"]);
    assert_eq!(world.leader(), leader);
    all_hand_off(&mut world, &lives);
    once_each(&world);
}

#[test]
fn a_marker_that_a_person_removed_is_written_again() {
    let mut world = World::new(true);
    world.start("v1", &config());
    world.run_until(secs(1), "steps run", |world| world.running().len() == 2);
    world.volume.remove_marker("site", "v1");
    world.run_for(config().beat_every());
    assert!(world.volume.has_marker("site", "v1"));
}

#[test]
fn a_replica_that_may_not_lead_never_does() {
    let mut world = World::new(true);
    let worker = world.start("v1", &with(|policy| policy.may_lead = false));
    world.run_for(secs(600));
    assert!(world.volume.revisions.is_empty(), "it touched nothing");
    let web = world.start("v1", &config());
    all_hand_off(&mut world, &[web, worker]);
}

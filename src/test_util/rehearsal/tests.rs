//! What happens, and what a rehearsal tells of it.

use super::*;
use crate::protocol::Step;

fn plan() -> Plan {
    Plan::new(vec![Step::plain("migrate", &[]), Step::plain("index", &[0]), Step::plain("assets", &[])]).unwrap()
}

fn ends<'a>(account: &'a Account, step: &'a str) -> Vec<StepEnd> {
    account.runs_of(step).filter_map(|run| run.end).collect()
}

#[test]
fn without_an_incident_every_step_runs_once_and_no_longer_than_it_must() {
    let account = Rehearsal::new(&plan()).run();
    assert_eq!(account.runs.len(), 3, "{}", account.story);
    assert!(account.all_ready() && account.runs.iter().all(Run::is_done));
    assert!(account.took < LASTS * 2 + Duration::from_secs(3), "assets run beside the others: {}", account.story);
}

#[test]
fn a_killed_leader_is_followed_after_the_silence() {
    let silence = Duration::from_secs(30);
    let account = Rehearsal::new(&plan()).stale_after(silence).kill_leader_during("migrate").run();
    let migrations: Vec<&Run> = account.runs_of("migrate").collect();
    let [first, second] = migrations[..] else { panic!("{}", account.story) };
    assert!(first.leader_died && second.is_done() && second.attempt == 2 && second.epoch > first.epoch);
    assert!(second.begun >= first.ended && second.begun < first.ended + silence + Duration::from_secs(3));
    assert_eq!(account.runs_of("index").count(), 1);
    assert!(account.all_ready());
}

#[test]
fn a_stopped_leader_is_followed_at_once_and_nothing_is_counted() {
    let account = Rehearsal::new(&plan()).stop_leader_during("migrate").run();
    assert_eq!(ends(&account, "migrate"), [StepEnd::Stopped, StepEnd::Exit(0)], "{}", account.story);
    assert!(account.runs.iter().all(|run| run.attempt == 1));
    assert!(account.all_ready() && account.took < Duration::from_secs(60));
}

#[test]
fn a_frozen_leader_keeps_the_guard_and_nobody_takes_over() {
    let hour = Duration::from_secs(3600);
    let account = Rehearsal::new(&plan()).freeze_leader_during("migrate", hour).run();
    assert_eq!(account.runs.len(), 3, "{}", account.story);
    assert!(account.all_ready() && account.took > hour);
}

#[test]
fn a_step_that_fails_for_good_is_not_tried_again() {
    let account = Rehearsal::new(&plan()).ends("migrate", [StepEnd::FOR_GOOD]).run();
    assert_eq!(ends(&account, "migrate"), [StepEnd::FOR_GOOD], "{}", account.story);
    assert!(account.outcomes.iter().all(|outcome| *outcome == Some(Outcome::StepFailed)));
    assert_eq!((account.runs_of("index").count(), account.runs_of("assets").count()), (0, 1));
}

#[test]
fn one_replica_alone_is_started_anew() {
    let account = Rehearsal::new(&plan()).replicas(1).kill_leader_during("migrate").kill_leader_during("index").run();
    assert_eq!((account.runs_of("migrate").count(), account.runs_of("index").count()), (2, 2), "{}", account.story);
    assert!(account.all_ready());
}

#[test]
fn a_step_that_fails_for_good_ends_every_replica() {
    let account = Rehearsal::new(&plan()).ends("migrate", [StepEnd::Exit(1); 3]).run();
    assert_eq!(ends(&account, "migrate"), [StepEnd::Exit(1); 3]);
    assert_eq!(account.outcomes, vec![Some(Outcome::StepFailed); 3], "{}", account.story);
}

#[test]
fn a_run_without_length_is_killed_at_its_beginning() {
    let account = Rehearsal::new(&plan()).lasts("migrate", Duration::ZERO).kill_leader_during("migrate").run();
    let migrations: Vec<&Run> = account.runs_of("migrate").collect();
    let [first, second] = migrations[..] else { panic!("{}", account.story) };
    assert!(first.leader_died && !first.is_done() && second.is_done(), "{}", account.story);
    assert!(account.all_ready());
}

#[test]
fn a_run_that_its_timeout_ends_has_its_middle_before_that() {
    let mut steps: Vec<Step> = plan().iter().map(|(_, step)| step.clone()).collect();
    steps[0].timeout = Some(Duration::from_secs(2));
    let plan = Plan::new(steps).unwrap();
    let account = Rehearsal::new(&plan).kill_leader_during("migrate").run();
    let first = account.runs_of("migrate").next().unwrap();
    assert!(first.leader_died && first.ended < first.begun + Duration::from_secs(2), "{}", account.story);
}

#[test]
#[should_panic(expected = "migrate was over before its middle:")]
fn the_same_run_has_one_middle() {
    let second = Duration::from_secs(1);
    let rehearsal = Rehearsal::new(&plan()).freeze_leader_during("migrate", second);
    let _ = rehearsal.lasts("assets", LASTS * 3).freeze_leader_during("migrate", second).run();
}

#[test]
fn a_run_longer_than_the_rehearsal_is_told_as_still_going() {
    let account = Rehearsal::new(&plan()).lasts("migrate", LIMIT * 2).run();
    let run = account.runs_of("migrate").next().unwrap();
    assert!(run.end.is_none() && !run.is_done() && run.ended > LIMIT / 2, "{run:?}");
    assert!(account.story.ends_with("still going: migrate of #0, in attempt 1\n"), "{}", account.story);
    assert_eq!(account.outcomes, [None, None, None]);
}

#[test]
#[should_panic(expected = "stale_after is too short; at least 1 s is needed")]
fn a_silence_that_no_bootstrap_takes_is_refused() {
    let _ = Rehearsal::new(&plan()).stale_after(Duration::ZERO);
}

#[test]
#[should_panic(expected = "there is no step \"migrat\" in the plan")]
fn a_step_that_does_not_exist_is_told() {
    let _ = Rehearsal::new(&plan()).kill_leader_during("migrat");
}

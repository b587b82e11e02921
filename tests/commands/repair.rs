//! What a person does.

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::scene::{ENDLESS, FORGETFUL, FRAGILE, Scene};

fn failed() -> Scene {
    let scene = Scene::new(FRAGILE);
    assert_eq!(scene.say(&["run", "--", "true"]).code, 78);
    scene
}

fn refusal(scene: &Scene, arguments: &[&str]) -> (i32, String) {
    let said = scene.say(arguments);
    assert_eq!(said.out, "");
    (said.code, scene.redact(&said.err))
}

#[test]
fn a_repaired_step_is_tried_again() {
    let scene = failed();
    scene.write("repaired", "");
    assert_eq!(scene.say(&["run", "--", "true"]).code, 78, "a failure stays until somebody clears it");
    assert_snapshot!(scene.shown(&["retry"]), @"
    revision v1: the failure of step migrate is cleared
    step migrate: attempts count from zero (there were 2)
    a replica that is waiting goes on by itself; if none is, start or restart one
    ");
    assert_snapshot!(scene.shown(&["retry"]), @"nothing to retry: no step of revision v1 has failed, and no attempt is counted");
    let step = &scene.status()["steps"][1];
    assert_eq!((&step["state"], &step["attempt"], &step["last_end"]), (&"open".into(), &().into(), &"exit 3".into()));
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
    let history = scene.shown(&["status", "--history"]);
    assert_snapshot!(history.lines().find(|line| line.contains("retried")).unwrap(), @"[time] v1 2 [host] retried migrate attempts to zero: migrate had 2");
}

#[test]
fn a_replica_that_holds_goes_on_after_a_retry() {
    let scene = Scene::new(FRAGILE).with("BELLWETHER_ON_FAILURE", "hold");
    let (holding, _lines) = scene.stream(&["run", "--", "echo", "serving"]);
    scene.await_status(|status| status["state"] == "failed" && status["guard"]["state"] == "free");
    scene.write("repaired", "");
    assert_eq!(scene.say(&["retry"]).code, 0);
    assert_eq!(holding.code(), Some(0));
}

#[test]
fn a_step_done_by_hand_is_recorded_so() {
    let scene = failed();
    assert_snapshot!(scene.shown(&["skip", "--step", "migrate"]), @"
    step migrate of revision v1 is recorded as done by hand
    its failure is cleared
    1 step is left
    a replica that is waiting goes on by itself; if none is, start or restart one
    ");
    assert_snapshot!(scene.shown(&["skip", "--step", "migrate"]), @"nothing to skip: step migrate of revision v1 is done already");
    assert!(scene.has(".migrated_v1") && !scene.has(".failed_v1") && !scene.has(".migrating_in_progress_v1"));
    let step = &scene.status()["steps"][1];
    assert_eq!((&step["state"], &step["how"]), (&"done".into(), &"skipped".into()));
    assert_snapshot!(scene.shown(&["skip", "--step", "assets"]), @"
    step assets of revision v1 is recorded as done by hand
    every step is done now; the next replica to lead announces the revision as ready
    a replica that is waiting goes on by itself; if none is, start or restart one
    ");
    assert!(!scene.has(".ready_v1"));
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
    assert!(scene.has(".ready_v1"));
}

#[test]
fn a_skip_begins_a_revision() {
    let scene = Scene::new(FRAGILE);
    assert_eq!(scene.say(&["skip", "--step", "site"]).code, 0);
    assert_eq!(scene.status()["standing"], "newest");
    assert_eq!(scene.say(&["skip", "--step", "site", "--rev", "v2"]).code, 0);
    assert_eq!(scene.status()["superseded_by"], "v2");
}

#[test]
fn an_unknown_step_is_refused_with_the_known_ones() {
    let scene = Scene::new(FRAGILE);
    for command in ["skip", "reset"] {
        let (code, text) = refusal(&scene, &[command, "--step", "migrat"]);
        assert_eq!(code, 64);
        insta::allow_duplicates! { assert_snapshot!(text, @r#"--step: there is no step "migrat" in the plan; its steps are site, migrate, assets"#); }
    }
}

#[test]
fn a_failure_of_another_step_survives_a_skip() {
    let scene = failed();
    assert_snapshot!(scene.shown(&["skip", "--step", "assets"]), @"
    step assets of revision v1 is recorded as done by hand
    the failure of migrate stays; `bellwether retry` clears it
    1 step is left
    a replica that is waiting goes on by itself; if none is, start or restart one
    ");
    assert!(scene.has(".failed_v1"));
}

#[test]
fn reset_removes_the_markers() {
    let scene = Scene::new(FRAGILE);
    assert_snapshot!(scene.shown(&["reset"]), @"nothing to reset: revision v1 has no such markers here");
    scene.write("repaired", "");
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
    assert_snapshot!(scene.shown(&["reset", "--step", "migrate"]), @"
    removed .ready_v1
    removed .migrated_v1
    nothing is known of migrate in revision v1 any more
    done all the same, and not run again: assets (after it in the plan)
    a replica that is waiting goes on by itself; if none is, start or restart one
    ");
    assert!(scene.has(".site_done_v1") && !scene.has(".ready_v1"));
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
    assert_snapshot!(scene.shown(&["reset"]), @"
    removed .ready_v1
    removed .site_done_v1
    removed .migrated_v1
    removed .assets_done_v1
    nothing is known of site, migrate, assets in revision v1 any more
    a replica that is waiting goes on by itself; if none is, start or restart one
    ");
    assert_eq!(scene.status()["steps"][0]["state"], "open");
    let history = scene.shown(&["status", "--history"]);
    assert_snapshot!(history.lines().last().unwrap(), @"[time] v1 4 [host] reset .ready_v1 .site_done_v1 .migrated_v1 .assets_done_v1");
}

const DATA: &str = ".bellwether/steps/migrate.data";

#[test]
fn what_a_step_has_written_down_survives_a_reset_and_only_done_clears_it() {
    let scene = Scene::new(FORGETFUL);
    assert_eq!(scene.say(&["run", "--", "true"]).code, 78);
    assert_eq!((scene.read("found").as_str(), scene.read(DATA).as_str()), ("", "begun\n"));
    assert_snapshot!(scene.shown(&["reset", "--step", "migrate"]), @"
    removed .failed_v1
    nothing is known of migrate in revision v1 any more
    kept for migrate: what it has written down, in [volume]/.bellwether/steps/migrate.data
    a replica that is waiting goes on by itself; if none is, start or restart one
    ");
    assert_snapshot!(scene.shown(&["reset"]), @"nothing to reset: revision v1 has no such markers here");
    assert!(!scene.has(".bellwether/steps/migrate.json"), "its counts are gone");
    assert_eq!(scene.say(&["run", "--", "true"]).code, 78);
    assert_eq!(scene.read("found"), "begun\n");
    assert_eq!(scene.say(&["reset"]).code, 0);
    assert_eq!(scene.read(DATA), "begun\n");
    assert_eq!(scene.say(&["skip", "--step", "migrate"]).code, 0);
    assert!(!scene.has(DATA), "a person says that it is done");
    assert!(!scene.shown(&["reset"]).contains("kept"));
}

#[test]
fn a_superseded_revision_is_only_reset() {
    let scene = failed();
    scene.write("repaired", "");
    assert_eq!(scene.say(&["run", "--rev", "v2", "--", "true"]).code, 0);
    for arguments in [&["retry"][..], &["skip", "--step", "migrate"]] {
        let (code, text) = refusal(&scene, arguments);
        assert_eq!(code, 64);
        assert!(text.starts_with("revision v1 is superseded by v2"), "{text}");
    }
    assert_snapshot!(scene.shown(&["reset", "--step", "migrate"]), @"
    removed .failed_v1
    nothing is known of migrate in revision v1 any more
    it is superseded by v2, so it will not run again
    ");
}

#[test]
fn whoever_holds_the_guard_is_named_and_force_does_not_matter() {
    let scene = Scene::new(ENDLESS);
    let leader = scene.leader();
    for arguments in [&["retry"][..], &["skip", "--step", "assets"], &["reset"], &["reset", "--force"]] {
        let (code, text) = refusal(&scene, arguments);
        assert_eq!(code, 75);
        insta::allow_duplicates! { assert_snapshot!(text, @"the guard on [volume] is held by host [host] pid [pid], revision v1, epoch 1, since [time]; nothing was touched. Stop that replica, or wait until it is through"); }
    }
    assert!(scene.has(".migrating_in_progress_v1"));
    leader.signal(Signal::TERM);
    assert_eq!(leader.code(), Some(143));
}

#[test]
fn a_step_that_beat_a_moment_ago_is_touched_with_force_only() {
    let scene = Scene::new(ENDLESS);
    scene.crash();
    for arguments in [&["retry"][..], &["skip", "--step", "migrate"], &["reset"]] {
        let (code, text) = refusal(&scene, arguments);
        assert_eq!(code, 75);
        insta::allow_duplicates! { assert_snapshot!(text, @"step migrate of revision v1 is in progress on host [host], last beat [span] ago; nothing was touched. It counts as abandoned after [span] of silence (STEP_STALE_SECS); wait, or give --force if you know that nobody is at it"); }
    }
    assert_snapshot!(scene.shown(&["retry", "--force"]), @"
    step migrate: attempts count from zero (there were 1)
    a replica that is waiting goes on by itself; if none is, start or restart one
    ");
    assert!(scene.has(".migrating_in_progress_v1"), "whose it was is still told");
    assert_snapshot!(scene.shown(&["skip", "--step", "migrate", "--force"]), @"
    step migrate of revision v1 is recorded as done by hand
    1 step is left
    a replica that is waiting goes on by itself; if none is, start or restart one
    ");
    assert!(scene.has(".migrated_v1") && !scene.has(".migrating_in_progress_v1"));
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
}

#[test]
fn a_fresh_step_is_reset_with_force() {
    let scene = Scene::new(ENDLESS);
    scene.crash();
    assert_snapshot!(scene.shown(&["reset", "--force"]), @"
    removed .migrating_in_progress_v1
    nothing is known of migrate, assets in revision v1 any more
    a replica that is waiting goes on by itself; if none is, start or restart one
    ");
    assert_eq!(scene.status()["steps"][0]["state"], "open");
}

#[test]
fn a_step_that_fell_silent_is_skipped_without_force() {
    let scene = Scene::new(ENDLESS).with("STEP_STALE_SECS", "1");
    scene.crash();
    scene.await_status(|status| status["steps"][0]["state"] == "stale");
    assert_eq!(scene.say(&["skip", "--step", "migrate"]).code, 0);
    assert!(!scene.has(".migrating_in_progress_v1"));
}

//! What a person sees.

use insta::assert_snapshot;
use serde_json::Value;

use crate::scene::{ENDLESS, FRAGILE, Scene};

#[test]
fn nothing_has_begun() {
    let scene = Scene::new(FRAGILE);
    assert_snapshot!(scene.shown(&["status"]), @"
    revision v1: nothing begun, new here
    volume [volume]
    epoch 0
    guard nobody holds it

    STEP STATE
    site not begun
    migrate waiting for site
    assets waiting for migrate
    ");
    assert_eq!(std::fs::read_dir(scene.volume()).unwrap().count(), 0, "a look leaves nothing behind");
    let without_plan = scene.with("BELLWETHER_PLAN", "");
    assert_snapshot!(without_plan.shown(&["status"]), @"
    revision v1: nothing begun, new here
    volume [volume]
    epoch 0
    guard nobody holds it

    no step has begun; with BELLWETHER_PLAN set, every step is shown
    ");
    assert_snapshot!(without_plan.shown(&["status", "--history"]), @"nothing has happened here yet");
}

#[test]
fn a_leader_is_at_work() {
    let scene = Scene::new(ENDLESS);
    let _leader = scene.leader();
    assert_snapshot!(scene.shown(&["status"]), @"
    revision v1: in progress, the newest here
    volume [volume]
    epoch 1
    guard held by host [host] pid [pid], revision v1, epoch 1, since [time]

    STEP STATE AGE LAST BEAT ATTEMPT NOTE
    migrate in progress [span] [span] 1 of 3 epoch 1, on [host]
    assets waiting for migrate
    ");
    let without_plan = scene.with("BELLWETHER_PLAN", "");
    assert_snapshot!(without_plan.shown(&["status"]), @"
    revision v1: in progress, the newest here
    volume [volume]
    epoch 1
    guard held by host [host] pid [pid], revision v1, epoch 1, since [time]

    STEP STATE AGE LAST BEAT ATTEMPT NOTE
    migrate in progress [span] [span] 1 epoch 1, on [host]
    ");
}

#[test]
fn a_leader_has_died() {
    let scene = Scene::new(ENDLESS).with("STEP_STALE_SECS", "1");
    scene.crash();
    assert_eq!(scene.say(&["status"]).out.matches("its leader is gone").count(), 1);
    scene.await_status(|status| status["steps"][0]["state"] == "stale");
    assert_snapshot!(scene.shown(&["status"]), @"
    revision v1: waiting, the newest here
    volume [volume]
    epoch 1
    guard nobody holds it

    STEP STATE AGE LAST BEAT ATTEMPT NOTE
    migrate stale [span] [span] 1 of 3 epoch 1, on [host], its leader is gone
    assets waiting for migrate
    ");
}

#[test]
fn a_step_has_failed() {
    let scene = Scene::new(FRAGILE);
    assert_eq!(scene.say(&["run", "--", "true"]).code, 78);
    assert_snapshot!(scene.shown(&["status"]), @"
    revision v1: failed, the newest here
    volume [volume]
    epoch 1
    guard nobody holds it

    STEP STATE AGE ATTEMPT TOOK NOTE
    site done [span] 1 of 3 [span] ran, epoch 1, on [host]
    migrate failed 2 of 2 [span] last run: exit 3 after [secs] s
    assets waiting for migrate

    step migrate of revision v1 has failed for good: exit 3 after [secs] s, attempt 2
    its last words:
        connecting as ***
    its log: [volume]/.bellwether/log/migrate.log
    to go on:
        bellwether retry # after the repair: counts attempts from zero
        bellwether skip --step migrate # if you have done this step by hand
    ");
    assert_snapshot!(scene.shown(&["status", "--history"]), @"
    TIME REVISION EPOCH HOST EVENT STEP DETAILS
    [time] v1 1 [host] elected
    [time] v1 1 [host] started site attempt 1
    [time] v1 1 [host] done site after [secs] s
    [time] v1 1 [host] started migrate attempt 1
    [time] v1 1 [host] failed migrate exit 3 after [secs] s
    [time] v1 1 [host] started migrate attempt 2
    [time] v1 1 [host] failed migrate exit 3 after [secs] s
    ");
    let without_plan = scene.with("BELLWETHER_PLAN", "");
    assert_snapshot!(without_plan.shown(&["status"]).lines().take(9).collect::<Vec<_>>().join("\n"), @"
    revision v1: failed, the newest here
    volume [volume]
    epoch 1
    guard nobody holds it

    STEP STATE AGE ATTEMPT TOOK NOTE
    migrate failed 2 [span] last run: exit 3 after [secs] s
    site done [span] 1 [span] ran, epoch 1, on [host]
    ");
}

#[test]
fn every_step_is_done() {
    let scene = Scene::new(FRAGILE);
    scene.write("repaired", "");
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
    assert_snapshot!(scene.shown(&["status"]), @"
    revision v1: ready since [time], the newest here
    volume [volume]
    epoch 1
    guard nobody holds it

    STEP STATE AGE ATTEMPT TOOK NOTE
    site done [span] 1 of 3 [span] ran, epoch 1, on [host]
    migrate done [span] 1 of 2 [span] ran, epoch 1, on [host]
    assets done [span] 1 of 3 [span] ran, epoch 1, on [host]
    ");
    let events = scene.say(&["status", "--history", "--json"]).json();
    let kinds: Vec<&str> = events.as_array().unwrap().iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(kinds, ["elected", "started", "done", "started", "done", "started", "done", "ready"]);
}

#[test]
fn a_later_revision_has_begun() {
    let scene = Scene::new(FRAGILE);
    scene.write("repaired", "");
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
    assert_eq!(scene.say(&["run", "--rev", "v2", "--", "true"]).code, 0);
    let shown = scene.shown(&["status"]);
    assert_snapshot!(shown.lines().next().unwrap(), @"revision v1: ready since [time], superseded by v2");
    assert_eq!(scene.status()["superseded_by"], "v2");
}

#[test]
fn markers_that_are_not_ours_are_told_of() {
    let scene = Scene::new(ENDLESS);
    scene.write(".bellwether/claims/x", "");
    scene.write(".migrating_in_progress_v1", r#"{"schema":1,"step":"mig"#);
    scene.write(".assets_done_v1", "2024-05-01");
    scene.write(".building_in_progress_v0", "");
    assert_snapshot!(scene.shown(&["status"]), @"
    revision v1: in progress, new here
    volume [volume]
    epoch 0
    guard nobody holds it

    STEP STATE AGE LAST BEAT
    migrate in progress [span]
    assets done [span]

    also at work:
        building of revision v0: in progress, last beat [span] ago

    problems:
        .building_in_progress_v0 is empty; it counts by its existence and age
        .migrating_in_progress_v1 is cut off; it counts by its existence and age
        .assets_done_v1 is not a marker of ours; it counts by its existence
    ");
}

#[test]
fn something_else_in_a_markers_place_is_an_error_that_names_it() {
    let scene = Scene::new(ENDLESS);
    std::fs::create_dir(scene.volume().join(".migrated_v1")).unwrap();
    let said = scene.say(&["status"]);
    assert_eq!((said.code, said.out.as_str()), (74, ""));
    assert_snapshot!(scene.redact(&said.err), @"[volume]/.migrated_v1 is a directory where a regular file is expected; move it away");
}

#[test]
fn who_may_only_read_sees_the_same() {
    let scene = Scene::new(ENDLESS);
    let _leader = scene.leader();
    let Some(said) = scene.say_as_nobody(&["status"]) else { return };
    assert_eq!(said.code, 0, "{said:?}");
    assert_snapshot!(scene.redact(&said.out), @"
    revision v1: in progress, the newest here
    volume [volume] (not writable here: beats are compared with the local clock)
    epoch 1
    guard held by host [host] pid [pid], revision v1, epoch 1, since [time]

    STEP STATE AGE LAST BEAT ATTEMPT NOTE
    migrate in progress [span] [span] 1 of 3 epoch 1, on [host]
    assets waiting for migrate

    problems:
        .bellwether/steps/migrate.json cannot be read by this user; counts and back-off of that step are not shown
    ");
}

#[test]
fn only_revision_and_volume_are_needed() {
    let scene = Scene::new(FRAGILE).with("BELLWETHER_PLAN", "").with("BELLWETHER_REDIS_URL", "none");
    assert_eq!(scene.say(&["status"]).code, 0);
    let said = scene.say_with(&[("IMAGE_REV", "../x"), ("STEP_STALE_SECS", "soon")], &["status"]);
    assert_eq!(said.code, 64);
    assert_snapshot!(said.err, @r#"
    there are 2 problems with the settings; nothing was touched
      IMAGE_REV: holds '.' at position 1; allowed are letters, digits and, after the first, '.', '_' and '-'
      STEP_STALE_SECS: "soon" is no number of seconds; write digits alone, such as 30 or 0.5
    "#);
    let said = scene.say_with(&[("BELLWETHER_VOLUME", "/nowhere/at/all")], &["status"]);
    assert_eq!(said.code, 74, "{said:?}");
}

fn keys(value: &Value) -> String {
    let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.join(" ")
}

#[test]
fn the_keys_of_the_json_are_stable() {
    let scene = Scene::new(ENDLESS);
    scene.write(".building_in_progress_v0", "");
    let blank = scene.status();
    assert_snapshot!(keys(&blank), @"schema revision volume state standing superseded_by ready_at epoch clock guard lease steps others failure problems");
    assert_snapshot!(keys(&blank["steps"][0]), @"name state waiting_for wait_secs age_secs beat_age_secs attempt for_good max_attempts duration_ms how last_end epoch host pid started_at finished_at parts undo");
    assert_snapshot!(keys(&blank["others"][0]), @"step revision is_stale beat_age_secs host epoch");
    assert_snapshot!(keys(&blank["guard"]), @"state pid last_taken_by");
    std::fs::remove_file(scene.volume().join(".building_in_progress_v0")).unwrap();
    let _leader = scene.leader();
    let status = scene.status();
    assert_eq!([keys(&status), keys(&status["steps"][0])], [keys(&blank), keys(&blank["steps"][0])]);
    assert_snapshot!(keys(&status["guard"]["last_taken_by"]), @"replica epoch rev since");
    assert_eq!(status["steps"][0]["attempt"], 1);
    assert!(status["steps"][0]["beat_age_secs"].is_f64(), "{status}");
}

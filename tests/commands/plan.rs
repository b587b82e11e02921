//! What `run` would do.

use insta::assert_snapshot;

use crate::scene::{ENDLESS, FRAGILE, Scene};

fn table(scene: &Scene) -> String {
    let shown = scene.shown(&["plan"]);
    let lines = shown.lines().filter(|line| !line.starts_with("election") && !line.starts_with("plan"));
    lines.take_while(|line| !line.ends_with(':')).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

#[cfg(feature = "redis")]
#[test]
fn on_an_empty_volume_it_would_lead() {
    let scene = Scene::new(&FRAGILE.replace(r#""steps""#, r#""needs": ["redis://u:hunter33@db:1"], "steps""#));
    let shown = scene.shown(&["plan"]);
    let shown: Vec<&str> = shown.lines().filter(|line| !line.starts_with("election")).collect();
    assert_snapshot!(shown.join("\n"), @"
    run would lead: nobody holds the guard
    revision v1
    plan shop (digest 5b57c8427ec32e53)
    volume [volume]
    needs redis://u:***@db:1 (waited for [span])

    STEP ACTION WHY ATTEMPTS LEFT
    site run not begun 3 of 3
    migrate wait for site 2 of 2
    assets wait for migrate 3 of 3

    site:
        run true

    migrate:
        run sh -c 'echo connecting as ***; test -e $BELLWETHER_VOLUME/repaired || exit 3'
        env COLOUR='light blue'
        env DB_PASSWORD=***
        env PIN_KEY=***
        after site

    assets:
        run true
        after migrate
    ");
    let json = scene.say(&["plan", "--json"]);
    assert!(!json.out.contains("hunter") && !json.out.contains("123"), "{}", json.out);
    assert_eq!(json.json()["verdict"], "lead");
    assert_eq!(json.json()["steps"][1]["env"]["COLOUR"], "light blue");
    assert_eq!(std::fs::read_dir(scene.volume()).unwrap().count(), 0, "a look leaves nothing behind");
}

#[test]
fn beside_a_leader_it_would_follow() {
    let scene = Scene::new(ENDLESS);
    let _leader = scene.leader();
    assert_snapshot!(table(&scene), @"
    run would follow: the guard is held by host [host] pid [pid], revision v1, epoch 1, since [time]
    revision v1
    volume [volume]

    STEP ACTION WHY ATTEMPTS LEFT
    migrate wait in progress on [host], last beat [span] ago 2 of 3
    assets wait for migrate 3 of 3
    ");
}

#[test]
fn what_fell_silent_would_be_taken_over() {
    let scene = Scene::new(ENDLESS).with("STEP_STALE_SECS", "1");
    scene.crash();
    scene.await_status(|status| status["steps"][0]["state"] == "stale");
    assert_snapshot!(table(&scene), @"
    run would lead: nobody holds the guard
    revision v1
    volume [volume]

    STEP ACTION WHY ATTEMPTS LEFT
    migrate take over its leader on [host] has been silent for [span] 2 of 3
    assets wait for migrate 3 of 3
    ");
}

#[test]
fn beside_work_of_another_revision_it_would_wait() {
    let scene = Scene::new(ENDLESS);
    scene.write(".building_in_progress_v0", "");
    assert_snapshot!(table(&scene), @"
    run would lead: nobody holds the guard
    revision v1
    volume [volume]

    STEP ACTION WHY ATTEMPTS LEFT
    migrate wait while step building of revision v0 is in progress 3 of 3
    assets wait for migrate 3 of 3
    ");
}

#[test]
fn after_a_failure_it_would_refuse() {
    let scene = Scene::new(FRAGILE);
    assert_eq!(scene.say(&["run", "--", "true"]).code, 78);
    assert_snapshot!(table(&scene), @"
    run would refuse: a step has failed for good: exit 78; `bellwether retry` clears that
    revision v1
    volume [volume]

    STEP ACTION WHY ATTEMPTS LEFT
    site skip done (ran)
    migrate refuse it has failed for good: exit 3 after [secs] s 0 of 2
    assets wait for migrate 3 of 3
    ");
}

#[test]
fn a_ready_revision_would_be_handed_off() {
    let scene = Scene::new(FRAGILE);
    scene.write("repaired", "");
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
    assert_snapshot!(table(&scene), @"
    run would hand off to the command at once: the revision is ready
    revision v1
    volume [volume]

    STEP ACTION WHY
    site skip done (ran)
    migrate skip done (ran)
    assets skip done (ran)
    ");
    assert_eq!(scene.say(&["run", "--rev", "v2", "--", "true"]).code, 0);
    let verdict = |env: &[(&str, &str)]| {
        let forecast = scene.say_with(env, &["plan", "--json"]).json();
        format!("{} {}", forecast["verdict"], forecast["reason"])
    };
    assert_snapshot!(verdict(&[]), @r#""hand_off" "the revision is ready; with a warning, as v2 has begun since""#);
    assert_snapshot!(verdict(&[("BELLWETHER_ON_DOWNGRADE", "refuse")]), @r#""refuse" "v2 has begun since (BELLWETHER_ON_DOWNGRADE=refuse)""#);
    assert_snapshot!(verdict(&[("BELLWETHER_ALLOW_ROLLBACK", "1")]), @r#""lead" "nobody holds the guard; it goes back from v2 (BELLWETHER_ALLOW_ROLLBACK)""#);
    assert_snapshot!(verdict(&[("IMAGE_REV", "v3"), ("IS_LEADER", "0")]), @r#""follow" "this replica never leads (IS_LEADER is not 1)""#);
    std::fs::remove_file(scene.volume().join(".ready_v1")).unwrap();
    assert_snapshot!(verdict(&[]), @r#""follow" "superseded by v2: it never leads, and waits for its own ready marker""#);
}

#[test]
fn the_schema_needs_no_settings() {
    let said = Scene::new("").with("IMAGE_REV", "").say(&["plan", "--schema"]);
    assert_eq!(said.code, 0);
    assert_eq!(said.json()["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn a_step_that_failed_for_good_is_refused_though_attempts_are_left() {
    let run = r#"printf '{"undo": ["restore a.sql"]}' >$BELLWETHER_RECORD; exit 78"#;
    let plan = serde_json::json!({ "name": "shop", "steps": [{ "name": "migrate", "run": ["sh", "-c", run] }] });
    let scene = Scene::new(&plan.to_string());
    assert_eq!(scene.say(&["run", "--", "true"]).code, 78);
    let status = scene.shown(&["status"]);
    assert!(status.contains("migrate failed 1 of 3 [span] last run: exit 78: for good, after [secs] s"), "{status}");
    // As if its leader had died before it could say so.
    std::fs::remove_file(scene.volume().join(".failed_v1")).unwrap();
    assert_snapshot!(table(&scene).lines().last().unwrap(), @"migrate refuse its last run has failed for good (exit 78) 0 of 3");
    assert!(scene.shown(&["status"]).contains("last run: exit 78: for good\n    undo: restore a.sql"));
    assert!(scene.shown(&["retry"]).contains("attempts count from zero (there were 1)"));
    assert_snapshot!(table(&scene).lines().last().unwrap(), @"migrate run the last run: exit 78: for good 3 of 3");
    assert_eq!(scene.say(&["skip", "--step", "migrate"]).code, 0);
    assert_eq!(scene.status()["steps"][0]["undo"], serde_json::json!(["restore a.sql"]));
}

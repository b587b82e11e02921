//! `status --watch`: what changes, as it changes.

use crate::scene::{ENDLESS, FRAGILE, Scene};

#[test]
fn changes_are_told_line_by_line() {
    let scene = Scene::new(FRAGILE);
    let (_watch, lines) = scene.stream(&["status", "--watch"]);
    lines.await_line("revision v1: nothing begun");
    lines.await_line("assets");
    assert_eq!(scene.say(&["run", "--", "true"]).code, 78);
    let line = lines.await_line("revision v1:");
    assert!(line.contains("failed") || line.contains("progress") || line.contains("waiting"), "{line}");
    lines.await_line("migrate: failed, attempt 2 of 2, last run: exit 3");
}

#[test]
fn a_step_is_followed_part_by_part() {
    let scene = Scene::new(ENDLESS);
    let _leader = scene.leader();
    let (_watch, lines) = scene.stream(&["status", "--watch"]);
    lines.await_line("assets");
    for state in ["running", "done"] {
        let told = format!(r#"{{"parts": [{{"name": "north", "state": "{state}", "note": "12 tables"}}]}}"#);
        scene.write(".bellwether/steps/migrate.data", &told);
        lines.await_line(&format!("migrate, north: {state}, 12 tables"));
    }
}

#[test]
fn documents_come_one_a_line() {
    let scene = Scene::new(ENDLESS);
    let (_watch, lines) = scene.stream(&["status", "--watch", "--json"]);
    let first: serde_json::Value = serde_json::from_str(&lines.await_line("{")).unwrap();
    assert_eq!(first["state"], "nothing_begun");
    let _leader = scene.leader();
    let next: serde_json::Value = serde_json::from_str(&lines.await_line("in_progress")).unwrap();
    assert_eq!(next["steps"][0]["name"], "migrate");
}

#[test]
fn the_history_goes_on() {
    let scene = Scene::new(FRAGILE);
    let (_watch, lines) = scene.stream(&["status", "--watch", "--history"]);
    scene.write("repaired", "");
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
    lines.await_line("elected");
    lines.await_line("ready");
    assert_eq!(scene.say(&["reset"]).code, 0);
    lines.await_line("reset");
}

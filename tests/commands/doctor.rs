//! What keeps replicas from starting.

use std::fs;
use std::process::Command;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::scene::{FRAGILE, Said, Scene};

const PLAN: &str = r#"{ "name": "shop", "steps": [
    { "name": "site", "run": ["sh", "-c", "true"] },
    { "name": "migrate", "run": ["true"], "check": ["false"], "env": { "DB_PASSWORD": "hunter22" } } ] }"#;

/// The text, without what is another one on each machine.
pub(crate) fn shown(scene: &Scene, said: &Said) -> String {
    let lines = scene.redact(&said.out);
    let known = |line: &str| {
        if line.ends_with("MiB are free") {
            return "ok volume [space] MiB are free".to_owned();
        }
        match line.split_once(": ") {
            Some((head, tail)) if tail.contains("keeps the locks") || tail.contains("is a container's own layer") => {
                format!("{head}: [locks]")
            }
            _ => line.to_owned(),
        }
    };
    lines.lines().filter(|line| !line.contains("THE VOLUME IS NOT MOUNTED")).map(known).collect::<Vec<_>>().join("\n")
}

/// The lines about something, with their repairs.
pub(crate) fn about(said: &Said, what: &str) -> Vec<Value> {
    said.json().as_array().unwrap().iter().filter(|finding| finding["what"] == what).cloned().collect()
}

/// The first failure, as `state what: seen -> repair`.
pub(crate) fn failure(said: &Said) -> String {
    let found = said.json();
    let first = found.as_array().unwrap().iter().find(|finding| finding["state"] == "fail");
    let first = first.unwrap_or_else(|| panic!("nothing has failed: {found}"));
    let text = |key: &str| first[key].as_str().unwrap().to_owned();
    format!("{}: {} -> {}", text("what"), text("seen"), text("repair"))
}

fn names(scene: &Scene) -> Vec<String> {
    fs::read_dir(scene.volume()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn all_is_well() {
    let scene = Scene::new(PLAN);
    let said = scene.say(&["doctor", "--", "sh", "-c", "x"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let text = shown(&scene, &said).replace("/usr/bin/sh", "/bin/sh");
    assert_snapshot!(text, @"
    ok settings revision v1, plan shop of 2 steps
    ok volume [volume]: [locks]
    ok volume this user can create, rename, link, lock, sync and remove files
    ok volume [space] MiB are free
    ok revision nothing of v1 has begun here
    ok Redis no Redis is configured: the guard on the volume alone elects the leader
    ok command /bin/sh
    ok programs sh, true, false: found
    ok container pid [pid]; orphans of steps come to whoever leads
    ");
    assert_eq!(names(&scene), Vec::<String>::new(), "nothing is left");
    let said = scene.say(&["doctor", "--json"]);
    let first = json!({"what": "settings", "state": "ok", "seen": "revision v1, plan shop of 2 steps", "repair": null});
    assert_eq!(said.json()[0], first);
}

#[test]
fn a_ready_revision_is_well_and_nothing_on_its_volume_is_changed() {
    let scene = Scene::new(PLAN);
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
    let all = || {
        let listed = Command::new("find").arg(scene.volume()).args(["-printf", "%p %i %s %T@\n"]).output().unwrap();
        String::from_utf8(listed.stdout).unwrap()
    };
    // The root itself is touched by what is tried there.
    let files =
        |text: String| text.lines().filter(|line| line.contains("/volume/")).map(str::to_owned).collect::<Vec<_>>();
    let before = files(all());
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(about(&said, "revision")[0]["seen"].as_str().unwrap().starts_with("v1 is ready since "), "{said:?}");
    let (before, after) = (before, files(all()));
    // Every look asks the volume what time it is.
    let is_lasting = |line: &&String| !line.contains("/.bellwether/clock ");
    assert_eq!(
        before.iter().filter(is_lasting).collect::<Vec<_>>(),
        after.iter().filter(is_lasting).collect::<Vec<_>>()
    );
}

#[test]
fn mistakes_of_the_settings_are_all_told_as_run_tells_them() {
    let scene = Scene::new(PLAN).with("STEP_STALE_SECS", "x").with("BELLWETHER_LOG", "loud");
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!(said.code, 64, "{said:?}");
    let of_run = scene.say(&["run", "--", "true"]).err;
    let settings = about(&said, "settings");
    assert_eq!(settings.len(), 2);
    for finding in &settings {
        let seen = finding["seen"].as_str().unwrap();
        assert!(of_run.contains(&format!("\n  {seen}")) && finding["state"] == "fail", "{seen}\n{of_run}");
        assert!(!finding["repair"].as_str().unwrap().is_empty());
    }
    // What is right is looked at all the same.
    assert_eq!(about(&said, "programs")[0]["seen"], "sh, true, false: found");
    assert_eq!(about(&said, "revision")[0]["seen"], "nothing of v1 has begun here");
    let warned = scene.say_with(
        &[("STEP_STALE_SECS", "900"), ("BELLWETHER_LOG", ""), ("FOLLOWER_WAIT_SECS", "3")],
        &["doctor", "--json"],
    );
    assert_eq!(warned.code, 0, "{warned:?}");
    let states: Vec<Value> = about(&warned, "settings").iter().map(|finding| finding["state"].clone()).collect();
    assert_eq!(states, ["ok", "warn", "warn"]);
}

#[test]
fn a_failed_revision_is_told_with_the_commands_to_go_on() {
    let scene = Scene::new(FRAGILE);
    assert_eq!(scene.say(&["run", "--", "true"]).code, 78);
    let said = scene.say(&["doctor"]);
    assert_eq!(said.code, 78, "{said:?}");
    let text = shown(&scene, &said);
    let from = text.find("fail revision").unwrap();
    assert_snapshot!(text[from..].split("\nok Redis").next().unwrap(), @"
    fail revision step migrate of revision v1 has failed for good: exit 3 after [secs] s, attempt 2
          its last words:
              connecting as ***
          its log: [volume]/.bellwether/log/migrate.log
          to go on:
              bellwether retry # after the repair: counts attempts from zero
              bellwether skip --step migrate # if you have done this step by hand
    ");
    assert!(!said.out.contains("hunter22"), "{said:?}");
}

#[test]
fn a_volume_that_is_none_ends_as_run_would() {
    let scene = Scene::new(PLAN);
    let path = scene.volume().display().to_string();
    let asked = |path: &str| scene.say_with(&[("BELLWETHER_VOLUME", path)], &["doctor", "--json"]);
    fs::remove_dir(scene.volume()).unwrap();
    let said = asked(&path);
    assert_eq!(said.code, 74);
    assert_snapshot!(scene.redact(&failure(&said)), @"volume: the volume [volume] does not exist -> mount it there, or set BELLWETHER_VOLUME to where it is");
    fs::write(scene.volume(), "").unwrap();
    let said = asked(&path);
    assert_eq!(said.code, 74);
    assert_snapshot!(scene.redact(&failure(&said)), @"volume: [volume] is a file, not a directory -> move it away or set BELLWETHER_VOLUME to another place");
    assert_eq!(about(&said, "programs")[0]["state"], "ok", "the rest is looked at");
}

#[test]
fn a_volume_that_this_user_cannot_write_is_told_with_the_repair() {
    let scene = Scene::new(PLAN);
    let Some(said) = scene.say_as_nobody(&["doctor", "--json"]) else { return };
    assert_eq!(said.code, 77, "{said:?}");
    assert_snapshot!(scene.redact(&failure(&said)), @"volume: cannot create a file in [volume] (owner 0:0, mode 0755) as uid 65534, gid 65534: Permission denied (os error 13) -> give the volume to this user: docker run --rm -v VOLUME:/mnt/tmp busybox chown -R 65534:65534 /mnt/tmp");
    let Some(said) = scene.with("IS_LEADER", "0").say_as_nobody(&["doctor", "--json"]) else { return };
    assert_eq!(said.code, 0, "whoever never leads need not write: {said:?}");
}

#[test]
fn what_stands_in_the_way_on_the_volume_is_told() {
    let scene = Scene::new(PLAN);
    scene.write(".bellwether/id", "mine\n");
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!(said.code, 74, "{said:?}");
    assert!(failure(&said).contains("id holds no uuid -> remove it"), "{said:?}");
    let scene = Scene::new(PLAN).with("BELLWETHER_VOLUME_LOCKS", "untrusted");
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!(said.code, 64);
    assert!(failure(&said).contains("BELLWETHER_VOLUME_LOCKS: untrusted locks cannot elect"), "{said:?}");
}

#[test]
fn a_later_revision_is_told() {
    let scene = Scene::new(PLAN);
    for rev in ["v1", "v2"] {
        assert_eq!(scene.say_with(&[("IMAGE_REV", rev)], &["run", "--", "true"]).code, 0);
    }
    let said = scene.say(&["doctor", "--json"]);
    let revision = about(&said, "revision");
    assert_eq!((said.code, &revision[1]["state"]), (0, &json!("warn")), "{said:?}");
    assert_eq!(revision[1]["seen"], "v2 has begun since, so v1 does not lead");
    let refused = scene.say_with(&[("BELLWETHER_ON_DOWNGRADE", "refuse")], &["doctor", "--json"]);
    assert_eq!(refused.code, 64, "{refused:?}");
}

#[test]
fn programs_that_are_missing_are_told_each() {
    let plan = r#"{ "steps": [
        { "name": "a", "run": ["no-such-program"], "check": ["true"] },
        { "name": "b", "run": ["/etc/passwd"] },
        { "name": "c", "run": ["true"], "cwd": "/no/such/place" },
        { "name": "d", "run": ["true"], "user": "no-such-user" },
        { "name": "e", "run": ["sh"], "env": { "PATH": "/no/such/place" } } ] }"#;
    let scene = Scene::new(plan);
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!(said.code, 127, "{said:?}");
    let programs: Vec<String> = about(&said, "programs")
        .iter()
        .map(|finding| format!("{} {}", finding["state"].as_str().unwrap(), finding["seen"].as_str().unwrap()))
        .collect();
    assert_snapshot!(programs.join("\n"), @r#"
    fail step a: cannot execute "no-such-program": not found in PATH
    fail step b: cannot execute "/etc/passwd": permission denied (not executable for this user, or a directory)
    fail step c: cannot enter /no/such/place: No such file or directory (os error 2)
    fail step d: user "no-such-user" is unknown here (no such name or number in /etc/passwd)
    fail step e: cannot execute "sh": not found in PATH
    ok true: found
    "#);
    let said = scene.say_with(&[("IS_LEADER", "0")], &["doctor", "--json"]);
    assert_eq!(said.code, 0, "whoever never leads runs no step: {said:?}");
    let said = scene.say_with(&[("IS_LEADER", "0")], &["doctor", "--json", "--", "/etc/passwd"]);
    assert_eq!(said.code, 126);
    assert!(failure(&said).starts_with("command: cannot execute \"/etc/passwd\": permission denied"), "{said:?}");
}

#[test]
fn needs_that_are_not_met_are_told_each() {
    let plan =
        r#"{ "needs": ["file:///no/such/file", "file:///etc/passwd"], "steps": [{ "name": "a", "run": ["true"] }] }"#;
    let scene = Scene::new(plan);
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!(said.code, 75, "{said:?}");
    assert_snapshot!(failure(&said), @"needs: file:///no/such/file: is not there -> is it up? look at `needs` in the plan");
    assert_eq!(about(&said, "needs")[1]["seen"], "file:///etc/passwd is there");
    assert_eq!(scene.say_with(&[("IS_LEADER", "0")], &["doctor"]).code, 0, "whoever never leads waits for none");
}

#[test]
fn settings_that_cannot_be_read_do_not_hold_it_up() {
    let scene = Scene::new(PLAN);
    let pipe = scene.volume().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let said = scene.say_with(&[("BELLWETHER_PLAN", pipe.to_str().unwrap())], &["doctor", "--json"]);
    assert_eq!(said.code, 74, "{said:?}");
    assert_snapshot!(failure(&said), @"settings: could not be read within 3 s: a file that they name, or the volume, hangs -> look at the mounts of BELLWETHER_PLAN, of the files of secrets and of the volume");
    assert_eq!(about(&said, "revision")[0]["seen"], "nothing of v1 has begun here");
}

#[test]
fn a_volume_that_hangs_does_not_hold_it_up() {
    let scene = Scene::new(PLAN);
    let hang = "inject=statfs:delay_enter=36000000000";
    let doctor = [env!("CARGO_BIN_EXE_bellwether"), "doctor"];
    let strace = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=statfs", "-e", hang];
    // Its end is held up by the tracer, whose thread it is that hangs; what it says is not.
    let (_strace, lines) = scene.stream_of("strace", &[&strace[..], &doctor].concat());
    assert_eq!(lines.await_line("fail  volume"), "fail  volume     did not answer within 6 s");
    lines.await_line("the mount hangs");
    lines.await_line("ok    container");
}

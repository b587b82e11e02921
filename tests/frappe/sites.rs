//! Several sites: one election, each its own progress.

use std::fs;

use serde_json::{Value, json};

use crate::kill::{let_go, wait_stopped};
use crate::stack::{Image, Stack};
use crate::trace::{Call, Trace};
use crate::wait::wait_until;

fn quick(sites: &str) -> Stack {
    let stack = Stack::new().without("SITE").env("SITES", sites);
    stack.env("STANDIN_SPEED", "20").env("APPS", "alpha").env("BELLWETHER_ASSETS", "skip")
}

/// The sites that such calls were for, in their order.
fn of_sites(trace: &Trace, command: &str) -> Vec<String> {
    trace.made(command).into_iter().map(|call| site_of(call).to_owned()).collect()
}

/// `--site SITE …` and `new-site SITE …`.
fn site_of(call: &Call) -> &str {
    &call.argv[1]
}

/// Name, state and note of each part of a step, as told by `status`, by a marker or by a failure.
fn parts(told: &Value) -> Vec<[&str; 3]> {
    let parts = told["parts"].as_array().unwrap();
    parts.iter().map(|part| ["name", "state", "note"].map(|key| part[key].as_str().unwrap_or_default())).collect()
}

fn step(stack: &Stack, name: &str) -> Value {
    let status: Value = serde_json::from_str(&stack.bellwether(&["status", "--json"]).1).unwrap();
    status["steps"].as_array().unwrap().iter().find(|step| step["name"] == name).unwrap().clone()
}

fn since(stack: &Stack, calls: usize) -> Trace {
    Trace(stack.trace().0.split_off(calls))
}

#[test]
fn each_site_is_created_and_the_first_is_the_default_one() {
    let stack = quick("c a, b");
    let log = stack.boot_well();
    let trace = stack.trace();
    for command in ["new-site", "install-app", "migrate", "clear-cache"] {
        assert_eq!(of_sites(&trace, command), ["c", "a", "b"], "{command}");
    }
    let all = stack.check_all(&[]);
    assert_eq!(all["default_site"], "c");
    for site in ["a", "b", "c"] {
        let site = &all["sites"][site];
        assert_eq!((&site["whole"], &site["maintenance"]), (&true.into(), &0.into()), "{site}");
        assert_eq!(site["apps"], json!(["frappe", "alpha"]));
    }
    assert_eq!(
        parts(&stack.json(".site_created_v1")),
        [["c", "done", "created"], ["a", "done", "created"], ["b", "done", "created"]]
    );
    assert!(log.contains("c is the default site") && log.contains("a: bench new-site a"), "{log}");
    // Somebody else's choice is left to him.
    assert!(stack.bench_call(&["use", "b"]).status.success());
    let stack = stack.env("IMAGE_REV", "v2");
    stack.boot_well();
    assert_eq!(stack.check_all(&[])["default_site"], "b");
}

/// How many sites were worked on at once, at most.
fn most_at_once(trace: &Trace) -> usize {
    let calls: Vec<&Call> = trace.0.iter().filter(|call| !call.has("--help") && call.end.is_some()).collect();
    let at_once = |at: u64| {
        let mut sites: Vec<&str> = calls
            .iter()
            .filter(|call| call.begun <= at && at < call.end.unwrap().0)
            .map(|call| site_of(call))
            .collect();
        sites.sort_unstable();
        sites.dedup();
        sites.len()
    };
    calls.iter().map(|call| at_once(call.begun)).max().unwrap()
}

#[test]
fn as_many_sites_are_worked_on_at_once_as_the_settings_say() {
    let stack = quick("a b c d").env("BELLWETHER_SITE_JOBS", "2").env("STANDIN_STOP_AT", "new-site:schema");
    let mut replica = stack.start();
    wait_stopped(&stack, &mut replica);
    // One is held; the other worker goes through all the rest.
    let created = || stack.trace().made("new-site").iter().filter(|call| call.end.is_some()).count();
    wait_until("three sites", || created() == 3);
    assert!(!stack.has(".site_created_v1"));
    let_go(&stack);
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    let trace = stack.trace();
    assert_eq!(most_at_once(&trace), 2);
    for command in ["new-site", "install-app", "migrate"] {
        let mut sites = of_sites(&trace, command);
        sites.sort();
        assert_eq!(sites, ["a", "b", "c", "d"], "{command}");
    }
    let alone = quick("a b c");
    alone.boot_well();
    assert_eq!(most_at_once(&alone.trace()), 1);
}

/// b is there, and neither whole nor ours.
fn with_half_a_site(stack: &Stack) {
    fs::create_dir(stack.path("b")).unwrap();
}

#[test]
fn one_failing_site_does_not_hide_what_is_done_and_only_open_sites_are_worked_on_again() {
    let table = [
        ("stop", [["a", "done", "created"], ["b", "failed", ""], ["c", "waiting", ""]], ["b", "c"].as_slice()),
        ("continue", [["a", "done", "created"], ["b", "failed", ""], ["c", "done", "created"]], &["b"]),
    ];
    for (policy, expected, open) in table {
        let stack = quick("a b c").env("BELLWETHER_ON_SITE_FAILURE", policy);
        with_half_a_site(&stack);
        let (code, log) = stack.boot();
        assert_eq!(code, 78, "{log}");
        let failed = stack.json(".failed_v1");
        assert_eq!((&failed["step"], &failed["attempts"]), (&"site".into(), &1.into()));
        let without_notes = |parts: Vec<[&str; 3]>| {
            parts.into_iter().map(|[name, state, _]| format!("{name} {state}")).collect::<Vec<_>>()
        };
        let wanted = without_notes(expected.to_vec());
        assert_eq!(without_notes(parts(&failed)), wanted, "{policy}");
        assert_eq!(without_notes(parts(&step(&stack, "site"))), wanted, "{policy}");
        assert!(parts(&failed)[1][2].starts_with("b is neither whole"), "{failed}");
        assert!(log.contains("b: b is neither whole"), "{log}");
        let (_, shown, _) = stack.bellwether(&["status"]);
        for [name, state, _] in expected {
            assert!(
                shown.lines().any(|line| line.trim_start().starts_with(&format!("{name}: {state}"))),
                "{name}: {shown}"
            );
        }
        let calls = stack.trace().0.len();
        stack.plant("a", "kept");
        fs::remove_dir(stack.path("b")).unwrap();
        assert_eq!(stack.bellwether(&["retry"]).0, 0);
        stack.boot_well();
        assert_eq!(of_sites(&since(&stack, calls), "new-site"), open, "{policy}");
        assert_eq!(stack.check("a")["canary"], json!(["kept"]));
        assert_eq!(stack.check_all(&[])["default_site"], "a");
    }
}

#[test]
fn after_a_migration_that_failed_in_one_site_all_are_looked_at_again() {
    let stack = quick("a b c");
    stack.boot_well();
    stack.make_image("v2", &Image::default());
    let stack = stack.env("IMAGE_REV", "v2").env("STANDIN_FAIL_AT", "migrate:schema:1");
    let stack = stack.env("BELLWETHER_ON_SITE_FAILURE", "continue").env("BELLWETHER_BACKUP", "1");
    let calls = stack.trace().0.len();
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    assert_eq!(of_sites(&since(&stack, calls), "migrate"), ["a", "b", "c"]);
    let failed = stack.json(".failed_v2");
    let states: Vec<&str> = parts(&failed).into_iter().map(|[_, state, _]| state).collect();
    assert_eq!(states, ["failed", "done", "done"]);
    assert_eq!(["a", "b", "c"].map(|site| stack.check(site)["maintenance"].clone()), [1, 0, 0].map(Value::from));
    assert_eq!(failed["undo"].as_array().unwrap().len(), 4, "a release is undone in all sites");
    let calls = stack.trace().0.len();
    assert_eq!(stack.bellwether(&["retry"]).0, 0);
    stack.boot_well();
    // Somebody may have brought back what was before of every site; what has been open since has new data to be saved.
    assert_eq!(of_sites(&since(&stack, calls), "migrate"), ["a", "b", "c"]);
    assert_eq!(of_sites(&since(&stack, calls), "backup"), ["b", "c"]);
    assert_eq!(["a", "b", "c"].map(|site| stack.check(site)["maintenance"].clone()), [0, 0, 0].map(Value::from));
    let notes = stack.json(".migrated_v2");
    assert!(
        parts(&notes).iter().all(|[_, state, note]| *state == "done" && note.starts_with("migrated, backup /")),
        "{notes}"
    );
}

#[test]
fn status_tells_of_each_site_while_it_is_being_made() {
    let stack = quick("a b c").env("STANDIN_STOP_AT", "new-site:schema");
    let mut replica = stack.start();
    wait_stopped(&stack, &mut replica);
    assert_eq!(
        parts(&step(&stack, "site")),
        [["a", "running", "creating"], ["b", "waiting", ""], ["c", "waiting", ""]]
    );
    let (_, shown, _) = stack.bellwether(&["status"]);
    let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with("    ")).map(str::trim).collect();
    assert_eq!(lines, ["a  running  creating", "b  waiting", "c  waiting"], "{shown}");
    let_go(&stack);
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    let (_, shown, _) = stack.bellwether(&["status"]);
    assert_eq!(shown.matches("created").count(), 3, "{shown}");
}

#[test]
fn a_site_that_comes_with_a_new_revision_is_the_only_one_created() {
    let stack = quick("a b");
    stack.boot_well();
    stack.make_image("v2", &Image::default());
    let stack = stack.env("SITES", "a b c").env("IMAGE_REV", "v2");
    let calls = stack.trace().0.len();
    stack.boot_well();
    let trace = since(&stack, calls);
    assert_eq!(of_sites(&trace, "new-site"), ["c"]);
    assert_eq!(of_sites(&trace, "install-app"), ["c"]);
    assert_eq!(of_sites(&trace, "migrate"), ["a", "b", "c"]);
    assert_eq!(
        parts(&stack.json(".site_created_v2")),
        [["a", "done", "exists"], ["b", "done", "exists"], ["c", "done", "created"]]
    );
}

//! `bellwether doctor` in an image with a bench.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::stack::{ADMIN_PASSWORD, Image, ROOT_PASSWORD, Stack};

/// Exit code and findings; no secret is in them.
fn ask(stack: &Stack) -> (i32, Vec<Value>) {
    let (code, out, err) = stack.bellwether(&["doctor", "--json"]);
    for secret in [ADMIN_PASSWORD, ROOT_PASSWORD, "wr0ng-of-the-database"] {
        assert!(!out.contains(secret) && !err.contains(secret), "{out}{err}");
    }
    (code, serde_json::from_str(&out).unwrap())
}

/// What was found of something: `state seen -> repair`, if there is one, a line each.
fn about(findings: &[Value], what: &str) -> String {
    let lines = findings.iter().filter(|finding| finding["what"] == what).map(|finding| {
        let text = |key: &str| finding[key].as_str().unwrap_or_default();
        format!("{} {} -> {}", text("state"), text("seen"), text("repair")).trim_end_matches(" -> ").to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A `PATH` that holds these programs and no others.
fn path_of(stack: &Stack, programs: &[&str]) -> String {
    let directory = stack.scratch().join("programs");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    for program in programs {
        symlink("/bin/true", directory.join(program)).unwrap();
    }
    directory.display().to_string()
}

#[test]
fn all_is_well_and_nothing_is_begun() {
    let stack = Stack::new();
    let path = path_of(&stack, &["mysqldump", "mariadb", "file", "node", "yarn"]);
    let stack = stack.env("PATH", &format!("{path}:/usr/bin:/bin"));
    let before = stack.markers();
    let (code, findings) = ask(&stack);
    assert_eq!(code, 0, "{findings:?}");
    assert_eq!(about(&findings, "bench programs").lines().count(), 1, "{findings:?}");
    assert_eq!(about(&findings, "servers"), "ok the database server, the cache's Redis, the queue's Redis: let us in");
    assert_eq!(stack.markers(), before);
    assert!(stack.trace().0.is_empty(), "bench was not called");
    assert_eq!(stack.queue.cli(&["KEYS", "*"]), "");
}

#[test]
fn programs_that_bench_calls_are_looked_for() {
    let stack = Stack::new();
    let path = path_of(&stack, &["mariadb-dump", "mysql"]);
    // The stand-in's Python needs nothing of it.
    let (code, findings) = ask(&stack.env("PATH", &path));
    let programs = about(&findings, "bench programs");
    assert_eq!(code, 0, "{findings:?}");
    insta::assert_snapshot!(programs, @"
    ok env/bin/python, mariadb-dump, mysql
    warn file not found in PATH (bench restore calls it) -> install file into the image, before a restore is needed
    warn node not found in PATH (assets are built with it) -> install node and yarn into the image, or bake the assets into it; or BELLWETHER_ASSETS=skip
    warn yarn not found in PATH (assets are built with it) -> install node and yarn into the image, or bake the assets into it; or BELLWETHER_ASSETS=skip
    ");
    let stack = Stack::of(&Image { has_baked_assets: true, ..Image::default() }, &["--type", "postgres"]);
    let path = path_of(&stack, &["file", "psql"]);
    let (_, findings) = ask(&stack.env("PATH", &path).env("DB_TYPE", "postgres"));
    insta::assert_snapshot!(about(&findings, "bench programs"), @"
    ok env/bin/python, psql, file
    warn pg_dump not found in PATH (bench backs up with it) -> install postgresql-client into the image
    ");
}

#[test]
fn servers_that_do_not_let_us_in_are_told() {
    let stack = Stack::new().env("DB_PASSWORD", "wr0ng-of-the-database");
    let (code, findings) = ask(&stack);
    let servers = about(&findings, "servers");
    assert_eq!(code, 78, "{findings:?}");
    assert!(servers.contains("fail the database server refuses the login: "), "{servers}");
    assert!(servers.contains("-> look at DB_HOST, DB_PORT, DB_ROOT_USER and DB_ROOT_PASS"), "{servers}");
    assert!(servers.contains("ok the cache's Redis, the queue's Redis: let us in"), "{servers}");

    let stack = Stack::new();
    fs::write(stack.server("down"), "").unwrap();
    let (code, findings) = ask(&stack);
    assert_eq!(code, 75, "{findings:?}");
    assert!(about(&findings, "servers").contains("fail the database server refuses the connection: "), "{findings:?}");

    // The queue's holds the lease as well.
    let stack = Stack::new();
    stack.cache.cli(&["CONFIG", "SET", "requirepass", "other"]);
    let (code, findings) = ask(&stack);
    assert_eq!(code, 75, "{findings:?}");
    assert!(about(&findings, "needs").contains("wants a password"), "{findings:?}");
    assert!(about(&findings, "servers").contains("fail the cache's Redis refuses the login: "), "{findings:?}");
}

#[test]
fn servers_that_hang_do_not_hold_it_up() {
    let stack = Stack::new();
    fs::write(stack.server("silent"), "").unwrap();
    stack.cache.freeze();
    let (code, findings) = ask(&stack);
    stack.cache.thaw();
    let servers = about(&findings, "servers");
    assert_eq!(code, 75, "{findings:?}");
    assert!(servers.contains("fail the database server does not answer: "), "{servers}");
    assert!(servers.contains("fail the cache's Redis does not answer: "), "{servers}");
    assert!(servers.contains("ok the queue's Redis: let us in"), "{servers}");
}

#[test]
fn what_is_missing_in_the_settings_does_not_hide_the_servers() {
    let (code, findings) = ask(&Stack::new().without("ADMIN_PASSWORD"));
    assert_eq!(code, 64, "{findings:?}");
    assert!(about(&findings, "settings").starts_with("fail ADMIN_PASS: is not set -> "), "{findings:?}");
    assert!(about(&findings, "servers").starts_with("ok the database server, "), "{findings:?}");
}

#[test]
fn who_never_leads_needs_neither_bench_programs_nor_servers() {
    let stack = Stack::new().env("IS_LEADER", "0").without("DB_HOST").without("SITE");
    let (code, findings) = ask(&stack);
    assert_eq!(code, 0, "{findings:?}");
    assert_eq!(about(&findings, "servers") + &about(&findings, "bench programs"), "");
}

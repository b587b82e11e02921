//! What `plan` tells of the preset, and plan files beside it.

use std::fs;

use insta::assert_snapshot;

use crate::settings::{names, quick, redacted};
use crate::stack::{ADMIN_PASSWORD, Image, ROOT_PASSWORD, Stack};

fn with_secrets() -> Stack {
    quick().env("DB_PASS", "of-the-sites-own-user").env("BELLWETHER_BACKUP", "1")
}

#[test]
fn plan_prints_the_very_commands() {
    let stack = with_secrets().env("SITE", "").env("SITES", "a.localhost b.localhost");
    let stack = stack.env("APPS", "beta").env("AUTO_INSTALL_NEW_APPS", "1");
    let (code, out, err) = stack.bellwether(&["plan"]);
    assert_eq!(code, 0, "{err}");
    let shown = redacted(&stack, &out);
    let lines = shown.lines().skip_while(|line| *line != "config:");
    assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    config:
        log in to the database and each Redis through bench's own drivers
        common_site_config.json: db_host=127.0.0.1 db_port=[database] db_type=mariadb redis_cache=redis://127.0.0.1:[cache] redis_queue=redis://127.0.0.1:[queue] redis_socketio=redis://127.0.0.1:[queue] socketio_port=9000
        apps.txt: the apps of the image

    site:
        unless a.localhost is there: bench new-site a.localhost --db-type mariadb --no-mariadb-socket --db-name _… --db-password *** --db-root-username root --db-root-password *** --admin-password ***
        unless b.localhost is there: bench new-site b.localhost --db-type mariadb --no-mariadb-socket --db-name _… --db-password *** --db-root-username root --db-root-password *** --admin-password ***
        a database is called _ and 16 digits of the SHA-1 of its site's path
        a newer bench has --mariadb-user-host-login-scope=% for --no-mariadb-socket
        after    config

    apps:
        bench --site a.localhost execute frappe.get_installed_apps
        unless it is installed: bench --site a.localhost install-app beta
        unless it is installed: bench --site a.localhost install-app alpha
        each after the apps that it requires
        bench --site b.localhost execute frappe.get_installed_apps
        unless it is installed: bench --site b.localhost install-app beta
        unless it is installed: bench --site b.localhost install-app alpha
        each after the apps that it requires
        after    site

    migrate:
        a.localhost/site_config.json: maintenance_mode=1
        bench --site a.localhost ready-for-migration
        bench --site a.localhost backup
        bench --site a.localhost migrate
        bench --site a.localhost clear-cache
        a.localhost/site_config.json: maintenance_mode=0, unless it was on before
        b.localhost/site_config.json: maintenance_mode=1
        bench --site b.localhost ready-for-migration
        bench --site b.localhost backup
        bench --site b.localhost migrate
        bench --site b.localhost clear-cache
        b.localhost/site_config.json: maintenance_mode=0, unless it was on before
        after    apps

    assets:
        bench build --production
        after    config
    ");
}

#[test]
fn plan_masks_secrets_and_leaves_nothing_behind() {
    let stack = with_secrets();
    let (_, out, _) = stack.bellwether(&["plan"]);
    let json = stack.bellwether(&["plan", "--json"]).1;
    let needs = "needs    tcp://127.0.0.1:[database] redis://127.0.0.1:[cache] redis://127.0.0.1:[queue] (";
    assert!(redacted(&stack, &out).contains(needs), "{out}");
    for secret in [ADMIN_PASSWORD, ROOT_PASSWORD, "of-the-sites-own-user"] {
        assert!(!out.contains(secret) && !json.contains(secret));
    }
    assert!(names(&stack.path("")).is_empty(), "a look leaves nothing behind");
    assert!(stack.trace().0.is_empty());
    let secret = "r3dis-p@ss";
    let encoded = "r3dis-p%40ss";
    let stack = stack.env("REDIS_CACHE", &format!("redis://:{encoded}@cache:6379"));
    let (_, out, _) = stack.bellwether(&["plan"]);
    assert!(out.contains("redis_cache=redis://***@cache:6379"), "{out}");
    assert!(!out.contains(secret) && !out.contains(encoded), "{out}");
}

#[test]
fn plan_of_an_image_with_bundles_and_of_a_site_that_must_exist() {
    let image = Image { has_baked_assets: true, ..Image::default() };
    let stack = Stack::of(&image, &[])
        .env("SKIP_INIT", "1")
        .env("RUN_MIGRATIONS_ON_BOOT", "no")
        .env("AUTO_APPS_DENYLIST", "beta")
        .without("ADMIN_PASSWORD")
        .without("DB_PASSWORD");
    let (code, out, err) = stack.bellwether(&["plan"]);
    assert_eq!(code, 0, "{err}");
    let shown = redacted(&stack, &out);
    let steps = shown.split_once("site:\n").unwrap().1;
    assert_snapshot!(steps, @"
        see that a.localhost exists (SKIP_INIT=1)
        after    config

    apps:
        bench --site a.localhost execute frappe.get_installed_apps
        unless it is installed: bench --site a.localhost install-app alpha
        after    site

    migrate:
        nothing in a.localhost (RUN_MIGRATIONS_ON_BOOT=no)
        after    apps

    assets:
        link [stack]/bench/sites/assets to [stack]/bench/assets
        after    config
    ");
}

/// A plan of further steps beside the preset.
fn with_plan(stack: Stack, steps: &str) -> Stack {
    let path = stack.scratch().join("plan.json");
    fs::write(&path, steps).unwrap();
    stack.env("BELLWETHER_PLAN", path.to_str().unwrap())
}

#[test]
fn steps_of_a_plan_file_run_beside_those_of_the_preset() {
    let steps = r#"{ "steps": [
        { "name": "seed", "run": ["/bin/sh", "-c", "cp trace seed-began"], "after": ["migrate"], "cwd": "[stack]" } ] }"#;
    let stack = quick().env("APPS", "alpha");
    let steps = steps.replace("[stack]", &stack.scratch().display().to_string());
    let stack = with_plan(stack, &steps);
    let (_, out, err) = stack.bellwether(&["plan"]);
    assert!(out.contains("plan     frappe") && out.contains("seed     wait    for migrate"), "{out}{err}");
    stack.boot_well();
    let before = fs::read_to_string(stack.scratch().join("seed-began")).unwrap();
    let migrated = before.lines().any(|line| line.contains(r#""event": "end""#) && line.contains(r#""migrate"]"#));
    assert!(migrated, "{before}");
    assert!(stack.has(".seed_done_v1") && stack.has(".migrated_v1"));
}

#[test]
fn a_plan_file_that_does_not_fit_the_preset_is_refused_with_line_and_column() {
    let unknown = "{ \"steps\": [\n  { \"name\": \"seed\", \"run\": [\"true\"], \"after\": [\"migrat\"] } ] }";
    let clash = "{ \"steps\": [\n  { \"name\": \"apps\", \"run\": [\"true\"] } ] }";
    let marker = "{ \"steps\": [\n  { \"name\": \"mine\", \"run\": [\"true\"], \"done\": \"migrated\" } ] }";
    let said = [unknown, clash, marker].map(|text| {
        let stack = with_plan(quick(), text);
        let (code, _, err) = stack.bellwether(&["run", "--", "true"]);
        assert_eq!(code, 64, "{err}");
        assert!(names(&stack.path("")).is_empty());
        redacted(&stack, err.trim_end())
    });
    assert_snapshot!(said.join("\n"), @r#"
    there is 1 problem with the settings; nothing was touched
      [stack]/plan.json:2:48: comes after "migrat", but there is no such step; did you mean "migrate"?
    there is 1 problem with the settings; nothing was touched
      [stack]/plan.json:2:13: the name "apps" is used twice
    there is 1 problem with the settings; nothing was touched
      [stack]/plan.json:2:46: the marker word "migrated" could be mistaken for "migrated"; give one of them another name
    "#);
}

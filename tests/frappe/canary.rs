//! No data of a whole site is ever dropped.

use std::fs;

use crate::kill::Way::{Call, Container, Leader, Parent, Stop};
use crate::kill::{at_once, die, forget_stop, survive, wait_stopped};
use crate::stack::{Image, SITE, Stack};
use crate::state::Whole;

const WHOLE: Whole =
    Whole { rev: 1, apps: &["frappe", "alpha", "beta"], since: &[1, 1, 1], planted: &["canary"], by_chance: false };

/// A whole site of revision v1 with a row of its own.
fn planted(image: &Image) -> Stack {
    let stack = Stack::of(image, &[]).quick();
    stack.boot_well();
    stack.plant(SITE, "canary");
    stack
}

fn baked() -> Image {
    Image { has_baked_assets: true, ..Image::default() }
}

/// Nothing has been created or removed since the site was planted.
fn is_kept(stack: &Stack) {
    let trace = stack.trace();
    let created: Vec<_> = trace.of("new-site").into_iter().filter(|call| !call.has("--help")).collect();
    assert_eq!((created.len(), trace.of("drop-site").len()), (1, 0));
}

#[test]
fn a_newer_revision_that_dies_everywhere_keeps_it() {
    let stack = planted(&Image { apps: "frappe,alpha", requires: "", has_baked_assets: true });
    let stack = stack.env("BELLWETHER_BACKUP", "1").env("STEP_MAX_ATTEMPTS", "9");
    stack.make_image("v2", &baked());
    let deaths = [
        ("install-app:sync", Container),
        ("install-app:after_install", Leader),
        ("backup:dump", Call),
        ("migrate:patches", Container),
        ("migrate:schema", Stop),
        ("migrate:finish", Leader),
        ("clear-cache:clear", Call),
    ];
    survive(&stack, &["v2"], &deaths);
    Whole { rev: 2, since: &[1, 1, 2], ..WHOLE }.check(&stack);
    is_kept(&stack);
}

#[test]
fn revisions_that_die_while_they_build_keep_it() {
    let stack = planted(&Image::default());
    stack.make_newer("v2");
    survive(&stack, &["v2", "v3"], &[("build:manifest", Container), ("build:bundles", Parent)]);
    Whole { rev: 3, ..WHOLE }.check(&stack);
    is_kept(&stack);
}

#[test]
fn it_outlives_all_that_we_have_written_down() {
    let stack = planted(&baked());
    fs::remove_dir_all(stack.path(".bellwether")).unwrap();
    stack.boot_well();
    stack.make_newer("v2");
    let stack = stack.env("IMAGE_REV", "v2");
    stack.boot_well();
    Whole { rev: 2, ..WHOLE }.check(&stack);
    for name in stack.markers().lines().filter(|name| name.starts_with('.') && *name != ".bellwether") {
        fs::remove_file(stack.path(name)).unwrap();
    }
    stack.boot_well();
    Whole { rev: 2, ..WHOLE }.check(&stack);
    fs::remove_file(stack.path(".ready_v2")).unwrap();
    fs::remove_dir_all(stack.path(".bellwether")).unwrap();
    fs::remove_file(stack.path(".site_created_v2")).unwrap();
    stack.boot_well();
    Whole { rev: 2, ..WHOLE }.check(&stack);
    is_kept(&stack);
}

#[test]
fn it_outlives_whatever_people_do_about_a_failure() {
    let stack = planted(&baked());
    stack.make_newer("v2");
    let stack = stack.env("IMAGE_REV", "v2").env("STANDIN_FAIL_AT", "migrate:schema:1");
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    let site = stack.check(SITE);
    assert_eq!((&site["maintenance"], &site["canary"]), (&1.into(), &serde_json::json!(["canary"])));
    assert_eq!(stack.boot().0, 78, "a failed migration is not repeated");
    for words in [&["retry"][..], &["reset"], &["skip", "--step", "site"], &["reset", "--step", "migrate"]] {
        let (code, out, err) = stack.bellwether(words);
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        stack.boot_well();
        Whole { rev: 2, ..WHOLE }.check(&stack);
        fs::remove_file(stack.path(".ready_v2")).unwrap();
    }
    is_kept(&stack);
}

#[test]
fn it_outlives_a_database_that_goes_away_in_the_middle() {
    let stack = planted(&baked());
    stack.make_newer("v2");
    let stack = stack.env("IMAGE_REV", "v2");
    let mut replica = stack.launch().env("STANDIN_STOP_AT", "migrate:patches").start();
    let stopped = wait_stopped(&stack, &mut replica);
    fs::write(stack.server("down"), "").unwrap();
    assert!(die(&mut replica, Call, &stopped));
    forget_stop(&stack);
    replica.wait_said("waiting: the database server");
    fs::remove_file(stack.server("down")).unwrap();
    // It may be there for the migration that is tried again.
    let stopped = wait_stopped(&stack, &mut replica);
    assert!(!die(&mut replica, Stop, &stopped));
    stack.boot_well();
    Whole { rev: 2, ..WHOLE }.check(&stack);
    is_kept(&stack);
}

/// Torn, empty, unreadable, gone: a site's configuration that cannot be used says nothing about its database.
#[test]
fn it_outlives_a_site_config_that_cannot_be_read() {
    let stack = planted(&baked());
    stack.make_newer("v2");
    let stack = stack.env("IMAGE_REV", "v2");
    let config = stack.path(&format!("{SITE}/site_config.json"));
    let whole = fs::read(&config).unwrap();
    let ways: [fn(&std::path::Path); 5] = [
        |path| fs::write(path, "").unwrap(),
        |path| fs::write(path, r#"{"db_name": "_ab"#).unwrap(),
        |path| fs::write(path, "{}").unwrap(),
        |_| (),
        |path| fs::create_dir(path).unwrap(),
    ];
    for (number, damage) in ways.into_iter().enumerate() {
        fs::remove_file(&config).unwrap();
        damage(&config);
        let (code, log) = stack.boot();
        assert_eq!(code, 78, "{number}: {log}");
        assert!(log.contains("site_config.json") && log.contains("encryption_key"), "{log}");
        assert!(!log.contains("drop-site"), "nobody is told to drop a whole site: {log}");
        if fs::remove_file(&config).is_err() && config.exists() {
            fs::remove_dir(&config).unwrap();
        }
        fs::write(&config, &whole).unwrap();
        assert_eq!(stack.bellwether(&["retry"]).0, 0);
    }
    stack.boot_well();
    Whole { rev: 2, ..WHOLE }.check(&stack);
    is_kept(&stack);
}

/// A typing error in `DB_HOST`, or two stacks on one volume: no site there has a database then.
#[test]
fn it_outlives_a_mistyped_server() {
    let stack = planted(&baked());
    let (right, server) = (stack.environment()["DB_HOST"].clone(), stack.server(""));
    let (config, mut said) = (format!("{SITE}/site_config.json"), stack.json(&format!("{SITE}/site_config.json")));
    said["db_host"] = right.as_str().into();
    fs::write(stack.path(&config), said.to_string()).unwrap();
    let backups = stack.path(&format!("{SITE}/private/backups"));
    fs::create_dir_all(&backups).unwrap();
    for name in ["20261120_000000-a_localhost-database.sql.gz", "20261121_000000-a_localhost-database.sql.gz"] {
        fs::write(backups.join(name), "").unwrap();
    }
    stack.make_newer("v2");
    let stack = stack.env("IMAGE_REV", "v2").misled();
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    let newest = backups.join("20261121_000000-a_localhost-database.sql.gz");
    let words = [
        "mariadb at DB_HOST=localhost DB_PORT=".to_owned(),
        "first make sure that this is its server".to_owned(),
        format!("its site_config.json says db_host {right}"),
        "correct DB_HOST and DB_PORT".to_owned(),
        format!("restore {} --force", newest.display()),
        "only if nobody needs this site".to_owned(),
        format!("mv {} {}", stack.path(SITE).display(), stack.path(&format!("archived/{SITE}")).display()),
    ];
    let mut rest = log.as_str();
    for words in words {
        rest = rest.split_once(&words).unwrap_or_else(|| panic!("{words:?} is not, or not in its place, in {log}")).1;
    }
    assert!(!log.contains("drop-site") && !log.contains("rm -r"), "{log}");
    let stack = stack.env("DB_HOST", &right).env("STANDIN_DB", &server.display().to_string());
    assert_eq!(stack.bellwether(&["retry"]).0, 0);
    stack.boot_well();
    Whole { rev: 2, ..WHOLE }.check(&stack);
    is_kept(&stack);
}

/// A new volume beside the database of the old one: `new-site` of a bench would drop it on `PostgreSQL` without a word.
#[test]
fn it_outlives_a_volume_that_was_lost() {
    at_once(&["mariadb", "postgres"], |kind| {
        let stack = Stack::of(&baked(), &["--type", kind]).quick().env("DB_TYPE", kind);
        stack.boot_well();
        stack.plant(SITE, "canary");
        let config = fs::read(stack.path(&format!("{SITE}/site_config.json"))).unwrap();
        let name = stack.check(SITE)["db_name"].as_str().unwrap().to_owned();
        fs::remove_dir_all(stack.path("")).unwrap();
        fs::create_dir(stack.path("")).unwrap();
        let (code, log) = stack.boot();
        assert_eq!(code, 78, "{log}");
        for words in ["put it back", "bellwether retry", &format!("`DROP DATABASE {name}`")] {
            assert!(log.contains(words), "{words}: {log}");
        }
        assert!(!stack.has(SITE));
        fs::create_dir(stack.path(SITE)).unwrap();
        fs::write(stack.path(&format!("{SITE}/site_config.json")), config).unwrap();
        assert_eq!(stack.bellwether(&["retry"]).0, 0);
        stack.boot_well();
        WHOLE.check(&stack);
        is_kept(&stack);
    });
}

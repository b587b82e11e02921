//! Bundles: linked from the image or built, beside everything else, and looked at by every replica.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::isolate::{is_in_own_mounts, mount};
use crate::kill::{Way, die, let_go, wait_stopped};
use crate::stack::{Image, SITE, Stack};
use crate::trace::Call;
use crate::wait::wait_until;

fn quick(has_baked_assets: bool) -> Stack {
    let image = Image { has_baked_assets, ..Image::default() };
    Stack::of(&image, &[]).env("STANDIN_SPEED", "20").env("APPS", "alpha")
}

fn link(stack: &Stack) -> Option<PathBuf> {
    fs::read_link(stack.path("assets")).ok()
}

/// Puts another image's link into the place of whatever is there.
fn link_elsewhere(stack: &Stack) {
    fs::remove_file(stack.path("assets")).unwrap();
    symlink("/another/image/assets", stack.path("assets")).unwrap();
}

#[test]
fn what_is_baked_is_linked_and_a_directory_in_its_place_is_moved_aside() {
    let stack = quick(true);
    fs::create_dir(stack.path("assets")).unwrap();
    fs::write(stack.path("assets/mine.css"), "a{}").unwrap();
    assert_eq!(stack.cache.cli(&["SET", "assets_json", "old"]), "OK");
    let log = stack.boot_well();
    assert_eq!(link(&stack).unwrap(), stack.bench().join("assets"));
    assert_eq!(stack.read("assets.before-1/mine.css"), "a{}");
    assert!(log.contains("the directory that was there is") && log.contains("assets.before-1 now"), "{log}");
    let assets = &stack.check_all(&[])["assets"];
    assert_eq!((&assets["kind"], &assets["complete"]), (&"link".into(), &true.into()), "{assets}");
    assert_eq!(stack.cache.cli(&["EXISTS", "assets_json"]), "0");
    assert!(stack.has(".assets_built_v1"));
    assert!(stack.trace().of("build").is_empty());
}

#[test]
fn every_replica_puts_the_link_right_before_it_serves_without_asking_anybody() {
    let stack = quick(true);
    stack.boot_well();
    let calls = stack.trace().0.len();
    link_elsewhere(&stack);
    fs::write(stack.server("down"), "").unwrap();
    for is_leader in ["1", "0"] {
        let mut warm = stack.launch().env("IS_LEADER", is_leader).env("REDIS_QUEUE", "127.0.0.1:1").start();
        assert_eq!((warm.wait(), warm.output().as_str()), (0, "serves\n"));
        assert_eq!(warm.log().lines().count(), 1, "{}", warm.log());
        assert!(warm.has_said("assets links to "), "{}", warm.log());
        assert_eq!(link(&stack).unwrap(), stack.bench().join("assets"));
        link_elsewhere(&stack);
    }
    // Who is told to leave them alone does.
    let mut warm = stack.launch().env("BELLWETHER_ASSETS", "skip").start();
    assert_eq!(warm.wait(), 0);
    assert_eq!(link(&stack).unwrap(), PathBuf::from("/another/image/assets"));
    assert_eq!(stack.trace().0.len(), calls);
}

#[test]
fn where_the_volume_is_read_only_a_wrong_link_is_told_of_and_the_command_started() {
    if !is_in_own_mounts("assets::where_the_volume_is_read_only_a_wrong_link_is_told_of_and_the_command_started") {
        return;
    }
    let stack = quick(true);
    stack.boot_well();
    let sites = stack.path("").display().to_string();
    let read_only = |is_so: bool| mount(&["-o", if is_so { "remount,bind,ro" } else { "remount,bind,rw" }, &sites]);
    mount(&["--bind", &sites, &sites]);
    read_only(true);
    let mut warm = stack.start();
    assert_eq!((warm.wait(), warm.log().as_str()), (0, ""), "nothing is wrong with it");
    read_only(false);
    link_elsewhere(&stack);
    read_only(true);
    let mut warm = stack.start();
    assert_eq!((warm.wait(), warm.output().as_str()), (0, "serves\n"));
    let words = format!("assets does not lead to this image's {}", stack.bench().join("assets").display());
    assert!(warm.has_said(&words) && warm.has_said("styles and scripts may be missing"), "{}", warm.log());
    assert!(warm.has_said("Read-only file system"), "{}", warm.log());
}

#[test]
fn what_is_not_baked_is_built() {
    let stack = quick(false);
    stack.boot_well();
    let trace = stack.trace();
    let builds = trace.of("build");
    assert_eq!(builds.iter().map(|call| call.words()).collect::<Vec<_>>(), [["build", "--production"]]);
    let assets = &stack.check_all(&[])["assets"];
    assert_eq!((&assets["kind"], &assets["complete"]), (&"dir".into(), &true.into()), "{assets}");
    // The next image is built for as well.
    stack.make_image("v2", &Image::default());
    let stack = stack.env("IMAGE_REV", "v2");
    stack.boot_well();
    assert_eq!(stack.trace().of("build").len(), 2);
    assert_eq!(stack.check_all(&[])["assets"]["complete"], true);
}

#[test]
fn what_a_person_says_about_assets_counts() {
    let table = [
        (true, "BELLWETHER_ASSETS", "build", 1, Some(false)),
        (true, "REBUILD_ASSETS_ON_BOOT", "1", 1, Some(false)),
        (true, "REBUILD_ASSETS_ON_BOOT", "0", 0, Some(true)),
        (false, "REBUILD_ASSETS_ON_BOOT", "0", 0, None),
        (false, "BELLWETHER_ASSETS", "skip", 0, None),
        (true, "BELLWETHER_ASSETS", "skip", 0, None),
        (true, "BELLWETHER_ASSETS", "link", 0, Some(true)),
    ];
    for (is_baked, name, value, builds, is_link) in table {
        let stack = quick(is_baked).env(name, value);
        stack.boot_well();
        assert_eq!(stack.trace().of("build").len(), builds, "{is_baked} {name}={value}");
        let found = stack.has("assets").then(|| link(&stack).is_some());
        assert_eq!(found, is_link, "{is_baked} {name}={value}");
        assert!(stack.has(".assets_built_v1"), "the marker is written either way");
    }
}

#[test]
fn a_link_without_anything_behind_it_is_a_failure_in_words() {
    let stack = quick(false).env("BELLWETHER_ASSETS", "link").env("STEP_MAX_ATTEMPTS", "1");
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    let words = format!("the image has no {}", stack.bench().join("assets").display());
    assert!(log.contains(&words), "{log}");
    assert_eq!(stack.json(".failed_v1")["step"], "assets");
}

/// A build through the link would write into the image, or into another's.
#[test]
fn a_build_does_not_write_through_a_link() {
    let stack = quick(false);
    let elsewhere = stack.scratch().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, stack.path("assets")).unwrap();
    stack.boot_well();
    assert!(fs::read_dir(&elsewhere).unwrap().next().is_none());
    assert_eq!(stack.check_all(&[])["assets"]["kind"], "dir");
}

#[test]
fn assets_are_ready_while_the_site_is_still_being_made() {
    let stack = quick(false).env("STANDIN_STOP_AT", "new-site:schema");
    let mut replica = stack.start();
    let stopped = wait_stopped(&stack, &mut replica);
    wait_until("built assets", || stack.has(".assets_built_v1"));
    assert!(!stack.has(".site_created_v1"));
    let ended = stack.trace().of("build")[0].end;
    assert!(ended.is_some_and(|(_, exit)| exit == 0), "{ended:?}");
    die(&mut replica, Way::Call, &stopped);
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    assert_eq!(stack.trace().of("build").len(), 1);
    assert_eq!(stack.check(SITE)["whole"], true);
}

#[test]
fn nothing_waits_for_assets_and_they_take_no_time_of_their_own() {
    let stack = quick(false).env("STANDIN_STOP_AT", "build:manifest");
    let mut replica = stack.start();
    wait_stopped(&stack, &mut replica);
    wait_until("a migrated database", || stack.has(".migrated_v1"));
    assert!(!stack.has(".assets_built_v1") && !stack.has(".ready_v1"));
    let_go(&stack);
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    let trace = stack.trace();
    let (built, rest) = trace.0.iter().partition::<Vec<_>, _>(|call| call.command() == "build");
    let [build] = built[..] else { panic!("{built:?}") };
    // As long as all the rest, and beside it from the first change to the last.
    let deeds = rest.into_iter().filter(|call| ["new-site", "install-app", "migrate"].contains(&call.command()));
    let beside = |call: &Call| call.end.unwrap().0 > build.begun && call.end.unwrap().0 < build.end.unwrap().0;
    assert!(deeds.filter(|call| !call.has("--help")).all(beside), "{trace:?}");
    assert_eq!((trace.made("new-site").len(), trace.of("migrate").len()), (1, 1));
    assert_eq!(stack.check_all(&[])["assets"]["complete"], true);
}

/// A worker knows nothing of what the web replicas were told.
#[test]
fn what_was_built_is_left_alone_by_replicas_that_were_told_nothing() {
    let stack = quick(true).env("BELLWETHER_ASSETS", "build");
    stack.boot_well();
    let mut worker = stack.launch().env("BELLWETHER_ASSETS", "").env("IS_LEADER", "0").start();
    assert_eq!((worker.wait(), worker.log().as_str()), (0, ""));
    assert!(link(&stack).is_none() && stack.has("assets/assets.json") && !stack.has("assets.before-1"));
}

/// The link is the same in every image, what it leads to is not.
#[test]
fn a_new_image_lets_the_old_bundles_be_forgotten() {
    let stack = quick(true).env("RUN_MIGRATIONS_ON_BOOT", "no");
    stack.boot_well();
    assert_eq!(stack.cache.cli(&["SET", "assets_json", "old"]), "OK");
    let stack = stack.env("IMAGE_REV", "v2");
    stack.boot_well();
    assert_eq!(stack.cache.cli(&["EXISTS", "assets_json"]), "0");
}

//! Volumes that are full, read-only, somebody else's, missing or forgotten.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::isolate::{is_in_own_mounts, mount};
use crate::stack::{Stack, Step};
use crate::wait::{SECOND, mtime, require_root, wait_until};

const MARKER: &str = ".migrate_in_progress_v1";

/// Leaves not a single byte free.
fn fill(path: &Path) {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    while file.write_all(&[b'x'; 4096]).is_ok() {}
    while file.write_all(b"x").is_ok() {}
}

#[test]
fn a_full_disk_neither_silences_a_healthy_step_nor_loses_what_it_has_done() {
    if !is_in_own_mounts("volume::a_full_disk_neither_silences_a_healthy_step_nor_loses_what_it_has_done") {
        return;
    }
    let stack = Stack::new()
        .env("STEP_STALE_SECS", "1")
        .step(Step::gated("migrate"))
        .step(Step::quick("late").after(&["migrate"]));
    mount(&["-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", stack.volume().to_str().unwrap()]);
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    journal.wait("start", "migrate", 1);
    let mut follower = stack.start_follower();
    fill(&stack.path("ballast"));
    let full_since = stack.now();
    wait_until("beats on a full disk", || mtime(&stack.path(MARKER)).unwrap() >= full_since + 3 * SECOND);
    // What the follower tried the volume with may have been in the way before, and is gone now.
    fill(&stack.path("ballast"));
    stack.open_gate("migrate");
    leader.wait_said("the volume is full");
    assert!(leader.is_running() && follower.is_running() && !follower.has_said("LEADER"));
    assert!(!stack.has(".ready_v1"));
    fs::remove_file(stack.path("ballast")).unwrap();
    assert_eq!((leader.wait(), follower.wait()), (0, 0), "{}", leader.log());
    assert_eq!((journal.count("start", "migrate"), journal.count("start", "late")), (1, 1));
}

/// Mounts the volume a second time, read-only, and gives the path.
fn read_only_view(stack: &Stack) -> String {
    let path = stack.scratch().join("view");
    fs::create_dir(&path).unwrap();
    let view = path.to_str().unwrap().to_owned();
    mount(&["--bind", stack.volume().to_str().unwrap(), &view]);
    mount(&["-o", "remount,bind,ro", &view]);
    view
}

#[test]
fn a_read_only_volume_is_good_for_following_and_for_a_warm_start_but_not_for_leading() {
    if !is_in_own_mounts("volume::a_read_only_volume_is_good_for_following_and_for_a_warm_start_but_not_for_leading") {
        return;
    }
    let stack = Stack::new().step(Step::gated("migrate"));
    let view = read_only_view(&stack);
    let mut candidate = stack.replica().env("BELLWETHER_VOLUME", &view).start();
    assert_eq!(candidate.wait(), 74, "{}", candidate.log());
    for text in [&view, "mounted read-only", "owner 0:0", "uid 0"] {
        assert!(candidate.has_said(text), "{text}:\n{}", candidate.log());
    }
    assert!(stack.names(".").is_empty());
    let mut follower = stack.replica().env("BELLWETHER_VOLUME", &view).env("IS_LEADER", "0").start();
    follower.wait_said("FOLLOWER");
    let mut leader = stack.start_leader();
    stack.open_gate("migrate");
    assert_eq!((leader.wait(), follower.wait()), (0, 0), "{}", follower.log());
    let mut warm = stack.replica().env("BELLWETHER_VOLUME", &view).start();
    assert_eq!(warm.wait(), 0);
    assert_eq!(warm.log(), "");
}

#[test]
fn a_volume_that_breaks_under_a_leader_ends_it_and_a_successor_goes_on() {
    if !is_in_own_mounts("volume::a_volume_that_breaks_under_a_leader_ends_it_and_a_successor_goes_on") {
        return;
    }
    let stack = Stack::new().step(Step::gated("migrate"));
    let mut leader = stack.start_leader();
    stack.journal().wait("start", "migrate", 1);
    // A file system that is open for writing cannot be made read-only by a person, only by itself. The same volume,
    // mounted above itself, looks so to all but the descriptors that are open.
    let root = stack.volume().to_str().unwrap();
    mount(&["--bind", root, root]);
    mount(&["-o", "remount,bind,ro", root]);
    stack.open_gate("migrate");
    assert_eq!(leader.wait(), 74, "{}", leader.log());
    assert!(leader.has_said("mounted read-only"), "{}", leader.log());
    assert!(Command::new("umount").arg(root).status().unwrap().success());
    let mut successor = stack.start_replica();
    assert_eq!(successor.wait(), 0, "{}", successor.log());
    assert_eq!(stack.json(".migrate_done_v1")["attempt"], 2);
}

#[test]
fn somebody_elses_volume_is_refused_with_the_repair() {
    require_root();
    let stack = Stack::new().step(Step::quick("migrate"));
    let mut replica = stack.replica().run_by_nobody().start();
    assert_eq!(replica.wait(), 77, "{}", replica.log());
    let volume = stack.volume().display().to_string();
    for text in [&volume, "owner 0:0", "mode 0755", "uid 65534", "docker run --rm -v", "chown -R 65534:65534"] {
        assert!(replica.has_said(text), "{text}:\n{}", replica.log());
    }
    assert!(stack.names(".").is_empty());
    std::os::unix::fs::chown(stack.volume(), Some(65534), Some(65534)).unwrap();
    let mut replica = stack.replica().run_by_nobody().start();
    assert_eq!(replica.wait(), 0, "{}", replica.log());
}

#[test]
fn a_volume_that_is_missing_or_a_file_is_told_from_one_that_is_not_ready() {
    let stack = Stack::new().step(Step::quick("migrate"));
    fs::remove_dir(stack.volume()).unwrap();
    let volume = stack.volume().display().to_string();
    let mut replica = stack.start_replica();
    assert_eq!(replica.wait(), 74);
    assert!(replica.has_said(&format!("the volume {volume} does not exist")), "{}", replica.log());
    fs::write(stack.volume(), "").unwrap();
    let mut replica = stack.start_replica();
    assert_eq!(replica.wait(), 74);
    assert!(replica.has_said(&format!("{volume} is a file, not a directory")), "{}", replica.log());
}

#[test]
fn a_forgotten_volume_is_used_with_a_loud_warning() {
    if !is_in_own_mounts("volume::a_forgotten_volume_is_used_with_a_loud_warning") {
        return;
    }
    let stack = Stack::new().step(Step::quick("migrate"));
    let layers = stack.scratch().join("layers");
    fs::create_dir(&layers).unwrap();
    // A container's layers are no overlay themselves, but the scratch directory may be on one.
    mount(&["-t", "tmpfs", "tmpfs", layers.to_str().unwrap()]);
    for layer in ["lower", "upper", "work"] {
        fs::create_dir(layers.join(layer)).unwrap();
    }
    let at = |layer: &str| layers.join(layer).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    mount(&["-t", "overlay", "-o", &options, "overlay", stack.volume().to_str().unwrap()]);
    let mut replica = stack.start_replica();
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    assert!(replica.has_said("THE VOLUME IS NOT MOUNTED"), "{}", replica.log());
}

#[test]
fn what_is_no_file_in_a_markers_place_is_refused_by_name() {
    let stack = Stack::new().step(Step::quick("migrate"));
    fs::create_dir(stack.path(".migrate_done_v1")).unwrap();
    let mut replica = stack.start_replica();
    assert_eq!(replica.wait(), 74);
    assert!(replica.has_said(".migrate_done_v1 is a directory where a regular file is expected"), "{}", replica.log());
    fs::remove_dir(stack.path(".migrate_done_v1")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", stack.path(".ready_v1")).unwrap();
    let mut replica = stack.start_replica();
    assert_eq!(replica.wait(), 74);
    assert!(replica.has_said(".ready_v1 is a symbolic link"), "{}", replica.log());
    assert_eq!(stack.journal().entries(), []);
}

//! Containers that run as root: bench does not.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stack::{PYTHON, SITE, Stack};
use crate::wait::require_root;

/// Nobody's number on this machine.
const OWNER: u32 = 54_321;

fn give_to_owner(path: &Path) {
    let given = Command::new("chown").args(["-R", &format!("{OWNER}:{OWNER}")]).arg(path).status().unwrap();
    assert!(given.success());
}

/// The bench of an image whose user is not root; the volume is still root's.
fn stack() -> Stack {
    require_root();
    let stack = Stack::new().without("STANDIN_ALLOW_ROOT").env("STANDIN_SPEED", "20").env("APPS", "alpha");
    // The stand-in may lie where nobody else may look.
    let copy = stack.scratch().join("standin");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench");
    assert!(Command::new("cp").arg("-r").arg(source).arg(&copy).status().unwrap().success());
    let made = Command::new(PYTHON)
        .arg(copy.join("make-bench"))
        .arg(stack.bench())
        .args(["--apps", "frappe,alpha"])
        .status()
        .unwrap();
    assert!(made.success());
    give_to_owner(&stack.scratch().join("bench"));
    give_to_owner(&stack.scratch().join("db"));
    fs::write(stack.scratch().join("trace"), "").unwrap();
    give_to_owner(&stack.scratch().join("trace"));
    stack
}

fn give_volume_to_root(stack: &Stack) {
    std::os::unix::fs::chown(stack.path(""), Some(0), Some(0)).unwrap();
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            let inside = if path.is_dir() && !path.is_symlink() { files(&path) } else { Vec::new() };
            std::iter::once(path).chain(inside)
        })
        .collect()
}

#[test]
fn steps_run_as_the_owner_of_the_volume() {
    let stack = stack();
    let log = stack.boot_well();
    assert!(stack.has(".ready_v1") && stack.has(&format!("{SITE}/site_config.json")), "{log}");
    let foreign: Vec<PathBuf> =
        files(&stack.path("")).into_iter().filter(|path| fs::symlink_metadata(path).unwrap().uid() != OWNER).collect();
    assert_eq!(foreign, Vec::<PathBuf>::new(), "whoever serves as {OWNER} can use all of it");
}

#[test]
fn a_volume_of_roots_is_refused_with_the_command_that_mends_it() {
    let stack = stack();
    give_volume_to_root(&stack);
    for words in [["run", "--", "true"].as_slice(), &["plan"]] {
        let (code, _, err) = stack.bellwether(words);
        assert_eq!(code, 64, "{err}");
        let sites = stack.path("").display().to_string();
        let mended = format!("chown {OWNER}:{OWNER} {}", sites.trim_end_matches('/'));
        for words in ["BELLWETHER_VOLUME: ", "belongs to root", &mended] {
            assert!(err.contains(words), "{words}: {err}");
        }
        assert!(!err.contains("-R"), "nothing has to be changed recursively: {err}");
    }
    assert!(fs::read_dir(stack.path("")).unwrap().next().is_none());
    // A replica that never leads runs no step.
    let mut follower = stack.launch().env("IS_LEADER", "0").start();
    follower.wait_said("FOLLOWER");
    give_to_owner(&stack.path(""));
    stack.boot_well();
    assert_eq!(follower.wait(), 0, "{}", follower.log());
}

/// Where everything is root's, bench itself has the last word.
#[test]
fn what_bench_says_about_root_is_made_clear_and_not_repeated() {
    let stack = Stack::new().without("STANDIN_ALLOW_ROOT").env("BELLWETHER_ASSETS", "skip");
    require_root();
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    assert!(log.contains("bench refuses to run as root") && log.contains("chown"), "{log}");
    assert_eq!(stack.json(".failed_v1")["attempts"], 1);
    assert!(!stack.has(SITE));
    // What only looks says nothing of its own.
    let stack = stack.env("STANDIN_ALLOW_ROOT", "1").env("IMAGE_REV", "v2");
    stack.boot_well();
    let stack = stack.env("STANDIN_ALLOW_ROOT", "").env("IMAGE_REV", "v3");
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    assert!(log.contains("bench refuses to run as root") && log.contains("chown"), "{log}");
    assert_eq!(stack.json(".failed_v3")["attempts"], 1);
}

/// As a file of the host's that Compose mounts.
#[test]
fn a_secret_that_root_alone_can_read_is_handed_over() {
    use std::os::unix::fs::PermissionsExt as _;

    let stack = stack();
    let path = stack.scratch().join("admin-password");
    fs::write(&path, "0nly-for-root\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let stack = stack.without("ADMIN_PASSWORD").env("ADMIN_PASSWORD_FILE", path.to_str().unwrap());
    let log = stack.boot_well();
    assert!(stack.has(".ready_v1") && !log.contains("0nly-for-root"), "{log}");
    let (_, plan, _) = stack.bellwether(&["plan", "--json"]);
    assert!(!plan.contains("0nly-for-root"), "{plan}");
}

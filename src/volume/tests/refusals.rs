//! Volumes that refuse us, for real: full, read-only, somebody else's.
//!
//! Each test runs itself again in a mount namespace of its own, or as another user, which takes root.

use std::env;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use uuid::Uuid;

use super::super::testing::{ASSETS, DONE, MIGRATE, Scratch, claimed, plan, record, rev, run};
use super::super::{Beat, Replica, Volume};
use crate::protocol::{Epoch, Fault, View};

fn at(root: PathBuf) -> Volume {
    Volume::new(root, rev("v1"), plan(), Replica { id: Uuid::from_u128(1), host: "host".to_owned(), pid: 1 })
}

/// Set in a test that runs again.
const AGAIN: &str = "BELLWETHER_TEST_REFUSALS";

/// Runs the test of this name again through `shell`, in which "$0" is the test program; whether this *is* that run.
fn is_again(name: &str, shell: &str) -> bool {
    if env::var_os(AGAIN).is_some() {
        return true;
    }
    // A copy that another user may execute too. Not made by us: a child that another test starts at that moment would
    // have it open for writing, and what is open for writing cannot be executed.
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let program = directory.path().join("tests");
    let copied = Command::new("cp").arg(env::current_exe().unwrap()).arg(&program).status().unwrap();
    assert!(copied.success(), "{copied}");
    let script = format!("{shell} \"$0\" --exact volume::tests::refusals::{name}");
    let mut again = Command::new("unshare");
    again.args(["--mount", "sh", "-ec", &script]).arg(&program).env(AGAIN, "1").env("TMPDIR", directory.path());
    let output = again.output().expect("unshare, of util-linux");
    let text = String::from_utf8_lossy(&output.stdout);
    let hint = "(this test needs root, for mounts and other users)";
    assert!(output.status.success(), "{hint}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
    false
}

#[test]
fn full_volume() {
    if !is_again("full_volume", "mount -t tmpfs -o size=256k none /mnt; TMPDIR=/mnt exec") {
        return;
    }
    let scratch = Scratch::new();
    let (volume, successor) = (scratch.volume(), scratch.replica(2, "v1"));
    let mut migrate = claimed(&volume, MIGRATE, 5, &[]);
    let mut assets = claimed(&volume, ASSETS, 5, &[]);
    let mut filler = std::fs::File::create(scratch.path("filler")).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
    let full = |error: super::super::VolumeError| assert_eq!(error.fault(), Fault::Full, "{error}");

    full(volume.prepare(Uuid::nil()).unwrap_err());
    full(volume.write_record(MIGRATE, &record()).unwrap_err());
    assert_eq!(volume.beat(&mut migrate).unwrap(), Beat::Refreshed);
    assert!(volume.commit(&mut migrate, &DONE).unwrap(), "a step that is done is done on a full disk too");
    assert!(volume.look().unwrap().view.steps[MIGRATE.0].done);
    full(volume.write_record(ASSETS, &record()).unwrap_err());
    full(successor.claim(ASSETS, Epoch(6), &[Epoch(5)], &run()).map(drop).unwrap_err());
    assert_eq!(volume.beat(&mut assets).unwrap(), Beat::Refreshed);
    assert_eq!(scratch.names(".bellwether/claims"), ["assets_v1.6"]);

    drop(filler);
    std::fs::remove_file(scratch.path("filler")).unwrap();
    let mut assets = claimed(&successor, ASSETS, 6, &[5]);
    assert!(successor.commit(&mut assets, &DONE).unwrap());
    assert!(scratch.names(".bellwether/tmp").is_empty());
}

#[test]
fn read_only_volume() {
    if !is_again("read_only_volume", "mount -t tmpfs -o ro none /mnt; TMPDIR=/mnt exec") {
        return;
    }
    let root = env::temp_dir();
    let volume = at(root.clone());
    volume.check_root().unwrap();
    assert_eq!(volume.look().unwrap().view, View::blank(plan().len()));
    assert_eq!((volume.now(), volume.is_ready().unwrap()), (None, false));
    assert_eq!(volume.markers().unwrap(), []);
    assert_eq!(volume.guard_holder().unwrap(), None);
    let error = volume.prepare(Uuid::nil()).unwrap_err();
    assert_eq!((error.fault(), error.path()), (Fault::ReadOnly, root.as_path()));
    assert!(error.to_string().contains("mount it writable"), "{error}");
}

#[test]
fn other_users_volume() {
    if !is_again("other_users_volume", "exec setpriv --reuid=65534 --regid=65534 --clear-groups") {
        return;
    }
    let volume = at(PathBuf::from("/usr"));
    volume.check_root().unwrap();
    volume.look().unwrap();
    let error = volume.prepare(Uuid::nil()).unwrap_err();
    assert_eq!(error.fault(), Fault::Denied);
    let text = error.to_string();
    assert!(text.starts_with("cannot create a file in /usr (owner 0:0, mode 0755) as uid "), "{text}");
    assert!(text.contains("busybox chown -R "), "{text}");

    let scratch = Scratch::new();
    scratch.volume().prepare(Uuid::nil()).unwrap();
    let mode = PermissionsExt::from_mode(0o000);
    scratch.write(".migrating_in_progress_v1", "");
    std::fs::set_permissions(scratch.path(".migrating_in_progress_v1"), mode).unwrap();
    let look = scratch.volume().look().unwrap();
    assert!(look.view.steps[MIGRATE.0].occupant.is_some());
    assert!(look.problems[0].contains("cannot be read by this user"), "{:?}", look.problems);
    let mode = PermissionsExt::from_mode(0o500);
    std::fs::set_permissions(scratch.path(".bellwether/claims"), mode).unwrap();
    let error = scratch.volume().prepare(Uuid::nil()).unwrap_err();
    assert!(error.path().ends_with(".bellwether/claims") && error.fault() == Fault::Denied, "{error}");
}

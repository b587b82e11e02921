//! Volumes that refuse us, for real. They need a machine that lets one mount, so they are run by name:
//!
//! ```sh
//! unshare -m sh -c 'mount -t tmpfs -o size=256k none /mnt && TMPDIR=/mnt "$TESTS" --ignored full_volume'
//! unshare -m sh -c 'mount -t tmpfs -o ro none /mnt && TMPDIR=/mnt "$TESTS" --ignored read_only_volume'
//! setpriv --reuid=1000 --regid=1000 --clear-groups "$TESTS" --ignored other_users_volume
//! ```
//!
//! How each refusal is classified and told is tested on every machine, in `error.rs`.

use std::io::Write;
use std::path::PathBuf;

use uuid::Uuid;

use super::super::testing::{ASSETS, MIGRATE, Scratch, claimed, plan, rev, run};
use super::super::{Beat, DoneFacts, End, How, Record, Replica, UnixMillis, Volume};
use crate::protocol::Fault;
use crate::protocol::{Epoch, View};

fn at(root: PathBuf) -> Volume {
    Volume::new(root, rev("v1"), plan(), Replica { id: Uuid::from_u128(1), host: "host".to_owned(), pid: 1 })
}

fn record() -> Record {
    Record {
        rev: "v1".to_owned(),
        epoch: 5,
        attempts: 1,
        not_before: None,
        deferred_ms: 0,
        last_end: Some(End::Open),
        started_at: None,
        duration_ms: None,
    }
}

#[test]
#[ignore = "needs a small tmpfs as TMPDIR"]
fn full_volume() {
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
    let done = DoneFacts { finished_at: UnixMillis(1), duration_ms: 1, how: How::Ran };
    assert!(volume.commit(&mut migrate, &done).unwrap(), "a step that is done is done on a full disk too");
    assert!(volume.look().unwrap().view.steps[MIGRATE.0].done);
    full(volume.write_record(ASSETS, &record()).unwrap_err());
    full(successor.claim(ASSETS, Epoch(6), &[Epoch(5)], &run()).map(drop).unwrap_err());
    assert_eq!(volume.beat(&mut assets).unwrap(), Beat::Refreshed);
    assert_eq!(scratch.names(".bellwether/claims"), ["assets_v1.6"]);

    drop(filler);
    std::fs::remove_file(scratch.path("filler")).unwrap();
    let mut assets = claimed(&successor, ASSETS, 6, &[5]);
    assert!(successor.commit(&mut assets, &done).unwrap());
    assert!(scratch.names(".bellwether/tmp").is_empty());
}

#[test]
#[ignore = "needs a read-only TMPDIR"]
fn read_only_volume() {
    let root = std::env::temp_dir();
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
#[ignore = "needs a user other than root"]
fn other_users_volume() {
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
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    scratch.write(".migrating_in_progress_v1", "");
    std::fs::set_permissions(scratch.path(".migrating_in_progress_v1"), mode).unwrap();
    let look = scratch.volume().look().unwrap();
    assert!(look.view.steps[MIGRATE.0].occupant.is_some());
    assert!(look.problems[0].contains("cannot be read by this user"), "{:?}", look.problems);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o500);
    std::fs::set_permissions(scratch.path(".bellwether/claims"), mode).unwrap();
    let error = scratch.volume().prepare(Uuid::nil()).unwrap_err();
    assert!(error.path().ends_with(".bellwether/claims") && error.fault() == Fault::Denied, "{error}");
}

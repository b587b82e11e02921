//! A volume in the middle of a roll-out, and what can stand in the place of each of its files.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use crate::wait::require_root;

/// What must be neither read nor written through a link.
pub(crate) const SECRET: &str = "what-stands-elsewhere-and-is-nobodys-business\n";
/// Far more than a replica may keep in memory.
const SPARSE: u64 = 1 << 30;

/// Each step says that it ran, where somebody wants to know it.
const PLAN: &str = r#"{"steps":[
    {"name":"site","run":["/bin/sh","-c","echo site >>${RAN:-/dev/null}"]},
    {"name":"migrate","run":["/bin/sh","-c","echo migrate >>${RAN:-/dev/null}"],"after":["site"]}]}"#;
const MARKER: &str =
    r#"{"schema":1,"rev":"v1","epoch":1,"replica":{"id":"65432109-8765-4321-8765-432109876543","host":"w","pid":7}"#;

/// What is at its place, and whether it is a directory. The claim and the marker of a leader that has died, its record,
/// and all that a leadership leaves.
pub(crate) const PLACES: [(&str, bool); 18] = [
    (".ready_v1", false),
    (".failed_v1", false),
    (".site_done_v1", false),
    (".migrate_in_progress_v1", false),
    (".bellwether", true),
    (".bellwether/id", false),
    (".bellwether/guard.lock", false),
    (".bellwether/revisions", false),
    (".bellwether/history.jsonl", false),
    (".bellwether/claims", true),
    (".bellwether/claims/migrate_v1.1", false),
    (".bellwether/epochs", true),
    (".bellwether/epochs/1", false),
    (".bellwether/steps", true),
    (".bellwether/steps/migrate.json", false),
    (".bellwether/steps/migrate.data", false),
    (".bellwether/log", true),
    (".bellwether/tmp", true),
];

/// What stands in a file's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Odd {
    LinkToSecret,
    DanglingLink,
    LinkToItself,
    /// To one with everything in it that belongs there; in a directory's place alone.
    LinkToDirectory,
    /// A directory where a file belongs, and the other way round.
    OtherKind,
    Fifo,
    Socket,
    Sparse,
    /// Ours, and nobody may read it.
    Locked,
    /// Another's, for that one alone.
    Foreign,
}

pub(crate) const ODDS: [Odd; 10] = [
    Odd::LinkToSecret,
    Odd::DanglingLink,
    Odd::LinkToItself,
    Odd::LinkToDirectory,
    Odd::OtherKind,
    Odd::Fifo,
    Odd::Socket,
    Odd::Sparse,
    Odd::Locked,
    Odd::Foreign,
];

impl Odd {
    /// Root may do everything, so these are seen by another user only.
    pub(crate) fn wants_another_user(self) -> bool {
        matches!(self, Odd::Locked | Odd::Foreign)
    }

    /// Whether there is such a thing in the place of a directory, or of a file.
    pub(crate) fn fits(self, is_directory: bool) -> bool {
        match self {
            Odd::Sparse => !is_directory,
            Odd::LinkToDirectory => is_directory,
            _ => true,
        }
    }
}

/// A scratch directory with a volume, a plan and a secret beside it.
pub(crate) struct Scene {
    dir: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        // In memory: nothing here is about power loss.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let scene = Scene { dir };
        fs::set_permissions(scene.dir.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(scene.beside("plan.json"), PLAN).unwrap();
        fs::write(scene.beside("secret"), SECRET).unwrap();
        fs::write(scene.beside("ran"), "").unwrap();
        fs::set_permissions(scene.beside("ran"), Permissions::from_mode(0o666)).unwrap();
        for name in ["volume", "volume/.bellwether"] {
            fs::create_dir(scene.beside(name)).unwrap();
        }
        for (name, _) in PLACES.iter().filter(|(_, is_directory)| *is_directory).skip(1) {
            fs::create_dir(scene.path(name)).unwrap();
        }
        for (name, content) in [
            (".site_done_v1", format!(r#"{MARKER},"step":"site","attempt":1,"finished_at":"2024-05-01T10:00:00Z"}}"#)),
            (
                ".migrate_in_progress_v1",
                format!(r#"{MARKER},"step":"migrate","attempt":1,"beat_every":0.2,"done":"migrate_done"}}"#),
            ),
            (".bellwether/id", "65432109-8765-4321-8765-432109876543\n".to_owned()),
            (".bellwether/guard.lock", String::new()),
            (".bellwether/revisions", "v1\n".to_owned()),
            (".bellwether/history.jsonl", String::new()),
            (".bellwether/claims/migrate_v1.1", format!(r#"{MARKER},"step":"migrate","attempt":1}}"#)),
            (".bellwether/epochs/1", String::new()),
            (
                ".bellwether/steps/migrate.json",
                r#"{"schema":1,"rev":"v1","epoch":1,"attempts":1,"last_end":"open"}"#.to_owned(),
            ),
            (".bellwether/steps/migrate.data", "{}".to_owned()),
        ] {
            fs::write(scene.path(name), content + "\n").unwrap();
            // Since long before anybody came, so nobody waits for a beat.
            File::options().write(true).open(scene.path(name)).unwrap().set_modified(UNIX_EPOCH).unwrap();
        }
        scene
    }

    pub(crate) fn beside(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn volume(&self) -> std::path::PathBuf {
        self.beside("volume")
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.volume().join(name)
    }

    /// Gives everything to this user.
    pub(crate) fn give_to(&self, user: u32) {
        require_root();
        for path in [self.volume()].into_iter().chain(everything(&self.volume())) {
            std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
        }
    }

    /// Puts something odd into a place. A socket lives as long as what is given back.
    pub(crate) fn put(&self, (name, is_directory): (&str, bool), odd: Odd) -> Option<UnixListener> {
        let path = self.path(name);
        let is_there = fs::symlink_metadata(&path).is_ok();
        if matches!(odd, Odd::Locked | Odd::Foreign) {
            if !is_there {
                fs::write(&path, "").unwrap();
            }
            let owner = if odd == Odd::Foreign { 0 } else { 65534 };
            let mode = if odd == Odd::Locked {
                0
            } else if is_directory {
                0o700
            } else {
                0o600
            };
            chown(&path, Some(owner), Some(owner)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            return None;
        }
        if odd == Odd::LinkToDirectory {
            fs::rename(&path, self.beside("elsewhere")).unwrap();
        } else if is_directory {
            fs::remove_dir_all(&path).unwrap();
        } else if is_there {
            fs::remove_file(&path).unwrap();
        }
        match odd {
            Odd::LinkToSecret => symlink(self.beside("secret"), &path).unwrap(),
            Odd::DanglingLink => symlink(self.beside("nowhere"), &path).unwrap(),
            Odd::LinkToItself => symlink(&path, &path).unwrap(),
            Odd::LinkToDirectory => symlink(self.beside("elsewhere"), &path).unwrap(),
            Odd::OtherKind if is_directory => fs::write(&path, "").unwrap(),
            Odd::OtherKind => fs::create_dir(&path).unwrap(),
            Odd::Fifo => mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap(),
            Odd::Socket => return Some(UnixListener::bind(&path).unwrap()),
            _ => {
                let file = File::create(&path).unwrap();
                file.set_len(SPARSE).unwrap();
                file.set_modified(UNIX_EPOCH).unwrap();
            }
        }
        None
    }
}

/// Everything below a directory; no link is followed.
pub(crate) fn everything(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            found.extend(everything(&entry.path()));
        }
    }
    found.sort();
    found
}

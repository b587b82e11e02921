//! Something else where a file of ours belongs: every place, every kind, every command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::TempDir;

use crate::expected::{ACTING, Asked, LOOKING, Want};
use crate::places::{ODDS, Odd, PLACES, SECRET, Scene};
use crate::replica::{Ended, Launch, copy_for_all};
use crate::wait::require_root;

const NOBODY: u32 = 65534;

struct Case {
    place: (&'static str, bool),
    odd: Odd,
}

fn ask(scene: &Scene, binary: &Path, odd: Odd, asked: Asked) -> Ended {
    let user = odd.wants_another_user().then_some(NOBODY);
    Launch::new(binary, user, asked.words())
        .env("IMAGE_REV", "v1")
        .env("BELLWETHER_VOLUME", scene.volume())
        .env("BELLWETHER_PLAN", scene.beside("plan.json"))
        .env("RAN", scene.beside("ran"))
        .env("STEP_STALE_SECS", "1")
        .env("BELLWETHER_STOP_GRACE_SECS", "0.3")
        .run()
}

fn scene(odd: Odd) -> Scene {
    let scene = Scene::new();
    if odd.wants_another_user() {
        scene.give_to(NOBODY);
    }
    scene
}

/// What is wrong with an end, whatever had to become of it; nothing, if all is well.
fn fault(scene: &Scene, ended: &Ended) -> Option<&'static str> {
    let said = &ended.said;
    let secret = fs::read_to_string(scene.beside("secret")).unwrap();
    match ended.status.and_then(|status| status.code()) {
        None => Some("it hangs, or dies of a signal"),
        Some(70 | 101) => Some("a bug"),
        _ if said.contains("memory") => Some("it wants all of a large file in memory"),
        _ if said.contains("panicked") => Some("a panic"),
        _ if said.contains(SECRET.trim()) => Some("what stands elsewhere is shown"),
        _ if secret != SECRET || scene.beside("nowhere").exists() => Some("something was written elsewhere"),
        _ => None,
    }
}

/// The same, and what differs from `want`, where something odd stands in the place of `culprit`.
fn judge(scene: &Scene, ended: &Ended, want: Want, culprit: &str) -> Result<(), String> {
    // A claim that is taken over has the next number.
    let culprit = if culprit.contains("/claims/") { ".bellwether/claims/migrate_v1." } else { culprit };
    let code = ended.status.and_then(|status| status.code());
    let ran = fs::read_to_string(scene.beside("ran")).unwrap().lines().collect::<Vec<_>>().join(" ");
    let fault = fault(scene, ended).map(ToOwned::to_owned).or_else(|| {
        if code != Some(want.code) {
            Some(format!("it has to end with {}", want.code))
        } else if ran != want.ran {
            Some(format!("{:?} ran, and that has to be {:?}", ran, want.ran))
        } else if want.is_named && !ended.said.contains(culprit) {
            Some("the culprit is not named".to_owned())
        } else {
            None
        }
    });
    fault.map_or(Ok(()), |fault| Err(format!("ended with {code:?}: {fault}\n{}", ended.said)))
}

impl Case {
    fn scene(&self) -> (Scene, Option<UnixListener>) {
        let scene = scene(self.odd);
        let socket = scene.put(self.place, self.odd);
        (scene, socket)
    }

    fn judge(&self, scene: &Scene, binary: &Path, asked: Asked) -> Option<String> {
        let (Case { place: (place, _), odd }, ended) = (self, ask(scene, binary, self.odd, asked));
        let judged = judge(scene, &ended, Want::of(place, *odd, asked), place);
        judged.err().map(|fault| format!("{odd:?} as {place}: {asked:?} {fault}"))
    }

    fn all(&self, binary: &Path) -> Vec<String> {
        let (scene, _socket) = self.scene();
        let looking = LOOKING.iter().filter_map(|&asked| self.judge(&scene, binary, asked));
        let acting = ACTING.iter().filter_map(|&asked| self.judge(&self.scene().0, binary, asked));
        looking.chain(acting).collect()
    }
}

/// A copy of the binary that another user may execute, too.
fn binary() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = dir.path().join("bellwether");
    copy_for_all(&binary);
    (dir, binary)
}

fn try_all(odds: impl Fn(Odd) -> bool) {
    let (_dir, binary) = binary();
    let cases = ODDS.iter().filter(|odd| odds(**odd)).flat_map(|&odd| {
        let places = PLACES.iter().filter(move |(_, is_directory)| odd.fits(*is_directory));
        places.map(move |&place| Case { place, odd })
    });
    let cases: Vec<Case> = cases.collect();
    let wrong: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = cases
            .chunks(cases.len().div_ceil(4))
            .map(|some| scope.spawn(|| some.iter().flat_map(|case| case.all(&binary)).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

/// Else nothing could be told from a difference.
#[test]
fn where_all_is_as_it_should_be() {
    let (_dir, binary) = binary();
    for asked in LOOKING.into_iter().chain(ACTING) {
        for odd in [Odd::Fifo, Odd::Foreign] {
            let scene = scene(odd);
            let judged = judge(&scene, &ask(&scene, &binary, odd, asked), Want::of_a_sound_volume(asked), "");
            judged.unwrap_or_else(|fault| panic!("{asked:?} {fault}"));
        }
    }
}

#[test]
fn links() {
    try_all(|odd| matches!(odd, Odd::LinkToSecret | Odd::DanglingLink | Odd::LinkToItself | Odd::LinkToDirectory));
}

#[test]
fn other_kinds() {
    try_all(|odd| matches!(odd, Odd::OtherKind | Odd::Fifo | Odd::Socket));
}

#[test]
fn a_gibibyte() {
    try_all(|odd| odd == Odd::Sparse);
}

#[test]
fn without_permission() {
    require_root();
    try_all(Odd::wants_another_user);
}

/// The bound on memory is one: what reads a gibibyte does not get through.
#[test]
fn the_bound_on_memory_holds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let read = |size: &str| {
        let script = format!("import sys; open(sys.argv[1], 'rb').read({size})");
        let words = ["-c", &script, path.to_str().unwrap()];
        Launch::new(Path::new("/usr/bin/python3"), None, &words).run()
    };
    assert!(read("1000").status.unwrap().success());
    let ended = read("");
    assert!(!ended.status.unwrap().success() && ended.said.contains("MemoryError"), "{ended:?}");
}

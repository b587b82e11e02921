//! Something else where a file of ours belongs: every place, every kind, every command.

use std::fs;
use std::path::Path;
use std::thread;

use crate::places::{ODDS, Odd, PLACES, SECRET, Scene};
use crate::replica::{Ended, Launch, copy_for_all};
use crate::wait::require_root;

/// Commands, and how they end where all is as it should be.
type Commands = [(&'static [&'static str], i32); 4];
/// These change nothing, so they are asked one after another on the same volume.
const LOOKING: Commands = [(&["ready", "-v"], 1), (&["status"], 0), (&["doctor"], 0), (&["plan"], 0)];
const ACTING: Commands =
    [(&["run", "--", "true"], 0), (&["retry"], 0), (&["reset"], 0), (&["skip", "--step", "migrate"], 0)];

const NOBODY: u32 = 65534;

struct Case {
    place: (&'static str, bool),
    odd: Odd,
}

fn ask(scene: &Scene, binary: &Path, odd: Odd, words: &[&str]) -> Ended {
    let user = odd.wants_another_user().then_some(NOBODY);
    Launch::new(binary, user, words)
        .env("IMAGE_REV", "v1")
        .env("BELLWETHER_VOLUME", scene.volume())
        .env("BELLWETHER_PLAN", scene.beside("plan.json"))
        .env("STEP_STALE_SECS", "1")
        .env("BELLWETHER_STOP_GRACE_SECS", "0.3")
        .run()
}

impl Case {
    fn scene(&self) -> (Scene, Option<std::os::unix::net::UnixListener>) {
        let scene = Scene::new();
        if self.odd.wants_another_user() {
            scene.give_to(NOBODY);
        }
        let socket = scene.put(self.place, self.odd);
        (scene, socket)
    }

    /// What is wrong with what became of it; nothing, if all is well. `usual`: its exit code where all is as it should be.
    fn judge(&self, scene: &Scene, words: &[&str], ended: &Ended, usual: i32) -> Option<String> {
        let (place, said) = (self.place.0, &ended.said);
        let code = ended.status.and_then(|status| status.code());
        let secret = fs::read_to_string(scene.beside("secret")).unwrap();
        // A claim that is taken over has the next number.
        let place = if place.contains("/claims/") { ".bellwether/claims/migrate_v1." } else { place };
        let wrong = match code {
            None => format!("hangs, or dies of a signal: {:?}", ended.status),
            Some(70 | 101) => "a bug".to_owned(),
            _ if said.contains("memory") => "it wants all of a large file in memory".to_owned(),
            _ if said.contains("panicked") => "a panic".to_owned(),
            _ if said.contains(SECRET.trim()) => "what stands elsewhere is shown".to_owned(),
            _ if secret != SECRET || scene.beside("nowhere").exists() => "something was written elsewhere".to_owned(),
            Some(code) if code != 0 && code != usual && !said.contains(place) => "the culprit is not named".to_owned(),
            _ => return None,
        };
        Some(format!("{:?} as {place}: {words:?} ended with {code:?}: {wrong}\n{said}", self.odd))
    }

    fn all(&self, binary: &Path) -> Vec<String> {
        let (scene, _socket) = self.scene();
        let mut wrong = Vec::new();
        for (words, usual) in LOOKING {
            wrong.extend(self.judge(&scene, words, &ask(&scene, binary, self.odd, words), usual));
        }
        for (words, usual) in ACTING {
            let (scene, _socket) = self.scene();
            wrong.extend(self.judge(&scene, words, &ask(&scene, binary, self.odd, words), usual));
        }
        wrong
    }
}

fn try_all(odds: impl Fn(Odd) -> bool) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let binary = dir.path().join("bellwether");
    copy_for_all(&binary);
    let cases = ODDS.iter().filter(|odd| odds(**odd)).flat_map(|&odd| {
        let places = PLACES.iter().filter(move |(_, is_directory)| odd != Odd::Sparse || !is_directory);
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
    for (words, usual) in LOOKING.into_iter().chain(ACTING) {
        for odd in [Odd::Fifo, Odd::Foreign] {
            let (dir, scene) = (tempfile::tempdir().unwrap(), Scene::new());
            let user = odd.wants_another_user().then_some(NOBODY);
            if let Some(user) = user {
                scene.give_to(user);
            }
            fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            copy_for_all(&dir.path().join("bellwether"));
            let ended = ask(&scene, &dir.path().join("bellwether"), odd, words);
            assert_eq!(ended.status.unwrap().code(), Some(usual), "{words:?}: {}", ended.said);
        }
    }
}

#[test]
fn links() {
    try_all(|odd| matches!(odd, Odd::LinkToSecret | Odd::DanglingLink | Odd::LinkToItself));
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

//! Revisions of every odd kind: refused before a file is touched, or as good as any other.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::places::{Scene, everything};
use crate::replica::{Ended, Launch};

const COMMANDS: [&[&str]; 7] =
    [&["run", "--", "true"], &["ready"], &["ready", "-v"], &["status"], &["retry"], &["reset"], &["doctor"]];

/// Empty, with paths in them, with what a shell or a terminal would obey, and with letters that only look right.
const ODD: &[&str] = &[
    "",
    " ",
    "v1 ",
    " v1",
    "v 1",
    ".",
    "..",
    "../v1",
    "v1/..",
    "/",
    "/etc/passwd",
    "v1/",
    "a/b",
    ".v1",
    "-v1",
    "--rev",
    "_v1",
    "v1\n",
    "\nv1",
    "v\t1",
    "v1\r",
    "v1\u{1b}[2J",
    "vé",
    "ｖ１",
    "v\u{430}1",
    "v1\u{200b}",
    "v1\u{202e}",
    "v1*",
    "v1?",
    "$(id)",
    "`id`",
    "v1;id",
    "v1:2",
    "v1@sha256",
    "v1+build",
    "v1=2",
    "v1\\",
    "'v1'",
    "\"v1\"",
    "{v1}",
];

fn ask(scene: &Scene, rev: &OsString, words: &[&str]) -> Ended {
    Launch::new(Path::new(env!("CARGO_BIN_EXE_bellwether")), None, words)
        .env("IMAGE_REV", rev)
        .env("BELLWETHER_VOLUME", scene.volume())
        .env("BELLWETHER_PLAN", scene.beside("plan.json"))
        .env("STEP_STALE_SECS", "1")
        .run()
}

/// Every name with its kind, owner, times and content.
fn picture(scene: &Scene) -> Vec<String> {
    let of = |path: &Path| {
        let stat = fs::symlink_metadata(path).unwrap();
        let content = stat.is_file().then(|| fs::read(path).unwrap());
        let times = (stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec());
        format!("{} {:o} {} {} {times:?} {content:?}", path.display(), stat.mode(), stat.ino(), stat.uid())
    };
    std::iter::once(scene.volume()).chain(everything(&scene.volume())).map(|path| of(&path)).collect()
}

fn texts(texts: &[&str]) -> Vec<OsString> {
    texts.iter().map(OsString::from).collect()
}

#[test]
fn an_odd_one_is_refused_before_a_file_is_touched() {
    let scene = Scene::new();
    let before = picture(&scene);
    let mut odd = texts(ODD);
    odd.push("x".repeat(129).into());
    odd.push(OsString::from_vec(b"v1\xff".to_vec()));
    odd.push(OsString::from_vec(b"\xc3\x28".to_vec()));
    for rev in &odd {
        for words in COMMANDS {
            let ended = ask(&scene, rev, words);
            let code = ended.status.and_then(|status| status.code());
            // `doctor` goes on with what else there is to look at.
            assert_eq!(code, Some(64), "{rev:?} {words:?}: {}", ended.said);
            assert!(ended.said.contains("IMAGE_REV"), "{rev:?} {words:?}: {}", ended.said);
            assert!(!ended.said.contains('\u{1b}'), "{rev:?} {words:?}: {:?}", ended.said);
            assert_eq!(picture(&scene), before, "{rev:?} {words:?} touched something");
        }
    }
}

#[test]
fn an_unusual_one_is_as_good_as_any() {
    let longest = "x".repeat(128);
    for rev in texts(&[
        "0",
        "v1.",
        "v1-",
        "v1_",
        "1..2",
        "a--b",
        "in_progress",
        "ready",
        "failed_v1",
        "done_v1",
        "tmp",
        &longest,
    ]) {
        let scene = Scene::new();
        let ended = ask(&scene, &rev, &["ready"]);
        assert_eq!(ended.status.unwrap().code(), Some(1), "{rev:?} is not ready: {}", ended.said);
        let ended = ask(&scene, &rev, &["run", "--", "true"]);
        assert_eq!(ended.status.unwrap().code(), Some(0), "{rev:?}: {}", ended.said);
        assert_eq!(ask(&scene, &rev, &["ready"]).status.unwrap().code(), Some(0), "{rev:?}");
        assert_eq!(ask(&scene, &OsString::from("v1"), &["ready"]).status.unwrap().code(), Some(1), "v1 after {rev:?}");
    }
}

/// What remains of one name behind an underscore is a revision, too: none of them is ready because another is.
#[test]
fn one_that_ends_like_another_ones_markers_is_not_taken_for_it() {
    let scene = Scene::new();
    assert_eq!(ask(&scene, &"v1".into(), &["run", "--", "true"]).status.unwrap().code(), Some(0));
    for rev in [
        "done_v1",
        "migrate_done_v1",
        "in_progress_v1",
        "progress_v1",
        "ready_v1",
        "failed_v1",
        "1",
        "V1",
        "v1.1",
        "v1_",
    ] {
        let ended = ask(&scene, &rev.into(), &["ready"]);
        assert_eq!(ended.status.unwrap().code(), Some(1), "{rev}: {}", ended.said);
    }
}

//! `tests/regressions/`: stories that once broke a promise, or lead where chance seldom does. Played always.
//!
//! A file has a comment on what it is for, lines `breaks …` with a mutant and the promise that breaks with it, lines
//! `expect …` with what its trace has to tell, in this order, and the story.

use std::path::{Path, PathBuf};

use bellwether::protocol::mutant::ALL;

use crate::stage::{Sabotage, play};
use crate::story::Story;

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regressions");
    let mut files: Vec<PathBuf> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A story that is kept.
struct Kept {
    file: String,
    breaks: Vec<String>,
    expected: Vec<String>,
    story: Story,
}

fn read(path: &Path) -> Kept {
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.starts_with("# "), "{file} does not say what it is for");
    let after = |word: &str| text.lines().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect();
    let (breaks, expected) = (after("breaks "), after("expect "));
    let story = text.lines().filter(|line| !line.starts_with("breaks ") && !line.starts_with("expect "));
    let story = story.collect::<Vec<&str>>().join("\n").parse().unwrap_or_else(|problem| panic!("{file}: {problem}"));
    Kept { file, breaks, expected, story }
}

#[test]
fn every_kept_story_holds_and_leads_where_it_is_said_to() {
    let files = files();
    assert!(files.len() >= 5, "{files:?}");
    for path in files {
        let Kept { file, breaks, expected, story } = read(&path);
        for line in breaks {
            let mutant = line.split(' ').next();
            assert!(ALL.iter().any(|(name, _)| Some(*name) == mutant), "{file}: there is no such mutant: {line}");
        }
        let trace = match play(&story, Sabotage::None, true) {
            Ok(report) => report.trace,
            Err(broken) => panic!("{file}: {}\n{}", broken.what, broken.trace),
        };
        assert!(!expected.is_empty(), "{file} expects nothing");
        let mut rest = trace.as_str();
        for expected in expected {
            let at =
                rest.find(&expected).unwrap_or_else(|| panic!("{file}: not seen in its turn: {expected}\n{trace}"));
            rest = &rest[at + expected.len()..];
        }
    }
}

/// Each line `breaks …` of each file: mutant and promise.
#[cfg(feature = "_mutants")]
pub(crate) fn said() -> Vec<(String, String, String)> {
    let kept = files().into_iter().map(|path| read(&path));
    let lines = kept.flat_map(|kept| kept.breaks.into_iter().map(move |line| (kept.file.clone(), line)));
    let parted = lines.map(|(file, line)| {
        let (mutant, promise) = line.split_once(' ').unwrap_or_else(|| panic!("{file}: {line:?}"));
        (file, mutant.to_owned(), promise.to_owned())
    });
    parted.collect()
}

/// Which of them break now, and by what.
#[cfg(feature = "_mutants")]
pub(crate) fn broken() -> Vec<(String, String)> {
    let kept = files().into_iter().map(|path| read(&path));
    kept.filter_map(|kept| Some((kept.file, play(&kept.story, Sabotage::None, false).err()?.promise))).collect()
}

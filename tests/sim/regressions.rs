//! `tests/regressions/`: stories that once broke a promise, or lead where chance seldom does. Played always.
//!
//! A file has a comment on what it is for, the story, and lines `expect …` with what its trace has to tell.

use std::path::{Path, PathBuf};

use crate::stage::{Sabotage, play};
use crate::story::Story;

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regressions");
    let mut files: Vec<PathBuf> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_kept_story_holds_and_leads_where_it_is_said_to() {
    let files = files();
    assert!(files.len() >= 5, "{files:?}");
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{name} does not say what it is for");
        let (expected, story): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("expect "));
        let story: Story = story.join("\n").parse().unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let trace = match play(&story, Sabotage::None, true) {
            Ok(report) => report.trace,
            Err(broken) => panic!("{name}: {}\n{}", broken.what, broken.trace),
        };
        for expected in expected {
            let expected = expected.trim_start_matches("expect ");
            assert!(trace.contains(expected), "{name}: never seen: {expected}\n{trace}");
        }
    }
}

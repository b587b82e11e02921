//! The page about the checks: what it names is there.

use std::fs;
use std::path::Path;

use crate::variables;

const PAGE: &str = include_str!("../README.md");
const MUTANTS: &str = include_str!("../model/mutants.rs");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What stands between backticks in a line of text.
fn quoted() -> impl Iterator<Item = &'static str> {
    PAGE.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Every source of the tests, one after another.
fn sources(directory: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &sources(&path);
        } else if path.extension().is_none_or(|kind| kind == "rs") {
            all += &fs::read_to_string(&path).unwrap_or_default();
        }
    }
    all
}

#[test]
fn every_path_it_names_is_there() {
    let starts = ["tests/", "src/", "examples/", "benches/"];
    let paths = quoted().filter(|code| starts.iter().any(|start| code.starts_with(start)));
    let paths: Vec<&str> = paths.map(|code| code.split(' ').next().unwrap_or(code)).collect();
    let missing: Vec<&&str> = paths.iter().filter(|path| !Path::new(ROOT).join(path).exists()).collect();
    assert!(missing.is_empty() && paths.len() > 30, "{missing:?} of {}", paths.len());
}

#[test]
fn every_variable_it_speaks_of_is_known_to_a_test() {
    let sources = sources(&Path::new(ROOT).join("tests"));
    let unknown: Vec<&str> = variables(PAGE).into_iter().filter(|name| !sources.contains(name)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn every_mutant_stands_beside_the_promise_it_breaks() {
    let mut count = 0;
    for line in MUTANTS.lines().filter(|line| line.starts_with("    (\"")) {
        let [_, name, property, ..] = line.split('"').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let promise = match property.split(',').nth(1).unwrap().trim() {
            // What a promise stands on.
            "COUNTED_ON" => "P1",
            "AGAIN" => "P7",
            promise => promise,
        };
        let row = PAGE.lines().find(|row| row.starts_with(&format!("| {promise} |"))).unwrap();
        assert!(row.contains(&format!("`{name}`")), "{name} is caught by {promise}: {row}");
        count += 1;
    }
    assert_eq!(count, 21, "the README tells how many there are");
}

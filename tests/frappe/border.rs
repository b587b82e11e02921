//! What is the preset's stays in the preset, and it uses what every embedding program can use.

use std::fs;
use std::path::{Path, PathBuf};

/// All Rust files below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
    found
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn nobody_else_knows_what_frappe_is() {
    let preset = source_root().join("frappe");
    for path in sources(&source_root()).into_iter().filter(|path| !path.starts_with(&preset)) {
        let text = fs::read_to_string(&path).unwrap();
        // The crate's page names its parts, and a test of settings a preset that is not there.
        if path.ends_with("src/lib.rs") || path.ends_with("settings/check/tests.rs") {
            continue;
        }
        for word in ["frappe", "erpnext", "bench_helper", "new-site"] {
            assert!(!text.to_lowercase().contains(word), "{} speaks of {word}", path.display());
        }
    }
}

#[test]
fn the_preset_uses_nothing_that_is_not_public() {
    let root = fs::read_to_string(source_root().join("lib.rs")).unwrap();
    let public: Vec<&str> = root.lines().filter_map(|line| line.strip_prefix("pub use ")).collect();
    let modules: Vec<&str> = root.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let is_known = |name: &str| {
        let is_word = |list: &&str| list.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
        public.iter().any(is_word) || modules.contains(&name)
    };
    let mut seen = 0;
    for path in sources(&source_root().join("frappe")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("pub(crate)"), "{}", path.display());
        for at in text.match_indices("crate::").map(|(at, found)| at + found.len()) {
            let names =
                text[at..].strip_prefix('{').map_or_else(|| &text[at..], |list| list.split('}').next().unwrap());
            let is_list = text[at..].starts_with('{');
            let names: Vec<&str> = if is_list { names.split(',').collect() } else { vec![names] };
            for name in names
                .into_iter()
                .map(|name| name.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
            {
                assert!(name.is_empty() || is_known(name), "{}: crate::{name}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen} names found");
}

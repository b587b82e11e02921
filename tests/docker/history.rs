//! What a volume tells of the past: markers, the history, and the stand-in's trace.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::waiting::wait_for;

/// The volume of a stack, read from outside.
#[derive(Debug)]
pub(crate) struct Past(pub(crate) PathBuf);

impl Past {
    /// The events, in the order they were written.
    pub(crate) fn events(&self) -> Vec<Value> {
        lines(&self.0.join(".bellwether/history.jsonl"))
    }

    /// The hosts of these events, of a step if there is one: `hosts("done", "migrate")`.
    pub(crate) fn hosts(&self, event: &str, step: &str) -> Vec<String> {
        let is_it = |e: &Value| e["event"] == event && (step.is_empty() || e["step"] == step);
        self.events().iter().filter(|e| is_it(e)).map(|e| e["host"].as_str().unwrap().to_owned()).collect()
    }

    /// Whose step it is, as soon as a call of bench stands still where it was told to. On a busy machine the lease may be
    /// somebody else's by then, who waits for the guard: the step tells who is at work.
    #[track_caller]
    pub(crate) fn wait_until_stopped(&self) -> String {
        wait_for("a call of bench that stands still", || self.0.join(".stand-in/stopped-at").exists().then_some(()));
        let events = self.events();
        let started = events.iter().rfind(|event| event["event"] == "started").unwrap();
        started["host"].as_str().unwrap().to_owned()
    }

    /// Lets bench go on, and never stand still again.
    pub(crate) fn let_go_on(&self) {
        fs::write(self.0.join(".stand-in/go-on"), "").unwrap();
    }

    /// Each step of a revision has been done once, all is ready, and nothing else is left.
    #[track_caller]
    pub(crate) fn assert_all_done_once(&self, rev: &str) {
        for step in ["config", "site", "apps", "migrate", "assets"] {
            let done =
                self.events().iter().filter(|e| e["event"] == "done" && e["step"] == step && e["rev"] == rev).count();
            assert_eq!(done, 1, "{step} of {rev}: {:#?}", self.events());
        }
        let mut markers: Vec<String> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(&format!("_{rev}")))
            .collect();
        markers.sort();
        let words = [".apps_installed", ".assets_built", ".configured", ".migrated", ".ready", ".site_created"];
        assert_eq!(markers, words.map(|word| format!("{word}_{rev}")));
    }

    /// No two calls of bench of this command at once, and none beside its predecessor: how many there were.
    #[track_caller]
    pub(crate) fn assert_one_after_another(&self, commands: &[&str]) -> usize {
        let words = |line: &Value| line["argv"].as_array().unwrap().clone();
        let is_it = |line: &&Value| words(line).iter().any(|word| commands.iter().any(|command| word == command));
        let trace = lines(&self.0.join(".stand-in/trace"));
        let (mut is_running, mut count) = (false, 0);
        for line in trace.iter().filter(is_it).filter(|line| !words(line).contains(&"--help".into())) {
            match line["event"].as_str() {
                Some("start") => {
                    assert!(!is_running, "{line} began beside another: {trace:#?}");
                    is_running = true;
                    count += 1;
                }
                Some("end") => is_running = false,
                _ => {}
            }
        }
        count
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trace of these: a command, and whether it starts or ends.
    fn traced(calls: &[(&str, &str)]) -> usize {
        let directory = tempfile::TempDir::new().unwrap();
        fs::create_dir(directory.path().join(".stand-in")).unwrap();
        let line = |(argv, event): &(&str, &str)| {
            let argv: Vec<&str> = argv.split(' ').collect();
            format!("{}\n", serde_json::json!({"argv": argv, "event": event}))
        };
        fs::write(directory.path().join(".stand-in/trace"), calls.iter().map(line).collect::<String>()).unwrap();
        Past(directory.path().to_owned()).assert_one_after_another(&["new-site", "migrate"])
    }

    #[test]
    fn calls_one_after_another_are_counted() {
        let site = ["start", "end"].map(|event| ("new-site erp.localhost", event));
        let migrate = ["start", "end"].map(|event| ("--site erp.localhost migrate", event));
        let other = ("build", "start");
        assert_eq!(traced(&[site[0], other, site[1], migrate[0], migrate[1], migrate[0], migrate[1]]), 3);
    }

    #[test]
    #[should_panic(expected = "began beside another")]
    fn two_migrations_at_once_are_seen() {
        let migrate = ["start", "end"].map(|event| ("--site erp.localhost migrate", event));
        traced(&[migrate[0], migrate[0], migrate[1], migrate[1]]);
    }
}

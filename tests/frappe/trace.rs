//! What the stand-in's calls wrote themselves, and what follows from it.

use std::path::Path;

use serde_json::Value;

/// One call of bench, or one that was killed.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) pid: i64,
    /// As it was given to bench, secrets and all.
    pub(crate) argv: Vec<String>,
    pub(crate) begun: u64,
    /// When it ended and with which code; `None` if it was killed.
    pub(crate) end: Option<(u64, i64)>,
}

impl Call {
    /// The words without `--site SITE`.
    pub(crate) fn words(&self) -> Vec<&str> {
        let words: Vec<&str> = self.argv.iter().map(String::as_str).collect();
        match words[..] {
            ["--site", _, ref rest @ ..] => rest.to_vec(),
            _ => words,
        }
    }

    /// `new-site`, `migrate` …
    pub(crate) fn command(&self) -> &str {
        self.words().first().copied().unwrap_or_default()
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        self.argv.iter().any(|other| other == word)
    }
}

/// All calls, in the order of their beginnings.
#[derive(Clone, Debug)]
pub(crate) struct Trace(pub(crate) Vec<Call>);

impl Trace {
    pub(crate) fn read(path: &Path) -> Trace {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut calls: Vec<Call> = Vec::new();
        for event in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let (pid, at) = (event["pid"].as_i64().unwrap(), event["at"].as_u64().unwrap());
            match event["event"].as_str().unwrap() {
                "start" => {
                    let words = event["argv"].as_array().unwrap();
                    let argv = words.iter().map(|word| word.as_str().unwrap().to_owned()).collect();
                    calls.push(Call { pid, argv, begun: at, end: None });
                }
                "end" => {
                    let call = calls.iter_mut().rev().find(|call| call.pid == pid).unwrap();
                    call.end = Some((at, event["exit"].as_i64().unwrap()));
                }
                _ => {}
            }
        }
        Trace(calls)
    }

    /// The calls of that command.
    pub(crate) fn of(&self, command: &str) -> Vec<&Call> {
        self.0.iter().filter(|call| call.command() == command).collect()
    }

    /// The calls of that command that do something: asking for help does not.
    pub(crate) fn made(&self, command: &str) -> Vec<&Call> {
        self.of(command).into_iter().filter(|call| !call.has("--help")).collect()
    }

    /// The commands in order, those that only look left out.
    pub(crate) fn deeds(&self) -> Vec<&str> {
        let looks = ["execute", "ready-for-migration"];
        let deeds = self.0.iter().filter(|call| !looks.contains(&call.command()) && !call.has("--help"));
        deeds.map(Call::command).collect()
    }
}

//! What has to hold of a volume after whatever has befallen it, judged by what the steps and commands wrote themselves.

use std::fs;

use serde_json::Value;

use crate::boot::{self, STEPS};
use crate::journal::Entry;
use crate::stack::Stack;
use crate::wait::is_alive;

/// The volume of a replica that is dead, before the next is started.
#[derive(Debug)]
pub(crate) struct Wreck {
    done: [bool; 2],
    top_epoch: u64,
    records: [Option<Value>; 2],
    serves: usize,
}

fn done(stack: &Stack, step: &str, rev: &str) -> bool {
    stack.has(&format!(".{step}_done_{rev}"))
}

/// The highest number in `epochs/`.
fn top_epoch(stack: &Stack) -> u64 {
    let names = fs::read_dir(stack.path(".bellwether/epochs")).into_iter().flatten().flatten();
    names.filter_map(|name| name.file_name().to_str()?.parse().ok()).max().unwrap_or(0)
}

fn record(stack: &Stack, step: &str) -> Option<Value> {
    let content = fs::read(stack.path(&format!(".bellwether/steps/{step}.json"))).ok()?;
    Some(serde_json::from_slice(&content).unwrap_or_else(|error| panic!("the record of {step} is torn: {error}")))
}

/// P2 and P3 as they can be seen at any moment, and that nothing is torn.
fn assert_true(stack: &Stack, rev: &str) {
    let entries = stack.journal().entries();
    let of = |what: &str, step: &str| -> Vec<&Entry> {
        entries.iter().filter(|entry| entry.what == what && entry.step == step && entry.rev == rev).collect()
    };
    if stack.has(&format!(".ready_{rev}")) {
        assert!(STEPS.iter().all(|step| done(stack, step, rev)), "P2: ready, but not done: {:?}", stack.names("."));
    }
    assert!(done(stack, "site", rev) || !done(stack, "migrate", rev), "P3: migrate is done, but not site");
    for step in STEPS.iter().filter(|step| done(stack, step, rev)) {
        let last = of("start", step).pop().unwrap_or_else(|| panic!("P3: {step} is done and was never started"));
        let ended = of("end", step).iter().any(|entry| entry.pid == last.pid);
        assert!(ended, "P3: {step} is done, but its last run has not ended well: {entries:#?}");
        let alive = of("member", step).into_iter().find(|entry| is_alive(entry.pid));
        assert!(alive.is_none(), "P3: {step} is done, but a descendant is alive: {alive:?}");
    }
    for name in stack.names(".").iter().filter(|name| name.ends_with(&format!("_{rev}"))) {
        let content = fs::read_to_string(stack.path(name)).unwrap();
        let marker: Value =
            serde_json::from_str(&content).unwrap_or_else(|error| panic!("{name} is torn: {error}: {content:?}"));
        assert!(marker["rev"] == rev && content.ends_with('\n'), "{name}: {content:?}");
    }
    assert!(entries.iter().all(|entry| entry.what != "early"), "P4: somebody was early: {entries:#?}");
    stack.journal().assert_no_overlap();
}

impl Wreck {
    /// Judges what a dead replica left.
    pub(crate) fn look(stack: &Stack) -> Wreck {
        assert_true(stack, "v1");
        Wreck {
            done: STEPS.map(|step| done(stack, step, "v1")),
            top_epoch: top_epoch(stack),
            records: STEPS.map(|step| record(stack, step)),
            serves: stack.journal().count("serve", "-"),
        }
    }

    /// Starts the next replica, and judges what comes of it.
    pub(crate) fn assert_goes_on(&self, stack: &Stack) {
        boot::assert_finishes(stack, "v1");
        assert_true(stack, "v1");
        let journal = stack.journal();
        for (number, step) in STEPS.into_iter().enumerate() {
            let (old, new): (Vec<Entry>, Vec<Entry>) =
                journal.of("start", step).into_iter().partition(|entry| entry.epoch <= self.top_epoch);
            assert!(
                new.len() == usize::from(!self.done[number]),
                "P3, P7: {step} was begun {} times: {self:?}",
                new.len()
            );
            self.assert_runs_counted(number, old.len());
            let epochs: Vec<u64> = new.iter().map(|entry| entry.epoch).collect();
            assert!(epochs.iter().all(|&epoch| epoch > self.top_epoch), "P9: {epochs:?} after {self:?}");
        }
        assert_eq!(journal.count("serve", "-"), self.serves + 1, "P7");
        assert!(stack.has(".ready_v1"), "P7");
        assert_nothing_in_the_way(stack, "v1");
        boot::assert_finishes(stack, "v2");
        assert_true(stack, "v2");
        assert_nothing_in_the_way(stack, "v2");
    }

    /// P11, before anybody goes on: every run so far is known to its step's record.
    pub(crate) fn assert_counted(&self, stack: &Stack) {
        for (number, step) in STEPS.into_iter().enumerate() {
            self.assert_runs_counted(number, stack.journal().count("start", step));
        }
    }

    fn assert_runs_counted(&self, number: usize, runs: usize) {
        let step = STEPS[number];
        assert!(self.done[number] || self.is_counted(number, runs), "P11: {runs} runs of {step}: {self:?}");
    }

    /// Whether so many runs of a step that is not done are known to its record. One that we stopped was given back.
    fn is_counted(&self, step: usize, runs: usize) -> bool {
        let Some(record) = &self.records[step] else { return runs == 0 };
        let given_back = u64::from(record["last_end"] == "stopped");
        record["attempts"].as_u64().unwrap() + given_back >= runs as u64
    }
}

fn assert_nothing_in_the_way(stack: &Stack, rev: &str) {
    let left = stack.names(".").into_iter().filter(|name| name.contains("in_progress") || name.contains("failed"));
    assert_eq!(left.collect::<Vec<_>>(), [""; 0], "in the root of {rev}");
    assert_eq!(stack.names(".bellwether/claims"), [""; 0], "claims after {rev}");
    let temporary = stack.names(".bellwether/tmp");
    assert!(temporary.len() <= 2, "one a death is enough: {temporary:?}");
}

/// What the world has seen of a boot before the power goes.
#[derive(Debug)]
pub(crate) struct Witness {
    announced: bool,
    starts: [usize; 2],
    epoch: u64,
}

impl Witness {
    pub(crate) fn of(stack: &Stack, log: &str) -> Witness {
        let journal = stack.journal();
        Witness {
            announced: log.contains("ready: handing off") || journal.count("serve", "-") > 0,
            starts: STEPS.map(|step| journal.count("start", step)),
            epoch: journal.entries().iter().map(|entry| entry.epoch).max().unwrap_or(0),
        }
    }

    /// Nothing of it may be gone after a loss of power. P9 and P11 of what is not done are in the wreck's own judgement.
    pub(crate) fn assert_kept(&self, stack: &Stack) {
        assert!(!self.announced || stack.has(".ready_v1"), "P2: announced and lost: {self:?}, {:?}", stack.names("."));
        assert!(
            self.starts[1] == 0 || done(stack, "site", "v1"),
            "done, acted upon and lost: {self:?}, {:?}",
            stack.names(".")
        );
        assert!(top_epoch(stack) >= self.epoch, "P9: epoch {} is forgotten: {}", self.epoch, top_epoch(stack));
    }
}

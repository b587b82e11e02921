//! How much of everything there was, in one round and in all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use crate::breach::Breach;
use crate::journal::{Entry, What};
use crate::jumps;
use crate::scene::Scene;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rounds: u64,
    /// Properties of rounds, and what happened in them, by name.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Faults, by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Faults that found nobody to hit, by kind.
    pub(crate) missed: BTreeMap<String, u64>,
    /// Lives that ended, by exit code.
    pub(crate) exits: BTreeMap<String, u64>,
    pub(crate) findings: Vec<String>,
    /// From the healing until everybody was at its command; the longest.
    pub(crate) settled_ms: u64,
    pub(crate) took_ms: u64,
}

/// What is counted of a round.
const COUNTS: [&str; 18] = [
    "replicas",
    "boots",
    "starts",
    "ends",
    "beats",
    "elections",
    "takeovers",
    "hand-offs",
    "untrusted",
    "guard alone",
    "few attempts",
    "failed for good",
    "with clocks",
    "clocks seen to jump",
    "Redis clocks seen to jump",
    "markers seen to beat",
    "leases heard to be kept or given back",
    "packets dropped",
];

impl Tally {
    pub(crate) fn of(scene: &Scene, entries: &[Entry], log: &str, heard: u64, dropped: u64) -> Tally {
        let count = |what| entries.iter().filter(|entry| entry.what == what).count() as u64;
        let epochs: BTreeSet<u64> =
            entries.iter().filter(|entry| entry.what == What::Start).map(|entry| entry.epoch).collect();
        let figures = [
            scene.replicas.len() as u64,
            count(What::Boot),
            count(What::Start),
            count(What::End),
            count(What::Beat),
            epochs.len() as u64,
            takeovers(entries),
            count(What::Serve),
            u64::from(!scene.is_trusted),
            u64::from(!scene.has_redis),
            u64::from(scene.is_doomed || scene.is_tight),
            u64::from(count(What::Failed) > 0),
            u64::from(scene.has_clocks),
            jumps::of_replicas(entries, log, jumps::began()),
            jumps::of_redis(entries),
            count(What::Beaten),
            heard,
            dropped,
        ];
        let mut tally = Tally { rounds: 1, ..Tally::default() };
        tally.counts = COUNTS.iter().map(|name| (*name).to_owned()).zip(figures).collect();
        for entry in entries {
            let counted = match entry.what {
                What::Fault => tally.faults.entry(entry.name.clone()),
                What::Exit => tally.exits.entry(entry.detail.clone()),
                _ => continue,
            };
            *counted.or_default() += 1;
        }
        tally
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        self.rounds += other.rounds;
        let maps = [
            (&mut self.counts, &other.counts),
            (&mut self.faults, &other.faults),
            (&mut self.missed, &other.missed),
            (&mut self.exits, &other.exits),
        ];
        for (sums, counts) in maps {
            for (name, count) in counts {
                *sums.entry(name.clone()).or_default() += count;
            }
        }
        self.findings.extend(other.findings.iter().cloned());
        self.settled_ms = self.settled_ms.max(other.settled_ms);
        self.took_ms += other.took_ms;
    }

    pub(crate) fn to_json(&self) -> String {
        let Tally { rounds, counts, faults, missed, exits, findings, settled_ms, took_ms } = self;
        json!({ "rounds": rounds, "counts": counts, "faults": faults, "missed": missed, "exits": exits,
                "findings": findings, "settled_ms": settled_ms, "took_ms": took_ms })
        .to_string()
    }

    pub(crate) fn from_json(text: &str) -> Option<Tally> {
        let value: Value = serde_json::from_str(text).ok()?;
        let map = |key: &str| -> Option<BTreeMap<String, u64>> {
            value[key].as_object()?.iter().map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect()
        };
        let findings = value["findings"].as_array()?.iter().map(|text| Some(text.as_str()?.to_owned()));
        Some(Tally {
            rounds: value["rounds"].as_u64()?,
            counts: map("counts")?,
            faults: map("faults")?,
            missed: map("missed")?,
            exits: map("exits")?,
            findings: findings.collect::<Option<_>>()?,
            settled_ms: value["settled_ms"].as_u64()?,
            took_ms: value["took_ms"].as_u64()?,
        })
    }
}

/// Starts of a step that another leader had begun and not ended.
fn takeovers(entries: &[Entry]) -> u64 {
    let mut open: BTreeMap<&str, u64> = BTreeMap::new();
    let mut count = 0;
    for entry in entries {
        match entry.what {
            What::Start => {
                let before = open.insert(&entry.name, entry.epoch);
                count += u64::from(before.is_some_and(|epoch| epoch != entry.epoch));
            }
            What::End => drop(open.remove(&*entry.name)),
            _ => {}
        }
    }
    count
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    let lines: Vec<String> = counts.iter().map(|(name, count)| format!("  {count:>7} {name}\n")).collect();
    lines.concat()
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "what there was in {} rounds:", self.rounds)?;
        for name in COUNTS {
            writeln!(f, "  {:>7} {name}", self.counts.get(name).unwrap_or(&0))?;
        }
        write!(f, "faults:\n{}faults that found nobody to hit:\n{}", list(&self.faults), list(&self.missed))?;
        write!(f, "exit codes of replicas:\n{}", list(&self.exits))?;
        writeln!(f, "what the referee found:")?;
        for (_, promise, name) in Breach::ALL {
            let said = format!("{promise}: {name}: ");
            let count = self.findings.iter().filter(|finding| finding.starts_with(&said)).count();
            writeln!(f, "  {count:>7} {promise} {name}")?;
        }
        writeln!(f, "longest from the healing until everybody was at its command: {} ms", self.settled_ms)
    }
}

//! What happened in a round, in the order in which it did: faults, journal, and what the replicas said.

use std::fmt::Write as _;
use std::fs;
use std::io;

use crate::breach::Finding;
use crate::journal::{Entry, What};
use crate::world::World;

/// Writes it into the scratch directory.
pub(crate) fn write(world: &World, entries: &[Entry], findings: &[Finding]) -> io::Result<()> {
    let text = tell(world, entries, findings)?;
    fs::write(world.scratch.join("timeline"), text)
}

fn tell(world: &World, entries: &[Entry], findings: &[Finding]) -> io::Result<String> {
    let log = fs::read_to_string(world.scratch.join("log"))?;
    let said = log.lines().filter_map(|line| {
        let (at, rest) = line.split_once(' ')?;
        let (life, text) = rest.split_once(' ')?;
        Some((at.parse().ok()?, format!("       {life:<6} | {text}")))
    });
    // Those of life signs would hide the others.
    let noted = entries
        .iter()
        .filter(|entry| !matches!(entry.what, What::Beat | What::Beaten))
        .map(|entry| (entry.at, describe(entry)));
    let mut lines: Vec<(u64, String)> = noted.chain(said).collect();
    lines.sort_by_key(|(at, _)| *at);
    let begin = lines.first().map_or(0, |(at, _)| *at);
    let mut text = format!("{:#?}\n", world.scene);
    for (at, line) in lines {
        writeln!(text, "{:>9.3} s {line}", std::time::Duration::from_nanos(at - begin).as_secs_f64())
            .expect("a text takes everything");
    }
    for finding in findings {
        writeln!(text, "BROKEN  {finding}").expect("a text takes everything");
    }
    Ok(text)
}

fn describe(entry: &Entry) -> String {
    let Entry { name, epoch, attempt, pid, life, detail, .. } = entry;
    let mark = if matches!(entry.what, What::Fault | What::Heal) { "<<<<<<" } else { "------" };
    let word = entry.to_string();
    let word = word.split(' ').next().unwrap_or_default();
    let step = if *epoch > 0 { format!(" epoch {epoch} attempt {attempt}") } else { String::new() };
    format!("{mark} {word} {name} {life}{step} pid {pid} {detail}")
}

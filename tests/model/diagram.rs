//! The list of transitions, and what stands on `Machine` in its documentation, are of the same machine: each way in lines,
//! and the picture, which leaves some out.

use std::collections::BTreeSet;

use crate::space::transitions::TRANSITIONS;

const SOURCE: &str = include_str!("../../src/protocol/machine/mod.rs");

const WAYS: &str = include_str!("../../src/protocol/machine/ways.md");

/// Each arrow of the picture, by how the list calls its ends. Arrows that lead on from a role to its first stage, or from a
/// winding's reason to what follows, are drawn once for several.
const ARROWS: &[(&str, &str)] = &[
    ("Following", "Ended(HandOff)"),
    ("Following", "Holding"),
    ("Following", "Ended(StepFailed)"),
    ("Holding", "Following"),
    ("Following", "Claiming(Look)"),
    ("Claiming(Look)", "Claiming(Revision)"),
    ("Claiming(Revision)", "Claiming(Epoch)"),
    ("Claiming(Epoch)", "Claiming(Sweep)"),
    ("Claiming(Sweep)", "Leading"),
    ("Open", "Claiming"),
    ("Claiming", "Counting"),
    ("Claiming", "Looking"),
    ("Looking", "Counting"),
    ("Counting", "Running"),
    ("Running", "Committing"),
    ("Committing", "Done"),
    ("Running", "Retracting"),
    ("Retracting", "Open"),
    ("Open", "Exhausted"),
    ("Leading", "Winding(Ready)"),
    ("Leading", "Winding(Failed)"),
    ("Leading", "Winding(LeaseLost)"),
    ("Leading", "Winding(Superseded)"),
    ("Leading", "Winding(Stop)"),
    ("Leading", "Winding(Fault)"),
    ("Leading", "Winding(GuardLost)"),
    ("Winding(Ready)", "Ended(HandOff)"),
    ("Winding(Failed)", "Holding"),
    ("Winding(Failed)", "Ended(StepFailed)"),
    ("Winding(LeaseLost)", "Following"),
    ("Winding(Superseded)", "Following"),
    ("Winding(Stop)", "Ended(Stopped)"),
    ("Winding(Fault)", "Ended(VolumeFailed)"),
    ("Winding(GuardLost)", "Ended(GuardLost)"),
];

/// Names and arrowheads of the picture, line by line: what `ARROWS` was read from.
const READ_FROM: &[&str] = &[
    "Started",
    "▼",
    "Following ► Ended HandOff",
    "▲",
    "► Holding ► Following",
    "▼ OnFailure Exit ► Ended StepFailed",
    "Claiming Look → Revision → Epoch → Sweep",
    "▼",
    "Leading Open → Claiming → Looking → Counting → Running → Committing → Done",
    "▲",
    "Retracting ◄",
    "► Exhausted",
    "▼",
    "Winding → → →",
    "Ready ► Ended HandOff Failed ► Holding Ended StepFailed",
    "Stop ► Ended Stopped Fault GuardLost ► Ended",
];

fn diagram() -> &'static str {
    let start = SOURCE.find("/// ```text").expect("a diagram");
    let rest = &SOURCE[start + 11..];
    &rest[..rest.find("/// ```").expect("its end")]
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.starts_with(char::is_uppercase))
}

/// Each way that the lines tell: `From → To, To`, going on in lines that are further in.
fn ways() -> BTreeSet<(&'static str, &'static str)> {
    let mut ways = BTreeSet::new();
    let mut from = "";
    for line in WAYS.lines().filter(|line| line.starts_with(' ')) {
        let to = line.split_once(" → ").map_or(line, |(source, to)| {
            from = source.trim();
            to
        });
        for to in to.split(',').map(str::trim).filter(|to| !to.is_empty()) {
            assert!(ways.insert((from, to)), "{from} → {to} is there twice");
        }
    }
    ways
}

#[test]
fn the_lines_tell_of_every_listed_transition_and_of_no_other() {
    let listed: BTreeSet<(&str, &str)> = TRANSITIONS.iter().map(|&(from, to, _)| (from, to)).collect();
    let told = ways();
    let untold: Vec<_> = listed.difference(&told).collect();
    let unlisted: Vec<_> = told.difference(&listed).collect();
    assert!(untold.is_empty() && unlisted.is_empty(), "not in ways.md: {untold:?}; not in the list: {unlisted:?}");
}

#[test]
fn every_arrow_of_the_picture_is_a_listed_transition() {
    for &(from, to) in ARROWS {
        assert!(TRANSITIONS.iter().any(|&(f, t, _)| (f, t) == (from, to)), "{from} → {to} is not in the list");
    }
}

/// Whoever adds, turns, moves or drops one in the picture has to read `ARROWS` from it again.
#[test]
fn the_picture_is_the_one_that_the_arrows_were_read_from() {
    let heads = ['►', '◄', '▲', '▼', '→'];
    let reduced = diagram().lines().map(|line| {
        let spaced = heads.iter().fold(line.to_owned(), |line, head| line.replace(*head, &format!(" {head} ")));
        let parts = spaced.split(|c: char| !c.is_ascii_alphanumeric() && !heads.contains(&c));
        let named = parts.filter(|part| part.starts_with(|c: char| c.is_uppercase() || heads.contains(&c)));
        named.collect::<Vec<&str>>().join(" ")
    });
    let reduced: Vec<String> = reduced.filter(|line| !line.is_empty()).collect();
    assert_eq!(reduced, READ_FROM);
}

#[test]
fn every_word_of_the_diagram_is_the_end_of_an_arrow() {
    let beside = ["Started", "OnFailure", "Exit"];
    for word in words(diagram()).filter(|word| !beside.contains(word)) {
        let named = ARROWS.iter().flat_map(|&(from, to)| words(from).chain(words(to))).any(|known| known == word);
        assert!(named, "{word} stands in the diagram, and no arrow of the list leads to it or away from it");
    }
}

//! The list of transitions and the diagram on `Machine` are of the same machine.

use crate::space::transitions::TRANSITIONS;

const SOURCE: &str = include_str!("../../src/protocol/machine/mod.rs");

/// Each arrow of the diagram, by how the list calls its ends.
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

fn diagram() -> &'static str {
    let start = SOURCE.find("/// ```text").expect("a diagram");
    let rest = &SOURCE[start + 11..];
    &rest[..rest.find("/// ```").expect("its end")]
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.starts_with(char::is_uppercase))
}

#[test]
fn every_arrow_of_the_diagram_is_a_listed_transition() {
    for &(from, to) in ARROWS {
        assert!(TRANSITIONS.iter().any(|&(f, t, _)| (f, t) == (from, to)), "{from} → {to} is not in the list");
    }
}

#[test]
fn every_word_of_the_diagram_is_the_end_of_an_arrow() {
    let beside = ["Started", "OnFailure", "Exit"];
    for word in words(diagram()).filter(|word| !beside.contains(word)) {
        let named = ARROWS.iter().flat_map(|&(from, to)| words(from).chain(words(to))).any(|known| known == word);
        assert!(named, "{word} stands in the diagram, and no arrow of the list leads to it or away from it");
    }
}

//! The state diagram in the documentation of `Machine` shows every role and every phase, and no other.

const SOURCE: &str = include_str!("../../src/protocol/machine/mod.rs");

fn diagram() -> String {
    let start = SOURCE.find("/// ```text").expect("a diagram");
    let rest = &SOURCE[start + 11..];
    rest[..rest.find("/// ```").expect("its end")].to_owned()
}

/// The names of an enum's variants, as the source declares them.
fn variants(source: &str, declaration: &str) -> Vec<String> {
    let start = source.find(declaration).expect("the enum") + declaration.len();
    let body = &source[start..start + source[start..].find("\n}").expect("its end")];
    let names = body.lines().map(str::trim).filter(|line| line.starts_with(char::is_uppercase));
    names.map(|line| line.chars().take_while(char::is_ascii_alphanumeric).collect()).collect()
}

#[test]
fn the_diagram_shows_every_role_and_phase() {
    let diagram = diagram();
    let roles = variants(SOURCE, "pub enum Role {");
    assert_eq!(roles, ["Following", "Claiming", "Leading", "Winding", "Holding", "Ended"]);
    let step = include_str!("../../src/protocol/machine/step.rs");
    let phases = variants(step, "enum Phase {");
    assert!(phases.contains(&"Retracting".to_owned()), "{phases:?}");
    let claiming = include_str!("../../src/protocol/machine/claiming.rs");
    let stages = variants(claiming, "pub enum ClaimStage {").into_iter().map(|s| s.replace("Looking", "Look"));
    for name in roles.into_iter().chain(phases).chain(stages) {
        assert!(diagram.contains(&name), "{name} is not in the diagram");
    }
}

#[test]
fn every_word_of_the_diagram_is_a_role_a_phase_or_an_outcome() {
    let known = [
        variants(SOURCE, "pub enum Role {"),
        variants(include_str!("../../src/protocol/machine/step.rs"), "enum Phase {"),
        variants(include_str!("../../src/protocol/machine/winding.rs"), "pub enum Why {"),
        variants(include_str!("../../src/protocol/action.rs"), "pub enum Outcome {"),
        ["Started", "Look", "Revision", "Epoch", "Sweep", "OnFailure", "Exit"].map(str::to_owned).to_vec(),
    ]
    .concat();
    let diagram = diagram();
    let words = diagram.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.starts_with(char::is_uppercase));
    for word in words {
        assert!(known.iter().any(|name| name == word), "the diagram speaks of {word}, which does not exist");
    }
}

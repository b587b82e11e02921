//! Findings as people read them.

use crate::finding::{Finding, Health};
use crate::settings::Mask;

/// A line each, and the repair below it.
pub(super) fn render(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    let lines = findings.iter().flat_map(|Finding { what, state, seen, repair, .. }| {
        let state = match state {
            Health::Ok => "ok",
            Health::Warn => "warn",
            Health::Fail => "fail",
        };
        let repair = repair.iter().flat_map(|repair| repair.lines());
        let head = format!("{state:<4}  {what:<width$}  {seen}");
        std::iter::once(head).chain(repair.map(|line| format!("      {line}")).collect::<Vec<_>>())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Without the secrets that `mask` knows, and without what a terminal would obey: servers may have written it.
pub(super) fn masked(finding: Finding, mask: &Mask) -> Finding {
    let clean = |text: &str, keeps_lines: bool| {
        let is_bad = |character: char| character.is_control() && !(keeps_lines && character == '\n');
        mask.mask(text).chars().map(|character| if is_bad(character) { ' ' } else { character }).collect::<String>()
    };
    let seen = clean(&finding.seen, false);
    let repair = finding.repair.as_deref().map(|repair| clean(repair, true));
    Finding { seen, repair, ..finding }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_finding_is_a_line_and_its_repair_stands_below() {
        let findings = [
            Finding::ok("Redis", "answers"),
            Finding::warn("settings", "odd", "mend it"),
            Finding::fail("volume", "full", "free some\nspace", Exit::VolumeIo),
        ];
        insta::assert_snapshot!(render(&findings), @r"
        ok    Redis     answers
        warn  settings  odd
              mend it
        fail  volume    full
              free some
              space
        ");
    }

    #[test]
    fn secrets_and_what_a_terminal_obeys_are_taken_out() {
        let mut mask = Mask::new();
        mask.add_secret("hunter2");
        let finding = Finding::warn("Redis", "says hunter2\x1b[2J\nx", "a\nnot hunter2");
        assert_eq!(masked(finding, &mask), Finding::warn("Redis", "says *** [2J x", "a\nnot ***"));
    }
}

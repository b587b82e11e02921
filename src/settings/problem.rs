//! What is wrong with the settings, said so that it can be repaired.

use std::fmt::{self, Write as _};

use super::mask::Mask;

/// So many characters of each part of a message are shown.
const LONGEST: usize = 1000;

/// One mistake in the settings, the command line or the plan file.
///
/// Displayed as `<culprit>: <what is wrong>; <what to do>`. Never holds a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    culprit: String,
    text: String,
}

impl Problem {
    /// A mistake in `culprit`: a variable, a flag, or a place in a file (`plan.json:7:13`).
    pub fn new(culprit: impl Into<String>, text: impl Into<String>) -> Problem {
        Problem { culprit: culprit.into(), text: text.into() }
    }

    /// What is to be repaired: a variable, a flag, or a place in a file.
    pub fn culprit(&self) -> &str {
        &self.culprit
    }

    /// The same problem without the secrets that `mask` knows.
    pub(super) fn masked(mut self, mask: &Mask) -> Problem {
        self.text = mask.mask(&self.text).into_owned();
        self
    }

    /// All problems as one text for people, one line each, ending without a newline.
    pub fn render(problems: &[Problem]) -> String {
        let many = if problems.len() == 1 { "is 1 problem" } else { &format!("are {} problems", problems.len()) };
        let mut text = format!("there {many} with the settings; nothing was touched");
        for problem in problems {
            let _ = write!(text, "\n  {problem}");
        }
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Cut(&self.culprit), Cut(&self.text))
    }
}

impl std::error::Error for Problem {}

/// Shows no more of a text than anybody reads, in one line: what was given may stand in it, and may be of any length and
/// hold what moves a terminal's cursor.
struct Cut<'a>(&'a str);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars().take(LONGEST) {
            match character {
                control if control.is_control() => write!(f, "{}", control.escape_debug())?,
                plain => f.write_char(plain)?,
            }
        }
        if self.0.chars().nth(LONGEST).is_some() { f.write_char('…') } else { Ok(()) }
    }
}

/// Something worth a warning in the log, once, that does not keep us from starting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    variable: String,
    text: String,
}

impl Notice {
    pub(crate) fn new(variable: impl Into<String>, text: impl Into<String>) -> Notice {
        Notice { variable: variable.into(), text: text.into() }
    }

    /// The same notice without the secrets that `mask` knows.
    pub(super) fn masked(mut self, mask: &Mask) -> Notice {
        self.text = mask.mask(&self.text).into_owned();
        self
    }

    /// The variable it is about.
    pub fn variable(&self) -> &str {
        &self.variable
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Cut(&self.variable), Cut(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_stays_in_its_line_and_ends_somewhere() {
        let problem = Problem::new("--\rrev\n", "é\u{1b}[2J".repeat(300));
        assert!(problem.to_string().starts_with(r"--\rrev\n: é\u{1b}[2Jé"), "{problem}");
        assert!(problem.to_string().ends_with('…'));
        let notice = Notice::new("X", "one\ntwo");
        assert_eq!(notice.to_string(), r"X: one\ntwo");
    }

    #[test]
    fn problems_are_listed_under_a_head_line() {
        let one = [Problem::new("IMAGE_REV", "is not set")];
        insta::assert_snapshot!(Problem::render(&one), @r"
        there is 1 problem with the settings; nothing was touched
          IMAGE_REV: is not set
        ");
        let two = [one[0].clone(), Problem::new("plan.json:7:13", "unknown key \"runn\"; did you mean \"run\"?")];
        insta::assert_snapshot!(Problem::render(&two), @r#"
        there are 2 problems with the settings; nothing was touched
          IMAGE_REV: is not set
          plan.json:7:13: unknown key "runn"; did you mean "run"?
        "#);
    }
}

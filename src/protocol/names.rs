//! The names that appear on the volume: revisions, steps, epochs, and the markers made of them.

use std::fmt;
use std::sync::Arc;

/// What is wrong with a name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// The name is empty.
    #[error("is empty")]
    Empty,
    /// The name has more than `limit` characters.
    #[error("has {length} characters; at most {limit} are allowed")]
    TooLong {
        /// Characters found.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// The name begins with, or holds, a character that is not allowed there.
    #[error(
        "holds {character:?} at position {position}; allowed are letters, digits and, after the first, '.', '_' and '-'"
    )]
    Character {
        /// The culprit.
        character: char,
        /// Where it stands, counted in characters from 1.
        position: usize,
    },
}

/// A revision (`IMAGE_REV`): what is being rolled out. Matches `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
///
/// It becomes part of file names, so nothing else is let in.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Revision(Arc<str>);

/// What is elected for (`BELLWETHER_SCOPE`, else the volume's id). Matches `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
///
/// It stands between `{` and `}` in the keys of Redis, so nothing else is let in.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Scope(Arc<str>);

/// The name of a step. Matches `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StepName(Arc<str>);

/// The word a marker file begins with, such as `migrated` in `.migrated_v1`. Same characters as a step's name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MarkerWord(Arc<str>);

/// The number of one leadership; grows for ever.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Epoch(pub u64);

/// What stands between a step's word and the revision in the name of an in-progress marker.
pub const IN_PROGRESS_INFIX: &str = "_in_progress_";

/// Whether a name may hold `byte` at this place.
const fn is_allowed(index: usize, byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || index > 0 && matches!(byte, b'.' | b'_' | b'-')
}

fn checked(text: &str, limit: usize) -> Result<Arc<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let culprit = text
        .chars()
        .enumerate()
        .find(|&(index, character)| !u8::try_from(character).is_ok_and(|byte| is_allowed(index, byte)));
    if let Some((index, character)) = culprit {
        return Err(NameError::Character { character, position: index + 1 });
    }
    if text.len() > limit {
        return Err(NameError::TooLong { length: text.len(), limit });
    }
    Ok(text.into())
}

macro_rules! name {
    ($type:ident, $limit:literal) => {
        impl $type {
            /// Checks `text`.
            ///
            /// # Errors
            ///
            /// A [`NameError`] that says which character or length is wrong.
            pub fn parse(text: &str) -> Result<$type, NameError> {
                checked(text, $limit).map($type)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(Revision, 128);
name!(Scope, 128);
name!(StepName, 64);
name!(MarkerWord, 64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl MarkerWord {
    /// `.<word>_in_progress_<rev>`: somebody is at work.
    pub fn in_progress(&self, rev: &Revision) -> String {
        format!(".{self}{IN_PROGRESS_INFIX}{rev}")
    }

    /// `.<word>_<rev>`: the work is done.
    pub fn done(&self, rev: &Revision) -> String {
        format!(".{self}_{rev}")
    }
}

impl Revision {
    /// Whether [`parse`](Revision::parse) would take this. Says no more, and needs no memory: for probes.
    pub fn is_valid(text: &[u8]) -> bool {
        !text.is_empty() && text.len() <= 128 && text.iter().enumerate().all(|(index, &byte)| is_allowed(index, byte))
    }

    /// `.ready_<rev>`: every step of the revision is done.
    pub fn ready_marker(&self) -> String {
        format!(".ready_{self}")
    }

    /// `.failed_<rev>`: a step has failed for good.
    pub fn failed_marker(&self) -> String {
        format!(".failed_{self}")
    }
}

/// Takes the name of an in-progress marker apart: its word and its revision.
///
/// Names that are no in-progress marker give `None`. The first infix counts, so a revision may hold one too.
pub fn parse_in_progress(file_name: &str) -> Option<(MarkerWord, Revision)> {
    let (word, rev) = file_name.strip_prefix('.')?.split_once(IN_PROGRESS_INFIX)?;
    Some((MarkerWord::parse(word).ok()?, Revision::parse(rev).ok()?))
}

/// The name of a claim: `<step>_<rev>.<epoch>`.
pub fn claim_name(step: &StepName, rev: &Revision, epoch: Epoch) -> String {
    format!("{step}_{rev}.{epoch}")
}

/// Takes the name of a claim apart.
///
/// A step's name may hold an underscore, so the steps one knows are tried first (a plan never has two steps of which
/// one could be mistaken for the other); otherwise the first underscore ends the step's name.
pub fn parse_claim<'a>(
    file_name: &str,
    known: impl IntoIterator<Item = &'a StepName>,
) -> Option<(StepName, Revision, Epoch)> {
    let (stem, epoch) = file_name.rsplit_once('.')?;
    let epoch = Epoch(epoch.parse().ok()?);
    let of_known = known.into_iter().find_map(|step| {
        let rev = stem.strip_prefix(step.as_str())?.strip_prefix('_')?;
        Some((step.clone(), Revision::parse(rev).ok()?))
    });
    let (step, rev) = of_known.or_else(|| {
        let (step, rev) = stem.split_once('_')?;
        Some((StepName::parse(step).ok()?, Revision::parse(rev).ok()?))
    })?;
    Some((step, rev, epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rev(text: &str) -> Revision {
        Revision::parse(text).unwrap()
    }

    #[test]
    fn a_name_is_refused_with_its_culprit() {
        assert_eq!(Revision::parse(""), Err(NameError::Empty));
        assert_eq!(Revision::parse("../x"), Err(NameError::Character { character: '.', position: 1 }));
        assert_eq!(Revision::parse("v1/x"), Err(NameError::Character { character: '/', position: 3 }));
        assert_eq!(Revision::parse("v\n"), Err(NameError::Character { character: '\n', position: 2 }));
        assert_eq!(Revision::parse(&"x".repeat(129)), Err(NameError::TooLong { length: 129, limit: 128 }));
        assert!(Revision::parse(&"x".repeat(128)).is_ok());
        assert!(Revision::parse("2026.11.21-a_b").is_ok());
        for text in ["", "v1", ".v1", "v/1", "vé", "a.b_c-d", &"x".repeat(128), &"x".repeat(129)] {
            assert_eq!(Revision::is_valid(text.as_bytes()), Revision::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn marker_names_are_those_of_the_field() {
        let word = MarkerWord::parse("apps_installing").unwrap();
        assert_eq!(word.in_progress(&rev("v1")), ".apps_installing_in_progress_v1");
        assert_eq!(MarkerWord::parse("apps_installed").unwrap().done(&rev("v1")), ".apps_installed_v1");
        assert_eq!(rev("v1").ready_marker(), ".ready_v1");
        assert_eq!(rev("v1").failed_marker(), ".failed_v1");
    }

    #[test]
    fn in_progress_names_are_taken_apart_at_the_first_infix() {
        let parsed = parse_in_progress(".a_b_in_progress_x_in_progress_y").unwrap();
        assert_eq!((parsed.0.as_str(), parsed.1.as_str()), ("a_b", "x_in_progress_y"));
        for other in ["a_in_progress_v1", "._in_progress_v1", ".a_in_progress_", ".a_v1", ".a_in_progress_/"] {
            assert_eq!(parse_in_progress(other), None, "{other}");
        }
    }

    #[test]
    fn claims_of_known_steps_may_hold_underscores() {
        let known = [StepName::parse("collect_static").unwrap()];
        let (step, revision, epoch) = parse_claim("collect_static_v1.2.17", &known).unwrap();
        assert_eq!((step.as_str(), revision.as_str(), epoch), ("collect_static", "v1.2", Epoch(17)));
        let (step, revision, _) = parse_claim("other_v_1.3", &known).unwrap();
        assert_eq!((step.as_str(), revision.as_str()), ("other", "v_1"));
        assert_eq!(parse_claim("other_v1", &known), None);
        assert_eq!(parse_claim("other.3", &known), None);
    }
}

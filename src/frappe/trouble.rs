//! Why a step has not done its work, and what its process exits with.

use std::io;
use std::path::Path;

/// Why not, in words, and whether trying again may help.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    /// Something else has to end first: tried again, and not counted.
    NotYet(String),
    /// It counts as an attempt.
    Failed(String),
    /// Trying again would do harm, or would change nothing.
    ForGood(String),
}

impl Trouble {
    /// A file that cannot be used.
    pub(super) fn of_file(path: &Path, error: &io::Error) -> Trouble {
        Trouble::Failed(format!("{}: {error}", path.display()))
    }

    pub(super) fn text(&self) -> &str {
        let (Trouble::NotYet(text) | Trouble::Failed(text) | Trouble::ForGood(text)) = self;
        text
    }

    /// The same with other words.
    pub(super) fn saying(self, text: String) -> Trouble {
        match self {
            Trouble::NotYet(_) => Trouble::NotYet(text),
            Trouble::Failed(_) => Trouble::Failed(text),
            Trouble::ForGood(_) => Trouble::ForGood(text),
        }
    }

    pub(super) fn exit_code(&self) -> i32 {
        match self {
            Trouble::NotYet(_) => 75,
            Trouble::Failed(_) => 1,
            Trouble::ForGood(_) => 78,
        }
    }

    /// Of the troubles of several sites, the one that says what is to become of the step: a failure that must not be repeated
    /// before one that may, and that before one that passes by itself.
    pub(super) fn worst(troubles: impl IntoIterator<Item = Trouble>) -> Option<Trouble> {
        let rank = |trouble: &Trouble| match trouble {
            Trouble::ForGood(_) => 0,
            Trouble::Failed(_) => 1,
            Trouble::NotYet(_) => 2,
        };
        troubles.into_iter().min_by_key(rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_trouble_decides() {
        let [later, failed, never] =
            [Trouble::NotYet(String::new()), Trouble::Failed(String::new()), Trouble::ForGood(String::new())];
        let worst = |troubles: &[&Trouble]| Trouble::worst(troubles.iter().map(|&trouble| trouble.clone()));
        assert_eq!(worst(&[&later, &failed, &never]), Some(never.clone()));
        assert_eq!(worst(&[&later, &failed]), Some(failed.clone()));
        assert_eq!(worst(&[]), None);
        assert_eq!([later, failed, never].map(|trouble| trouble.exit_code()), [75, 1, 78]);
    }
}

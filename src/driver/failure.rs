//! How an async step says that it did not do its work.

use std::error::Error;
use std::fmt;

use crate::exit::chain;

/// Why an async step has not done its work.
///
/// Any error becomes a [`failed`](StepError::failed) one by `?`, with its causes in one line. (For that it is no
/// [`Error`] itself.) Types that are none, such as boxed errors, go through `.map_err(StepError::failed)?`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StepError {
    text: String,
    kind: Kind,
}

/// What is to become of the step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Failed,
    NotYet,
    ForGood,
}

impl StepError {
    /// The run has failed. It counts as an attempt, like a command's exit 1; `reason` becomes its last line.
    pub fn failed(reason: impl fmt::Display) -> StepError {
        StepError { text: format!("{reason:#}"), kind: Kind::Failed }
    }

    /// The step cannot do its work yet. It is tried again after a back-off and the run is not counted, like a command's
    /// exit 75; after 600 s of such waits in sum, it is.
    pub fn not_yet(reason: impl fmt::Display) -> StepError {
        StepError { text: format!("{reason:#}"), kind: Kind::NotYet }
    }

    /// Trying again is of no use: the step has failed for good at once, like a command's exit 78, though it may have
    /// attempts left; `reason` becomes its last line. Only `bellwether retry`, or a new revision, tries it again.
    pub fn for_good(reason: impl fmt::Display) -> StepError {
        StepError { text: format!("{reason:#}"), kind: Kind::ForGood }
    }

    /// The reason.
    pub fn reason(&self) -> &str {
        &self.text
    }

    /// Whether it asks to be tried again later.
    pub fn is_not_yet(&self) -> bool {
        self.kind == Kind::NotYet
    }

    /// Whether it says that trying again is of no use.
    pub fn is_for_good(&self) -> bool {
        self.kind == Kind::ForGood
    }

    /// What a command would have exited with.
    pub(super) fn code(&self) -> i32 {
        match self.kind {
            Kind::Failed => 1,
            Kind::NotYet => 75,
            Kind::ForGood => 78,
        }
    }
}

impl<E: Error> From<E> for StepError {
    fn from(error: E) -> StepError {
        StepError { text: chain(&error), kind: Kind::Failed }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

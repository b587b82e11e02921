//! Tests of what several files of this module do together.

mod claims;
mod crashes;
mod ends;
mod looks;
mod records;
mod refusals;

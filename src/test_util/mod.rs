//! For tests of a plan (feature `test-util`): machines of the protocol in virtual time, on a volume in memory.
//!
//! [`Rehearsal`] is the way in. Pure like the protocol: it reads no clock, touches no file, and needs no other feature.

mod rehearsal;
#[doc(hidden)]
pub mod world;

pub use rehearsal::{Account, Rehearsal, Run};

//! What tests need: machines of the protocol in virtual time, on a volume in memory.

#[doc(hidden)]
pub mod world;

//! One of N identical replicas does the one-off work of a release; the others wait; then all serve.

#[cfg(feature = "io")]
pub mod exit;
#[cfg(feature = "io")]
pub mod process;
pub mod protocol;

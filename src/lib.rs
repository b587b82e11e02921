//! One of N identical replicas does the one-off work of a release; the others wait; then all serve.

#[cfg(feature = "cli")]
pub mod commands;
#[cfg(feature = "io")]
pub mod driver;
#[cfg(feature = "io")]
pub mod exit;
#[cfg(feature = "io")]
pub mod needs;
#[cfg(feature = "io")]
pub mod process;
pub mod protocol;
#[cfg(feature = "io")]
pub mod settings;
#[cfg(feature = "io")]
pub mod volume;

//! Settings: flags, environment and plan file, checked as a whole before anything is touched.

#[cfg(feature = "cli")]
pub mod cli;
mod env;
mod flags;
mod mask;
mod problem;
mod secret;
mod spelling;
mod subcommands;
mod table;

pub use env::{Env, Overlay};
pub use flags::{CommandLine, Scan, scan};
pub use mask::Mask;
pub(crate) use mask::percent_decoded;
pub use problem::{Notice, Problem};
pub use subcommands::Subcommand;
pub use table::{Fallback, SETTINGS, STEP_VARIABLES, Setting};

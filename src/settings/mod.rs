//! Settings: flags, environment and plan file, checked as a whole before anything is touched.
//!
//! The process environment is never read here: whoever calls says what it is ([`Env`], or a look-up function). The order
//! on the way to a boot: [`scan`] the command line; [`Warm::from`] for a warm start or a probe; else [`Settings::from`].

mod check;
#[cfg(feature = "cli")]
pub mod cli;
mod env;
mod file;
mod flags;
mod mask;
mod number;
mod parse;
mod pick;
mod plan_file;
mod preset;
mod problem;
mod redis;
mod secret;
mod spelling;
mod subcommands;
mod table;
mod unknown;
mod warm;

/// Single values from text, for the settings of a preset: said the same way, refused in the same words.
pub mod values {
    pub use super::number::{port, seconds};
    pub use super::parse::{one_of, yes_or_no};
}

pub use check::{Glance, Known, Settings};
pub use env::{Env, Overlay};
pub(crate) use file::read_text;
pub use flags::{CommandLine, Misuse, Scan, scan};
pub use mask::Mask;
pub(crate) use mask::percent_decoded;
pub use parse::{LogFormat, LogLevel, VolumeLocks};
pub use pick::Given;
pub(crate) use plan_file::plan_digest;
pub use plan_file::{LoadedPlan, PLAN_SCHEMA, StepCommand, StepDefaults};
pub use problem::{Notice, Problem};
pub use redis::RedisSettings;
pub(crate) use spelling::hint as spelling_hint;
pub use subcommands::Subcommand;
pub use table::{Fallback, SETTINGS, STEP_VARIABLES, Setting, markdown};
pub use warm::Warm;

//! Single values: from text to type.

use std::path::PathBuf;

use super::spelling;
use crate::protocol::{OnDowngrade, OnFailure, Revision, Scope};

/// What is said about the locks of the volume (`BELLWETHER_VOLUME_LOCKS`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum VolumeLocks {
    /// Find out from the kind of file system.
    Auto,
    /// They hold between all replicas.
    Trusted,
    /// They do not.
    Untrusted,
}

/// How much is logged (`BELLWETHER_LOG`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What ends a boot.
    Error,
    /// What a person should look at.
    Warn,
    /// Every transition.
    Info,
    /// What led to it.
    Debug,
    /// Everything.
    Trace,
}

/// How log lines are written (`BELLWETHER_LOG_FORMAT`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// One of a few words, in any case.
///
/// # Errors
///
/// What is wrong, to follow the name of the setting.
pub fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|&(_, value)| value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
        let hint = spelling::hint(text, known.iter().copied());
        format!("{text:?} is none of {}{hint}", known.join(", "))
    })
}

pub(super) fn revision(text: &str) -> Result<Revision, String> {
    Revision::parse(text).map_err(|error| error.to_string())
}

pub(super) fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).map_err(|error| error.to_string())
}

/// Steps run elsewhere and see the volume's path, so it must not depend on where we run.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if text.contains('\0') || !path.is_absolute() {
        return Err(format!("{text:?} is no absolute path; begin it with '/'"));
    }
    Ok(path)
}

/// `0` or `1`.
///
/// # Errors
///
/// What is wrong, to follow the name of the setting.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    one_of(text, &[("0", false), ("1", true)])
}

pub(super) fn locks(text: &str) -> Result<VolumeLocks, String> {
    let words = [("auto", VolumeLocks::Auto), ("trusted", VolumeLocks::Trusted), ("untrusted", VolumeLocks::Untrusted)];
    one_of(text, &words)
}

pub(super) fn on_failure(text: &str) -> Result<OnFailure, String> {
    one_of(text, &[("exit", OnFailure::Exit), ("hold", OnFailure::Hold)])
}

pub(super) fn on_downgrade(text: &str) -> Result<OnDowngrade, String> {
    one_of(text, &[("warn", OnDowngrade::Warn), ("refuse", OnDowngrade::Refuse)])
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

pub(super) fn log_level(text: &str) -> Result<LogLevel, String> {
    let words = [
        ("off", LogLevel::Off),
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    one_of(text, &words)
}

//! Why a program could not be executed, in words a person can act on.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;

use crate::exit::Exit;

/// The program of a command could not be executed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct HandOffError {
    exit: Exit,
    message: String,
}

impl HandOffError {
    /// What a shell would exit with: 127 if the program was not found, else 126.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn empty() -> HandOffError {
        HandOffError { exit: Exit::CannotExecute, message: "cannot execute an empty command".to_owned() }
    }

    /// `program` was not even tried, for this reason.
    pub(crate) fn refused(program: &OsStr, reason: impl fmt::Display) -> HandOffError {
        HandOffError { exit: Exit::CannotExecute, message: format!("cannot execute {}: {reason}", quoted(program)) }
    }

    /// Explains the error of an exec of `program` in the directory `cwd`.
    pub(crate) fn explain(program: &OsStr, cwd: Option<&Path>, error: &io::Error) -> HandOffError {
        let by_path = program.as_encoded_bytes().contains(&b'/');
        let is_there = by_path && cwd.map_or_else(|| program.into(), |cwd| cwd.join(program)).exists();
        let reason = match error.raw_os_error() {
            Some(libc::ENOENT) if is_there => {
                "it is there, but its interpreter (or its dynamic loader) is not".to_owned()
            }
            Some(libc::ENOENT) if by_path => "no such file".to_owned(),
            Some(libc::ENOENT) => "not found in PATH".to_owned(),
            Some(libc::EACCES) => "permission denied (not executable for this user, or a directory)".to_owned(),
            Some(libc::ENOEXEC) => {
                "not a program (a script needs a first line with #!, a binary this architecture)".to_owned()
            }
            Some(libc::E2BIG) => "its arguments and environment are too long".to_owned(),
            _ => error.to_string(),
        };
        let found = !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR));
        let place = cwd.map_or_else(String::new, |cwd| format!(" in {}", cwd.display()));
        let message = format!("cannot execute {}{place}: {reason}", quoted(program));
        HandOffError { exit: if found { Exit::CannotExecute } else { Exit::NotFound }, message }
    }
}

/// In quotes, with every strange character escaped.
fn quoted(program: &OsStr) -> String {
    format!("{:?}", program.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_one_a_person_can_act_on() {
        let explain = |program: &str, cwd: Option<&str>, errno: i32| {
            let error = io::Error::from_raw_os_error(errno);
            let error = HandOffError::explain(OsStr::new(program), cwd.map(Path::new), &error);
            (error.exit().code(), error.to_string())
        };
        let table = [
            (explain("nope", None, libc::ENOENT), 127, "cannot execute \"nope\": not found in PATH"),
            (explain("./x", Some("/srv"), libc::ENOENT), 127, "cannot execute \"./x\" in /srv: no such file"),
            (explain("/", None, libc::ENOENT), 127, "interpreter"),
            (explain("/etc", None, libc::EACCES), 126, "permission denied"),
            (explain("/x", None, libc::ENOEXEC), 126, "not a program"),
            (explain("/x", None, libc::ENOTDIR), 127, "ot a directory"),
            (explain("/x", None, libc::E2BIG), 126, "too long"),
        ];
        for ((code, message), expected, part) in table {
            assert_eq!(code, expected, "{message}");
            assert!(message.contains(part), "{message}");
        }
    }
}

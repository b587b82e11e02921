//! Starting a step's main process.
#![expect(unsafe_code, reason = "what happens between fork and exec is decided in a `pre_exec`")]

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Gid, Uid, fchown};
use rustix::process::{Signal, chdir, getppid, set_parent_process_death_signal};

use super::wire::Task;
use crate::process::exec::HandOffError;
use crate::process::sys::{self, SignalSet};
use crate::process::tree;
use crate::process::user::User;

/// Added to an errno, it says which call before the exec has failed. Errors travel from the child as bare numbers.
const ENTERING: i32 = 1 << 16;
const BECOMING: i32 = 2 << 16;
const ERRNO: i32 = (1 << 16) - 1;

/// Starts `command` as the task says, its output going to `output`, and returns its pid.
///
/// It leads a process group of its own, dies if the shim dies, and begins with default dispositions and an empty mask.
pub(super) fn start(task: &Task, command: &[OsString], output: &File) -> Result<i32, HandOffError> {
    let [program, arguments @ ..] = command else { return Err(HandOffError::empty()) };
    let refused = |error: &dyn Display| HandOffError::refused(program, error);
    let user = task.user.as_deref().map(User::find).transpose().map_err(|error| refused(&error))?;
    if let Some(user) = &user {
        user.check_allowed().map_err(|error| refused(&error))?;
        // `/dev/stdout` is opened anew by whoever names it, so the pipe must be the user's. Courtesy: may fail.
        let _ = fchown(output, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)));
    }
    let mut child = Command::new(program);
    child.args(arguments).stdin(Stdio::null()).process_group(0);
    for end in [Command::stdout, Command::stderr] {
        let copy = output.try_clone().map_err(|error| refused(&error))?;
        end(&mut child, Stdio::from(copy));
    }
    if let Some(user) = &user {
        child.env("HOME", &user.home).env("USER", &user.name).env("LOGNAME", &user.name);
    }
    child.envs(task.env.iter().map(|(name, value)| (name, value)));
    prepare(&mut child, user, task.cwd.as_deref()).map_err(|error| refused(&error))?;
    match child.spawn() {
        // Not waited for through std: the shim's loop owns all waits.
        Ok(child) => i32::try_from(child.id()).map_err(|error| refused(&error)),
        Err(error) => Err(explain(task, program, &error)),
    }
}

/// What the child does between fork and exec. The user's own rights decide whether it may enter the directory, and
/// a change of uid clears the death signal: hence the order.
fn prepare(child: &mut Command, user: Option<User>, cwd: Option<&OsStr>) -> io::Result<()> {
    let shim = tree::own_pid();
    let cwd = cwd.map(|cwd| CString::new(cwd.as_bytes())).transpose().map_err(io::Error::other)?;
    let empty = SignalSet::empty();
    let settle = move || {
        sys::default_dispositions();
        empty.become_mask();
        if let Some(user) = &user {
            user.assume().map_err(|error| at(BECOMING, &error))?;
        }
        if let Some(cwd) = &cwd {
            chdir(cwd.as_c_str()).map_err(|error| at(ENTERING, &error.into()))?;
        }
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The shim may have died before that took effect.
        let parent = getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
        if parent == shim { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    };
    // SAFETY: the closure only makes system calls and builds errors from numbers; it neither allocates nor locks.
    unsafe { child.pre_exec(settle) };
    Ok(())
}

fn at(stage: i32, error: &io::Error) -> io::Error {
    io::Error::from_raw_os_error(stage | error.raw_os_error().unwrap_or(libc::EINVAL))
}

fn explain(task: &Task, program: &OsStr, error: &io::Error) -> HandOffError {
    let raw = error.raw_os_error().unwrap_or(libc::EINVAL);
    let cause = io::Error::from_raw_os_error(raw & ERRNO);
    let cwd = task.cwd.as_ref().map(PathBuf::from).or_else(|| env::current_dir().ok());
    let place = cwd.as_deref().unwrap_or(Path::new("?")).display();
    match raw & !ERRNO {
        ENTERING => HandOffError::refused(program, format_args!("cannot enter {place}: {cause}")),
        BECOMING => {
            let user = task.user.as_deref().unwrap_or_default();
            HandOffError::refused(program, format_args!("cannot become user {user:?}: {cause}"))
        }
        _ => HandOffError::explain(program, cwd.as_deref(), &cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_and_its_errno_come_apart_again() {
        let error = at(ENTERING, &io::Error::from_raw_os_error(libc::EACCES));
        let task = Task {
            run: Vec::new(),
            check: None,
            env: Vec::new(),
            cwd: Some("/closed".into()),
            user: None,
            grace_nanos: 0,
            deadline_nanos: None,
        };
        let told = explain(&task, OsStr::new("prog"), &error).to_string();
        assert_eq!(told, "cannot execute \"prog\": cannot enter /closed: Permission denied (os error 13)");
    }
}

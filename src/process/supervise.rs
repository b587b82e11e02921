//! Staying as the command's parent, for commands that cannot be PID 1.
#![expect(unsafe_code, reason = "what happens between fork and exec is decided in a `pre_exec`")]

use std::ffi::OsString;
use std::io::{self, stdin};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::getpid;
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use super::exec::HandOffError;
use super::handoff::close_private_on_exec;
use super::sys::{self, SignalSet, Waited};
use super::tree;

/// Signals that tell of a fault of our own, and are not to be forwarded.
const OWN_FAULTS: [i32; 7] =
    [libc::SIGFPE, libc::SIGILL, libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];

/// Runs `command` as a child, and returns what to exit with: its code, or 128+n if a signal ended it.
///
/// Every signal that can be forwarded is, to the child alone; orphans are reaped. The child leads a process group of
/// its own, which gets the terminal if we have it, so that Ctrl-C reaches it once. It begins with the same clean state
/// as after a [`hand_off`](super::hand_off).
///
/// For the main thread of the binary, after the runtime has ended and when nobody waits for another child.
///
/// # Errors
///
/// If the command cannot be executed.
pub fn supervise(command: &[OsString]) -> Result<i32, HandOffError> {
    let [program, arguments @ ..] = command else { return Err(HandOffError::empty()) };
    let heard = SignalSet::all_but(&OWN_FAULTS);
    // Before the fork: nothing that arrives from now on is lost.
    heard.become_mask();
    sys::set_default(libc::SIGCHLD);
    sys::stop_timers();
    // Without this only PID 1 gets orphans to reap. Where it is refused there are none.
    let _ = sys::set_subreaper(true);
    close_private_on_exec();
    let own_group = tree::own().map(|own| own.group);
    let has_terminal = tcgetpgrp(stdin()).is_ok_and(|group| Some(group.as_raw_nonzero().get()) == own_group);
    let mut child = Command::new(program);
    child.args(arguments).process_group(0);
    let empty = SignalSet::empty();
    let settle = move || -> io::Result<()> {
        if has_terminal {
            // Everything is still blocked, TTOU too, which would stop us otherwise. A terminal that is gone is no error.
            let _ = tcsetpgrp(stdin(), getpid());
        }
        sys::default_dispositions();
        empty.become_mask();
        Ok(())
    };
    // SAFETY: the closure only makes system calls; it neither allocates nor locks.
    unsafe { child.pre_exec(settle) };
    let cwd = std::env::current_dir().ok();
    let child = child.spawn().map_err(|error| HandOffError::explain(program, cwd.as_deref(), &error))?;
    Ok(watch(i32::try_from(child.id()).unwrap_or(i32::MAX), &heard))
}

/// Forwards and reaps until the child has ended.
fn watch(child: i32, heard: &SignalSet) -> i32 {
    loop {
        if let Some(code) = reap(child) {
            return code;
        }
        match heard.take() {
            libc::SIGCHLD | libc::SIGTTIN | libc::SIGTTOU => {}
            signal => forward(child, signal),
        }
    }
}

/// Reaps everything that has ended; what to exit with, if the child was among it.
fn reap(child: i32) -> Option<i32> {
    let mut code = None;
    loop {
        match sys::wait_any() {
            Waited::Ended(pid, status) if pid == child => {
                code = Some(sys::code_or_signal(status).unwrap_or_else(|signal| 128 + signal));
            }
            Waited::Ended(..) => {}
            Waited::Alive | Waited::NoChild => return code,
        }
    }
}

/// The child is not reaped yet, so the pid is its own.
fn forward(child: i32, signal: i32) {
    sys::send(child, signal);
}

//! The shim: the small process between leader and step.
//!
//! It is started by the leader as the same executable, runs one step's processes and outlives them all: it ends, and
//! thereby releases its copy of the guard, only when no descendant is left. It is synchronous, has one thread, and
//! waits in `poll(2)` for four things: an order (or the silence of a dead leader), a signal, the end of a child, the
//! next moment at which something is due. Its clock is `CLOCK_BOOTTIME`, and nothing it decides needs the leader, so a
//! frozen leader's step is stopped at the deadline all the same.
//!
//! It leads a session of its own. A process group would keep a terminal's Ctrl-C away as well, but a step could still
//! open `/dev/tty` and wait for a password there for ever, and a hang-up would reach it.
//!
//! The socket to the leader is its standard input, the guard (or `/dev/null`) its standard output, the pipe for the
//! step's output its standard error: so descriptors need no numbers and no tricks between fork and exec.

mod child;
mod link;
mod run;
pub(crate) mod wire;

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use self::link::Link;
use self::run::Run;
use super::sys;
use crate::exit::Exit;

/// The first argument of a shim.
pub(crate) const ARGUMENT: &str = "__shim";

/// The lowest number for descriptors that are not standard ones.
const FIRST_FREE: i32 = 10;

/// Whether this program has shown that it answers when it is asked for a shim.
static ANSWERS: AtomicBool = AtomicBool::new(false);

/// Is the shim if this process was asked to be one, and then does not return.
///
/// Steps that are commands run under a small process, the shim, which stops their whole tree whatever happens to us. By
/// default it is this very program, started once more with an argument that [`is_requested`] knows. So a program that
/// embeds us, and has such steps, calls this **before anything else in `main`**: what stands before it happens once more
/// for each run of a step. [`Bootstrap::build`](crate::Bootstrap::build) refuses command steps in a program that has not
/// called it, unless [`Bootstrap::shim`](crate::Bootstrap::shim) names another program. With async steps alone it is not
/// needed.
///
/// ```no_run
/// bellwether::shim_if_asked();
/// // Only then settings, logging, the runtime …
/// ```
///
/// In an `async fn main` it works as well, though each shim then starts the runtime's threads for nothing.
pub fn shim_if_asked() {
    ANSWERS.store(true, Ordering::Relaxed);
    if is_requested(std::env::args_os()) {
        main();
    }
}

/// Whether [`shim_if_asked`] was called in this process.
pub(crate) fn is_answered() -> bool {
    ANSWERS.load(Ordering::Relaxed)
}

/// Whether these arguments (the program's name first) ask for a shim: then [`main`] is all that may be called.
///
/// For the first lines of a program that runs steps, before it reads its settings, starts a thread or a runtime.
pub fn is_requested<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> bool {
    arguments.into_iter().nth(1).is_some_and(|first| first.as_ref() == ARGUMENT)
}

/// Is the shim, until its step and everything the step has started are over.
///
/// Exits with 0 when it has reported how the step ended, with 70 if it could not even begin.
pub fn main() -> ! {
    let exit = match Run::prepare().and_then(Run::finish) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            report_failure(&error);
            Exit::Software
        }
    };
    process::exit(exit.code())
}

/// Standard error is the pipe for the step's output as long as the shim has not taken it over.
#[expect(clippy::print_stderr, reason = "there is nobody else to tell")]
fn report_failure(error: &io::Error) {
    eprintln!("the shim cannot work: {error}");
}

/// What the leader has given the shim, moved out of the way of the three standard descriptors.
struct Inheritance {
    link: Link,
    output: File,
    /// Held, and inherited by the step's main process; never read.
    _guard: OwnedFd,
}

impl Inheritance {
    fn take() -> io::Result<Inheritance> {
        // A supervisor that ignores SIGCHLD would have the kernel reap our children behind our back.
        sys::set_default(libc::SIGCHLD);
        // The leader has done this already; by hand it may be refused, and then a session is not ours to lead.
        let _ = setsid();
        sys::set_subreaper(true)?;
        let moved = |fd: std::os::fd::BorrowedFd<'_>| fcntl_dupfd_cloexec(fd, FIRST_FREE);
        let socket = moved(io::stdin().as_fd())?;
        let guard = moved(io::stdout().as_fd())?;
        let output = File::from(moved(io::stderr().as_fd())?);
        // Belt and braces: a step that survives both leader and shim still holds the guard.
        fcntl_setfd(&guard, FdFlags::empty())?;
        let link = Link::new(socket)?;
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        Ok(Inheritance { link, output, _guard: guard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_argument_asks_for_a_shim() {
        assert!(is_requested(["bellwether: migrate (epoch 4)", "__shim"]));
        assert!(!is_requested(["bellwether", "run", "__shim"]));
        assert!(!is_requested(["__shim"]));
        assert!(!is_requested::<&str>([]));
    }
}

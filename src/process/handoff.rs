//! The hand-off: this process becomes the command.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::set_parent_process_death_signal;

use super::exec::HandOffError;
use super::sys::{self, STOP_SIGNALS, SignalSet};

/// Descriptors from here on are none of the command's business.
const FIRST_PRIVATE: u32 = 3;

/// Replaces this process by `command`, which keeps the pid and nothing else of ours. Returns only if that fails.
///
/// What would survive an exec is put back first: interval timers, the subreaper flag, the death signal, ignored signals,
/// the mask, and descriptors above 2 (s6-overlay waits for ever if it inherits one). A TERM, INT, QUIT or HUP that
/// was blocked and is pending, or that arrives before the exec itself, ends the process with 128+n: the command, which
/// has no handler yet, would not see it if it is PID 1.
///
/// For the main thread of the binary, after the runtime has ended. Starts no thread; needs no runtime.
pub fn hand_off(command: &[OsString]) -> HandOffError {
    let [program, arguments @ ..] = command else { return HandOffError::empty() };
    STOP_SIGNALS.into_iter().for_each(sys::exit_on);
    sys::stop_timers();
    // What is pending would hit the command, and what is ignored would stay ignored.
    [libc::SIGALRM, libc::SIGVTALRM, libc::SIGPROF, libc::SIGPIPE].into_iter().for_each(sys::discard);
    sys::set_default(libc::SIGCHLD);
    let _ = sys::set_subreaper(false);
    let _ = set_parent_process_death_signal(None);
    close_private_on_exec();
    // From here to the exec, a signal ends us by its handler; the exec itself puts the defaults back.
    SignalSet::empty().become_mask();
    let error = Command::new(program).args(arguments).exec();
    STOP_SIGNALS.into_iter().for_each(sys::set_default);
    HandOffError::explain(program, std::env::current_dir().ok().as_deref(), &error)
}

/// Marks every descriptor above 2 close-on-exec.
pub(crate) fn close_private_on_exec() {
    if !sys::close_range_on_exec(FIRST_PRIVATE) {
        close_each_on_exec();
    }
}

/// The same for kernels without `close_range`.
fn close_each_on_exec() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|&number| number >= FIRST_PRIVATE.cast_signed()).for_each(sys::close_on_exec);
}

#[cfg(test)]
mod tests {
    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

    use super::*;

    #[test]
    fn descriptors_are_closed_on_exec_with_and_without_close_range() {
        let way: [fn(); 2] = [close_private_on_exec, close_each_on_exec];
        for close in way {
            let leaked = fs::File::open("/dev/null").unwrap();
            fcntl_setfd(&leaked, FdFlags::empty()).unwrap();
            close();
            assert_eq!(fcntl_getfd(&leaked).unwrap(), FdFlags::CLOEXEC);
        }
    }
}

//! Exit codes, after `sysexits.h`, and how an error is told.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use rustix::io::Errno;

use crate::protocol::Fault;

/// What the binary ends with. A command that was exec'd ends with its own code.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Exit {
    /// Everything as asked.
    Ok,
    /// `ready`: not ready.
    NotReady,
    /// The command line or the settings are wrong.
    Usage,
    /// Redis is unavailable, or a program the tests need is missing.
    Unavailable,
    /// A bug of ours.
    Software,
    /// The volume cannot be read or written.
    VolumeIo,
    /// Gave up waiting, somebody else is at work, or there is no thread or descriptor to be had: try again later.
    TryLater,
    /// Permission denied on the volume.
    Permission,
    /// A step has failed for good.
    StepFailed,
    /// The command was found but could not be executed.
    CannotExecute,
    /// The command was not found.
    NotFound,
    /// Ended by this signal, or stopped by it while at work.
    Signal(i32),
    /// The code of a supervised command.
    Command(i32),
}

impl Exit {
    /// What a fault of the volume ends with.
    pub fn of_fault(fault: Fault) -> Exit {
        match fault {
            Fault::Denied => Exit::Permission,
            Fault::Full | Fault::ReadOnly | Fault::Broken => Exit::VolumeIo,
        }
    }

    /// What a process ends with that gets no thread, descriptor or memory to begin with.
    pub fn of_beginning(error: &io::Error) -> Exit {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Exit::TryLater,
            _ => Exit::Software,
        }
    }

    /// The number a shell sees.
    pub fn code(self) -> i32 {
        match self {
            Exit::Ok => 0,
            Exit::NotReady => 1,
            Exit::Usage => 64,
            Exit::Unavailable => 69,
            Exit::Software => 70,
            Exit::VolumeIo => 74,
            Exit::TryLater => 75,
            Exit::Permission => 77,
            Exit::StepFailed => 78,
            Exit::CannotExecute => 126,
            Exit::NotFound => 127,
            Exit::Signal(signal) => 128 + signal,
            Exit::Command(code) => code,
        }
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

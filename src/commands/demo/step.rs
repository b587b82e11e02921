//! What the steps of the demo run: a piece of work that takes its time and keeps a journal of its own.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::journal::{Entry, Mark};
use crate::commands::{complain, print};
use crate::exit::Exit;
use crate::process::boottime;

/// Asks for a step: the journal, how many pieces of work, milliseconds for each, what is done then.
pub(super) const ARGUMENT: &str = "__step";
/// Asks for a step's helper: a process in a group of its own, which no kill of the step's group reaches.
pub(super) const HELPER_ARGUMENT: &str = "__step-helper";

/// Works, piece by piece.
pub(super) fn work(arguments: &[OsString]) -> Exit {
    match try_work(arguments) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            complain(&format!("the step cannot work: {error}"));
            Exit::Software
        }
    }
}

fn try_work(arguments: &[OsString]) -> io::Result<()> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let [journal, pieces, millis, what] = words[..] else { return Err(io::ErrorKind::InvalidInput.into()) };
    let number = |text: &str| text.parse::<u32>().map_err(io::Error::other);
    let (pieces, pause) = (number(pieces)?, Duration::from_millis(number(millis)?.into()));
    let journal = Path::new(journal);
    note(journal, Mark::Start)?;
    let mut helper = if pieces > 1 { Some(start_helper()?) } else { None };
    for piece in 1..=pieces {
        // This is the work.
        sleep(pause);
        if pieces > 1 {
            print(&format!("{piece} of {pieces} {what}"));
        }
    }
    if let Some(helper) = &mut helper {
        helper.kill()?;
        helper.wait()?;
    }
    note(journal, Mark::End)
}

fn note(journal: &Path, mark: Mark) -> io::Result<()> {
    let variable = |name: &str| std::env::var(name).map_err(io::Error::other);
    let entry = Entry {
        step: variable("BELLWETHER_STEP")?,
        epoch: variable("BELLWETHER_EPOCH")?.parse().map_err(io::Error::other)?,
        attempt: variable("BELLWETHER_ATTEMPT")?.parse().map_err(io::Error::other)?,
        mark,
        at: boottime::now().as_nanos(),
    };
    entry.append(journal)
}

fn start_helper() -> io::Result<Child> {
    Command::new("/proc/self/exe").arg(HELPER_ARGUMENT).process_group(0).stdin(Stdio::null()).spawn()
}

/// Stays, whatever becomes of its parent, for longer than any demo: somebody has to end it.
pub(super) fn help() -> Exit {
    sleep(Duration::from_secs(300));
    Exit::Ok
}

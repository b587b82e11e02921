//! `ready`: the probe. It must be quick, touch nothing, and never hang.

use std::time::Duration;

use super::{complain, warm};
use crate::exit::Exit;
use crate::process;
use crate::settings::{CommandLine, Problem, Warm};

/// A probe that hangs on a dead file system piles up beside its successors; after this long it ends as "not ready".
const LIMIT: Duration = Duration::from_secs(3);

/// Says whether the revision is ready: 0 or 1, silent unless asked why.
pub(super) fn ready(line: &CommandLine) -> Exit {
    process::exit_after(LIMIT, Exit::NotReady);
    let verbose = line.has("verbose");
    let settings = match Warm::from(&line.overlay, |name| std::env::var_os(name)) {
        Ok(settings) => settings,
        // Not the end of a replica, so nothing for its termination log.
        Err(problem) => {
            complain(&Problem::render(&[problem]));
            return Exit::Usage;
        }
    };
    let (exit, why) = match warm::is_ready(&settings) {
        Ok(true) => (Exit::Ok, "ready".to_owned()),
        Ok(false) => (Exit::NotReady, "not ready".to_owned()),
        Err(error) => (Exit::NotReady, error.to_string()),
    };
    if verbose {
        complain(&format!("revision {}: {why} ({})", settings.rev, warm::marker(&settings).display()));
    }
    exit
}

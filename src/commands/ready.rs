//! `ready`: the probe. It must be quick, touch nothing, and never hang.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use super::{complain, warm};
use crate::exit::Exit;
use crate::preset::Presets;
use crate::process;
use crate::protocol::Revision;
use crate::settings::{CommandLine, Problem, Warm};

/// A probe that hangs on a dead file system piles up beside its successors; after this long it ends as "not ready".
const LIMIT: Duration = Duration::from_secs(3);
/// The beginning of the ready marker's name, below the volume.
const MARKER: &str = "/.ready_";

/// The probe as everybody writes it, without flags: decided with as few pages of code as can be. `None`: the long way,
/// which comes to the same and can also say what is wrong.
pub(super) fn shortcut(arguments: &[OsString]) -> Option<Exit> {
    let [only] = arguments else { return None };
    if only.as_bytes() != b"ready" {
        return None;
    }
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let rev = set("IMAGE_REV").filter(|rev| Revision::is_valid(rev.as_bytes()))?;
    let volume = match (set("BELLWETHER_VOLUME"), set("SITES_DIR")) {
        (Some(volume), None) | (None, Some(volume)) => volume,
        _ => return None,
    };
    if volume.as_bytes()[0] != b'/' {
        return None;
    }
    process::exit_after(LIMIT, Exit::NotReady);
    // Once, with room for all of it: growing is more code than this.
    let mut marker = OsString::with_capacity(volume.len() + MARKER.len() + rev.len());
    marker.push(volume);
    marker.push(MARKER);
    marker.push(rev);
    let is_ready = fs::symlink_metadata(marker).is_ok_and(|found| found.is_file());
    Some(if is_ready { Exit::Ok } else { Exit::NotReady })
}

/// Says whether the revision is ready: 0 or 1, silent unless asked why.
pub(super) fn ready(line: &CommandLine, presets: Presets) -> Exit {
    process::exit_after(LIMIT, Exit::NotReady);
    let verbose = line.has("verbose");
    let settings = match Warm::from(&line.overlay, |name| env::var_os(name), presets) {
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

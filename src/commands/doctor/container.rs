//! What of this container matters to a replica: that it can have its steps' orphans, and start itself again as their shim.

use crate::exit::Exit;
use crate::finding::Finding;
use crate::process;

const WHAT: &str = "container";

pub(super) fn look(tell: &dyn Fn(Finding)) {
    let pid = std::process::id();
    // Two calls, so that nothing stays as it was not.
    let adopted = process::become_subreaper().and_then(|()| process::resign_subreaper());
    tell(match adopted {
        Ok(()) => Finding::ok(WHAT, format!("pid {pid}; orphans of steps come to whoever leads")),
        Err(error) => Finding::fail(
            WHAT,
            format!("pid {pid}; orphans of steps cannot be had (PR_SET_CHILD_SUBREAPER): {error}"),
            "allow prctl in the container's seccomp profile, or use Linux 3.4 or later",
            Exit::Software,
        ),
    });
    if let Err(error) = std::fs::metadata("/proc/self/exe") {
        let seen = format!("steps run under this program once more, but /proc/self/exe cannot be used: {error}");
        tell(Finding::fail(WHAT, seen, "mount /proc in this container", Exit::Software));
    }
}

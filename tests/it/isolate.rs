//! Tests in namespaces of their own, which take everything with them when they end: mounts and processes.

use std::env;
use std::process::Command;

use crate::wait::require_root;

const ISOLATED: &str = "BELLWETHER_TEST_ISOLATED";

/// Runs the rest of a test in a mount namespace of its own: `false` in the first process, when the other has succeeded.
pub(crate) fn is_in_own_mounts(test: &str) -> bool {
    is_isolated(test, &["--mount"])
}

/// The same in a pid namespace of its own, with the session and the process group left outside.
pub(crate) fn is_in_own_pids(test: &str) -> bool {
    is_isolated(test, &["--pid", "--fork", "--mount-proc", "--kill-child"])
}

fn is_isolated(test: &str, namespaces: &[&str]) -> bool {
    if env::var_os(ISOLATED).is_some() {
        return true;
    }
    require_root();
    let mut command = Command::new("unshare");
    command.args(namespaces).arg("--").arg(env::current_exe().unwrap());
    let output = command.args([test, "--exact", "--nocapture"]).env(ISOLATED, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test} in a namespace of its own: {}\n{text}", output.status);
    assert!(text.contains("1 passed"), "{test} is not the name of a test:\n{text}");
    false
}

pub(crate) fn mount(arguments: &[&str]) {
    let status = Command::new("mount").args(arguments).status().unwrap();
    assert!(status.success(), "mount {arguments:?}: {status}");
}

//! Tests in namespaces of their own, which take every mount, loop device and process with them, however they end.

use std::env;
use std::process::Command;

const CAGED: &str = "BELLWETHER_TEST_CAGED";

/// Where every Linux has a directory for files in memory. In the cage it is a fresh one, of the test alone.
const MEMORY: &str = "/dev/shm";

/// Lines that begin so are shown by the first process as well.
pub(crate) const TOLD: &str = "durability: ";

/// Runs the rest of a test in its cage: `false` in the first process, when the other has succeeded.
pub(crate) fn is_inside(test: &str) -> bool {
    if env::var_os(CAGED).is_some() {
        run("mount", &["-t", "tmpfs", "-o", "size=2g,mode=1777", "tmpfs", MEMORY]);
        return true;
    }
    assert!(
        rustix::process::geteuid().is_root(),
        "this test mounts file systems and needs root; run it as root, in a container with --privileged"
    );
    let mut command = Command::new("setpriv");
    // Whatever ends this process ends the first one inside, and with that one everything.
    command.args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--fork", "--mount-proc"]);
    command.arg("--kill-child").arg("--").arg(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(CAGED, "1").env("TMPDIR", MEMORY);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test} in namespaces of its own: {}\n{text}", output.status);
    assert!(text.contains("1 passed"), "{test} is not the name of a test:\n{text}");
    text.lines().filter(|line| line.starts_with(TOLD)).for_each(|line| println!("{line}"));
    false
}

/// Runs a program of the system to its end, which has to be a good one.
#[track_caller]
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?} failed, and nothing of this can be tested without it: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

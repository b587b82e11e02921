//! What rounds need of the machine: said before the first one, in one sentence each.

use std::path::Path;
use std::process::Command;

use crate::clock;

const PROGRAMS: [&str; 10] =
    ["redis-server", "ip", "nft", "tc", "mount", "umount", "unshare", "nsenter", "setpriv", "cc"];

pub(crate) fn missing(binary: &Path) -> Vec<String> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push(
            "root: rounds have namespaces and mounts of their own; run this as root, or in a privileged container"
                .to_owned(),
        );
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&str| std::env::split_paths(&paths).any(|path| path.join(program).exists());
    let absent = PROGRAMS.iter().filter(|program| !is_there(program));
    missing.extend(absent.map(|program| format!("{program}, which tests/run chaos installs")));
    if clock::libfaketime().is_none() {
        missing.push("libfaketime, which tests/run chaos installs".to_owned());
    }
    if !binary.exists() {
        missing.push(format!("the program {}", binary.display()));
    }
    if missing.is_empty() {
        missing.extend(sandbox());
    }
    missing
}

/// Namespaces may be forbidden to root, too.
fn sandbox() -> Option<String> {
    let script =
        "mount -t tmpfs tmpfs /run && ip link add name chaos0 type veth peer name chaos1 && nft add table inet chaos";
    let words =
        ["--mount", "--pid", "--net", "--fork", "--mount-proc", "--propagation", "private", "sh", "-ec", script];
    match Command::new("unshare").args(words).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "namespaces, mounts, veth and nftables of the round's own, and this machine refuses one of them: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

//! Programs that set up and break what only they can.

use std::io;
use std::process::{Command, Stdio};

/// Runs one to its end. What it says is told if it fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> io::Result<()> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{program} {}: {}: {said}", arguments.join(" "), output.status)))
}

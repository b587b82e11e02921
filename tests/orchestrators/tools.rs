//! Programs that read the files, as JSON.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use crate::venv;

/// The top of the project.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the project.
#[track_caller]
pub(crate) fn text(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

static PYTHON: LazyLock<PathBuf> =
    LazyLock::new(|| venv::programs(&project().join("tests/orchestrators/requirements.txt")).join("python3"));

/// What Python says, as JSON, when it is given this.
#[track_caller]
pub(crate) fn python(arguments: &[&str], input: &str) -> Value {
    let mut command = Command::new(&*PYTHON);
    command.args(arguments).current_dir(project());
    serde_json::from_str(&run(&mut command, input)).unwrap()
}

/// What a program says when it is given this; it has to succeed.
#[track_caller]
pub(crate) fn run(command: &mut Command, input: &str) -> String {
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs it"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    stdout
}

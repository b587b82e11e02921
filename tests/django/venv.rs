//! Virtual environments, each made once for the content of a `requirements.txt`, and shared by all who test.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// By its path: a version manager's stand-in, earlier in the `PATH`, may have no `venv`.
const PYTHON: &str = "/usr/bin/python3";

/// The directory with `python3` and what the packages bring along.
///
/// # Panics
///
/// Says what is missing if Python, its `venv` module or the packages cannot be had.
pub(crate) fn programs(requirements: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("venvs");
    fs::create_dir_all(&root).unwrap();
    let environment = root.join(key(requirements));
    // Two suites at once: the second waits, and finds everything done.
    let lock = File::create(root.join("lock")).unwrap();
    lock.lock().unwrap();
    // Written last, so what a killed run has left behind does not count.
    let complete = environment.join("complete");
    if !complete.exists() {
        if environment.exists() {
            fs::remove_dir_all(&environment).unwrap();
        }
        let missing = "python3 with its venv module is needed: apt-get install python3-venv, or let tests/run do it";
        must_succeed(Command::new(PYTHON).args(["-m", "venv"]).arg(&environment), missing);
        let missing = format!("the packages in {} are needed, and the network to fetch them", requirements.display());
        let mut pip = Command::new(environment.join("bin/python3"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r"]);
        must_succeed(pip.arg(requirements), &missing);
        File::create(complete).unwrap();
    }
    environment.join("bin")
}

/// A name that changes with what is wanted and with the Python that is there.
fn key(requirements: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    fs::read(requirements).unwrap().hash(&mut hasher);
    must_succeed(Command::new(PYTHON).arg("-VV"), "python3 is needed: apt-get install python3, or let tests/run do it")
        .hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn must_succeed(command: &mut Command, missing: &str) -> Vec<u8> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{missing}\n{command:?}: {error}"),
    };
    let text = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{missing}\n{command:?}: {}\n{text}", output.status);
    output.stdout
}

//! The stand-in is what the other tests believe: it has tests of its own.

use std::path::Path;
use std::process::Command;

use crate::stack::PYTHON;

#[test]
fn the_stand_in_has_every_hazard_that_was_measured() {
    let test = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/self-test");
    let output = Command::new(PYTHON).arg(test).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

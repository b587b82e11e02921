//! The scenes that are also played on a real bench, here in front of the stand-in.

use std::path::Path;
use std::process::Command;

use crate::stack::PYTHON;

#[test]
fn every_scene_ends_well() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/scenario");
    let mut scenario = Command::new(PYTHON);
    scenario.arg(script).args(["--stand-in", "--bellwether", env!("CARGO_BIN_EXE_bellwether")]);
    let played = scenario.output().unwrap();
    let text = String::from_utf8_lossy(&played.stdout);
    assert!(played.status.success(), "{text}{}", String::from_utf8_lossy(&played.stderr));
    let verdicts = text.split("## Verdicts").nth(1).unwrap();
    assert_eq!(verdicts.matches(": ok, ").count(), 19, "{verdicts}");
}

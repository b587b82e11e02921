//! The probe: the short way and the long way come to the same.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use tempfile::TempDir;

const BIN: &str = env!("CARGO_BIN_EXE_bellwether");

/// Runs `ready` with these variables and no others.
fn ready(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut probe = Command::new(BIN);
    probe.arg("ready").args(arguments).env_clear().envs(variables.iter().copied());
    probe.output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn both_ways_of_the_probe_come_to_the_same() {
    let volume = TempDir::new().unwrap();
    let root = volume.path().to_str().unwrap();
    fs::write(volume.path().join(".ready_v1"), "").unwrap();
    fs::create_dir(volume.path().join(".ready_v2")).unwrap();
    symlink(volume.path().join(".ready_v1"), volume.path().join(".ready_v3")).unwrap();
    let cases: [(&[(&str, &str)], i32); 11] = [
        (&[("IMAGE_REV", "v1"), ("BELLWETHER_VOLUME", root)], 0),
        (&[("IMAGE_REV", "v1"), ("SITES_DIR", root)], 0),
        (&[("IMAGE_REV", "v1"), ("SITES_DIR", root), ("BELLWETHER_VOLUME", root)], 0),
        (&[("IMAGE_REV", "v0"), ("BELLWETHER_VOLUME", root)], 1),
        (&[("IMAGE_REV", "v2"), ("BELLWETHER_VOLUME", root)], 1),
        (&[("IMAGE_REV", "v3"), ("BELLWETHER_VOLUME", root)], 1),
        (&[("IMAGE_REV", "v1"), ("BELLWETHER_VOLUME", "/nowhere")], 1),
        (&[("IMAGE_REV", "../v1"), ("BELLWETHER_VOLUME", root)], 64),
        (&[("IMAGE_REV", "v1"), ("BELLWETHER_VOLUME", "volume")], 64),
        (&[("IMAGE_REV", "v1"), ("SITES_DIR", "/other"), ("BELLWETHER_VOLUME", root)], 64),
        (&[("BELLWETHER_VOLUME", root)], 64),
    ];
    for (variables, expected) in cases {
        let (short, long) = (ready(&[], variables), ready(&["-v"], variables));
        assert_eq!((code(&short), code(&long)), (expected, expected), "{variables:?}: {short:?} {long:?}");
        assert_eq!(short.stderr.is_empty(), expected != 64, "silent unless misused: {short:?}");
        assert!(!long.stderr.is_empty() && short.stdout.is_empty() && long.stdout.is_empty(), "{short:?} {long:?}");
    }
}

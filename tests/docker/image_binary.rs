//! The target `binary`: one static file, for two architectures. What has not changed is not built again, wherever the checkout is,
//! and a remark changes no byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::apps::checkout;
use crate::backing::inspect;
use crate::docker::{Image, Said, build, docker, docker_in, name};

const LARGEST: u64 = 5 * 1024 * 1024;

/// Runs the programs of arm64; it is in the Debian package qemu-user-static.
const QEMU: &str = "qemu-aarch64-static";

/// All that an image of one layer holds, in a directory.
fn unpacked(image: &str, platform: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let container = name("unpacked");
    docker(&["create", "--platform", platform, "--name", &container, image, "nothing"]).ok();
    let tar = directory.path().join("image.tar");
    let said = docker(&["export", "--output", tar.to_str().unwrap(), &container]);
    docker(&["rm", &container]).ok();
    said.ok();
    let listed = run(Command::new("tar").arg("-xvf").arg(&tar).arg("-C").arg(directory.path())).ok();
    // What Docker puts into every container is not the image's.
    let own =
        |path: &&str| !path.ends_with('/') && !["dev/", "etc/", ".dockerenv"].iter().any(|it| path.starts_with(it));
    assert_eq!(listed.lines().filter(own).collect::<Vec<_>>(), ["bellwether"], "{listed}");
    directory
}

fn run(command: &mut Command) -> Said {
    command.output().unwrap().into()
}

/// What is in the image of this platform, after a look at its size and its head.
#[track_caller]
fn static_binary(image: &str, platform: &str, machine: &str) -> (TempDir, PathBuf) {
    let directory = unpacked(image, platform);
    let binary = directory.path().join("bellwether");
    let size = fs::metadata(&binary).unwrap().len();
    assert!(size <= LARGEST, "{size} bytes");
    let head = run(Command::new("readelf").args(["--wide", "--file-header", "--program-headers"]).arg(&binary)).ok();
    assert!(head.contains(machine), "{head}");
    assert!(head.contains("LOAD") && !head.contains("INTERP") && !head.contains("DYNAMIC"), "{head}");
    (directory, binary)
}

fn sum(binary: &Path) -> String {
    run(Command::new("sha256sum").stdin(fs::File::open(binary).unwrap())).ok()
}

#[test]
fn one_static_file_that_runs_where_nothing_else_is() {
    let image = build("binary", &[]);
    let (_directory, _binary) = static_binary(&image, "linux/amd64", "X86-64");

    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("Dockerfile"),
        format!("FROM scratch\nCOPY --from={0} / /\nCOPY --from={0} /bellwether /serves\n", &*image),
    )
    .unwrap();
    let empty = Image::named(format!("{}:test", name("scratch")));
    docker_in(directory.path(), &["build", "--tag", &empty, "."], []).ok();
    let said = docker(&["run", "--rm", &empty, "/bellwether", "--version"]).ok();
    assert_eq!(said, format!("bellwether {}\n", env!("CARGO_PKG_VERSION")));
    let plan = r#"{"name": "self", "steps": [{"name": "look", "run": ["/bellwether", "--version"]}]}"#;
    fs::write(directory.path().join("plan.json"), plan).unwrap();
    let mount = format!("{}:/plan:ro", directory.path().display());
    let mut words =
        vec!["run", "--rm", "--network=none", "-v", &mount, "--tmpfs", "/volume", &empty, "/bellwether", "run"];
    words.extend(["--rev=v1", "--plan=/plan/plan.json", "--volume=/volume", "--", "/serves", "--version"]);
    let said = docker(&words);
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert!(said.stdout.starts_with("bellwether "), "{}", said.all());
    assert!(said.stderr.contains("LEADER"), "{}", said.all());
}

#[test]
fn for_arm64_without_emulation() {
    let image = build("binary", &["--platform=linux/arm64"]);
    assert_eq!(inspect(&image, "{{.Os}}/{{.Architecture}}"), "linux/arm64");
    let (directory, binary) = static_binary(&image, "linux/arm64", "AArch64");
    let said = run(Command::new(QEMU).arg(&binary).arg("--version")).ok();
    assert_eq!(said, format!("bellwether {}\n", env!("CARGO_PKG_VERSION")));

    // Debian's qemu cannot adopt orphans for its guests, so the step itself runs on this machine's own.
    let plan = directory.path().join("plan.json");
    fs::write(&plan, r#"{"name": "shop", "steps": [{"name": "migrate", "run": ["true"]}]}"#).unwrap();
    let volume = directory.path().join("volume");
    fs::create_dir(&volume).unwrap();
    let settings = [("IMAGE_REV", Path::new("v1")), ("BELLWETHER_PLAN", &plan), ("BELLWETHER_VOLUME", &volume)];
    let ready = || run(Command::new(QEMU).arg(&binary).arg("ready").envs(settings)).code;
    assert_eq!(ready(), Some(1));
    run(Command::new(env!("CARGO_BIN_EXE_bellwether")).args(["run", "--", "true"]).envs(settings)).ok();
    assert_eq!(ready(), Some(0));
    let said = run(Command::new(QEMU).arg(&binary).args(["run", "--", "echo", "serves"]).envs(settings)).ok();
    assert_eq!(said, "serves\n");
    let said = run(Command::new(QEMU).arg(&binary).arg("status").envs(settings)).ok();
    assert!(said.contains("revision v1: ready") && said.contains("migrate"), "{said}");
}

#[test]
fn built_again_it_is_the_same_and_only_what_has_changed_is_built() {
    let first = build("binary", &[]);
    let checkout = checkout();
    let build = |image: &Image| {
        let words = ["build", "--progress=plain", "--target=binary", "--tag", image, "."];
        let said = docker_in(checkout.path(), &words, []);
        assert_eq!(said.code, Some(0), "{}", said.all());
        said.all()
    };
    // Another directory, other times, and what is not in the image is another text.
    fs::write(checkout.path().join("README.md"), "Another one.\n").unwrap();
    fs::write(checkout.path().join("compose/compose.yaml"), "services: {}\n").unwrap();
    let second = Image::named(format!("{}:test", name("binary")));
    let output = build(&second);
    // A layer that is made again is of another time, so the image would be another, too.
    assert_eq!(inspect(&first, "{{.Id}}"), inspect(&second, "{{.Id}}"), "{output}");

    // A remark changes no program, so what the compiler makes of it has to be the same to the byte.
    let source = checkout.path().join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, text + "\n// A remark.\n").unwrap();
    let output = build(&second);
    let built = steps_not_cached(&output);
    assert!(built.iter().any(|step| step.contains("COPY src")), "{output}");
    assert!(!built.iter().any(|step| step.contains("mkdir src") || step.contains("rustup")), "{output}");
    assert!(output.contains("Compiling bellwether") && !output.contains("Compiling tokio"), "{output}");
    let (one, other) = (unpacked(&first, "linux/amd64"), unpacked(&second, "linux/amd64"));
    assert_eq!(sum(&one.path().join("bellwether")), sum(&other.path().join("bellwether")));
}

/// The instructions that were carried out, from the builder's plain output: `#7 [stage 2/5] RUN …`, later `#7 CACHED`. Those of
/// another build at the same time, which it waits for instead of doing them twice, it may leave out.
fn steps_not_cached(output: &str) -> Vec<&str> {
    let number = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let is_step = |line: &&str| line.contains("] RUN ") || line.contains("] COPY ");
    let cached: Vec<_> = output.lines().filter(|line| line.ends_with(" CACHED")).map(number).collect();
    let steps: Vec<_> = output.lines().filter(|line| line.starts_with('#')).filter(is_step).collect();
    steps.into_iter().filter(|line| !cached.contains(&number(line))).collect()
}

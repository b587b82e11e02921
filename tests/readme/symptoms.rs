//! Troubleshooting by symptom: each symptom is brought about, and what is printed then is what the README shows.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{BIN, README, block};
use crate::waiting::wait_for;

/// A plan of one step that sleeps in its first run and succeeds in its second.
const PLAN: &str = r#"{"name": "shop", "steps": [{"name": "migrate",
    "run": ["sh", "-c", "[ -e ../begun ] || { touch ../begun; exec sleep 1000; }"]}]}"#;

struct Volume(TempDir);

impl Volume {
    fn new() -> Volume {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("plan.json"), PLAN).unwrap();
        fs::create_dir(directory.path().join("shared")).unwrap();
        Volume(directory)
    }

    fn bellwether(&self, program: impl AsRef<Path>, words: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        let shared = self.0.path().join("shared");
        command.args(words).current_dir(&shared).env_clear().env("PATH", std::env::var("PATH").unwrap());
        command.env("IMAGE_REV", "v1").env("BELLWETHER_PLAN", self.0.path().join("plan.json"));
        command.env("BELLWETHER_VOLUME", shared).env("STEP_STALE_SECS", "2");
        command
    }

    /// A leader in the middle of its step.
    fn leader(&self) -> Child {
        let mut leader = self.bellwether(BIN, &["run", "--", "true"]).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the step", || {
            assert_eq!(leader.try_wait().unwrap(), None);
            self.0.path().join("begun").exists().then_some(())
        });
        leader
    }
}

/// What is printed to both outputs, without the times of log lines.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    let untimed = text.lines().map(|line| match line.split_once(' ') {
        Some((time, rest)) if time.contains('T') && time.ends_with('Z') => rest,
        _ => line,
    });
    untimed.collect::<Vec<_>>().join("\n")
}

/// The words of a line that are the same everywhere: without numbers, names of places and what is ours here.
fn common(line: &str) -> Vec<&str> {
    line.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit() || "/.".contains(c))).collect()
}

/// That every line shown in this block of the README stands in what was said.
#[track_caller]
fn assert_shown(info: &str, said: &str) {
    let shown = block(info).lines().skip(1).filter(|line| !line.is_empty() && *line != "```");
    let host = gethostname();
    for line in shown {
        let wanted = common(line);
        let here = said.lines().map(|line| line.replace(&host, "web-1"));
        assert!(!wanted.is_empty(), "{line}");
        assert!(here.into_iter().any(|line| common(&line) == wanted), "not said: {line}\n{said}");
    }
}

fn gethostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

#[test]
fn no_leader_or_redis_errors() {
    let volume = Volume::new();
    let mut run = volume.bellwether(BIN, &["run", "--", "true"]);
    // Nobody listens at port 1.
    run.env("BELLWETHER_REDIS_URL", "redis://127.0.0.1:1").env("BELLWETHER_REDIS_WAIT_SECS", "2");
    let said = said(&mut run).replace("127.0.0.1:1", "redis-queue:6379");
    assert_shown("text no-leader", &said);
}

#[test]
fn follower_never_proceeds() {
    let volume = Volume::new();
    let mut leader = volume.leader();
    let said = said(&mut volume.bellwether(BIN, &["status"]));
    leader.kill().unwrap();
    leader.wait().unwrap();
    assert_shown("text waiting", &said);
    let words = include_str!("../../src/driver/words.rs");
    for quoted in [
        "still waiting: ",
        "this replica may not lead",
        "no step in progress",
        "the guard is held though every step has fallen silent",
    ] {
        assert!(words.contains(quoted) && README.contains(quoted.trim_end()), "{quoted}");
    }
}

#[test]
fn stuck_due_to_stale_marker() {
    let volume = Volume::new();
    let mut leader = volume.leader();
    leader.kill().unwrap();
    leader.wait().unwrap();
    let said = said(&mut volume.bellwether(BIN, &["run", "--", "echo", "serves"]));
    assert!(said.contains("serves"), "{said}");
    assert_shown("text stale", &said);
}

#[test]
fn permission_denied_writing_markers() {
    let volume = Volume::new();
    let shared = volume.0.path().join("shared");
    // Where the program is, another user may not be allowed to look. By `cp`: what this process has open for writing, a child
    // of another test may hold open for a moment, and then it cannot be executed.
    let program = volume.0.path().join("bellwether");
    assert!(Command::new("cp").arg(BIN).arg(&program).status().unwrap().success());
    let mut run = volume.bellwether(&program, &["run", "--", "true"]);
    if rustix::process::geteuid().is_root() {
        for path in [volume.0.path(), &shared] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        run.uid(1000).gid(1000);
    } else {
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o555)).unwrap();
    }
    assert_shown("text permission", &said(&mut run));
}

//! Staying as the parent.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::Signal;

use crate::util::{BIN, is_alive, pid_in, signal, signal_sets, state, wait_until};

fn supervise(command: &[&str]) -> Command {
    let mut supervisor = Command::new(BIN);
    supervisor
        .args(["run", "--no-wait", "--supervise", "--"])
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    supervisor
}

fn next_line(lines: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn start(command: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = supervise(command).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

#[test]
fn the_childs_end_is_ours() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)] {
        assert_eq!(supervise(&["/bin/sh", "-c", script]).status().unwrap().code(), Some(code), "{script}");
    }
    let output = supervise(&["no-such-program-xyz"]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not found in PATH"));
}

#[test]
fn every_signal_reaches_the_child() {
    let script = "for s in HUP INT QUIT USR1 USR2 WINCH RTMIN+3; do trap \"echo $s\" $s; done
        trap 'echo TERM; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let (mut child, mut lines) = start(&["/bin/bash", "-c", script]);
    assert_eq!(next_line(&mut lines), "ready");
    let pid = i32::try_from(child.id()).unwrap();
    for (number, name) in [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::WINCH, "WINCH"),
    ] {
        signal(pid, number);
        assert_eq!(next_line(&mut lines), name);
    }
    let realtime = Command::new("/bin/bash").args(["-c", &format!("kill -RTMIN+3 {pid}")]).status().unwrap();
    assert!(realtime.success());
    assert_eq!(next_line(&mut lines), "RTMIN+3");
    signal(pid, Signal::TERM);
    assert_eq!(next_line(&mut lines), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn the_child_begins_in_a_clean_state_of_its_own() {
    let output = supervise(&["cat", "/proc/self/status"]).output().unwrap();
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(signal_sets(&status), [0; 3], "{status}");
    let output = supervise(&["/bin/sh", "-c", "[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ]"]).status().unwrap();
    assert!(output.success(), "the child leads a group of its own");
}

#[test]
fn orphans_are_reaped_while_the_child_goes_on() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("orphan");
    let wait = "1 until getppid() == $ARGV[0]";
    let script = format!(
        "(perl -e '{wait}' $PPID & echo $! > {0}.new; mv {0}.new {0}); echo ready; exec sleep 600",
        path.display()
    );
    let (mut child, mut lines) = start(&["/bin/sh", "-c", &script]);
    assert_eq!(next_line(&mut lines), "ready");
    let orphan = pid_in(&path);
    wait_until("the orphan is reaped", || state(orphan).is_none());
    let pid = i32::try_from(child.id()).unwrap();
    assert!(is_alive(pid));
    signal(pid, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn the_child_gets_the_terminal_and_its_interrupts() {
    let script = "cut -d\\  -f5,8 /proc/$$/stat; trap \"echo interrupted; exit 6\" INT; echo ready; while :; do sleep 0.01; done";
    let inner = format!("{BIN} run --no-wait --supervise -- /bin/bash -c '{script}'");
    let mut child = Command::new("script");
    child.args(["-qec", &inner, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let groups = next_line(&mut lines);
    let (own, foreground) = groups.split_once(' ').unwrap();
    assert_eq!(own, foreground, "its group has the terminal");
    assert_eq!(next_line(&mut lines), "ready");
    child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.matches("interrupted").count(), 1, "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

//! What a command finds when it takes over.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use bellwether::process::{StopSignals, hand_off};
use rustix::process::Signal;

use crate::util::{BIN, again_blocking, block_on, is_again, signal, signal_sets, state, wait_until};

/// Perl: leaves everything behind that an exec would not clear. What a shell that started the tests in the background
/// ignores is not ignored here.
fn litter(then: &str) -> String {
    let prctl = libc_prctl();
    format!(
        r#"use POSIX; $SIG{{$_}} = "DEFAULT" for qw(HUP INT QUIT TERM); $^F = 100; open(my $leak, "<", "/dev/null"); $SIG{{PIPE}} = $SIG{{ALRM}} = "IGNORE"; alarm 1000;
        syscall({prctl}, 36, 1, 0, 0, 0); sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM, SIGUSR1, SIGCHLD));
        {then}; exec @ARGV"#
    )
}

fn libc_prctl() -> u32 {
    if cfg!(target_arch = "x86_64") { 157 } else { 167 }
}

fn littered(then: &str, command: &[&str]) -> Output {
    let output = Command::new("perl").args(["-e", &litter(then), BIN, "run", "--no-wait", "--"]).args(command).output();
    output.unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_command_finds_no_signal_blocked_ignored_or_caught() {
    let status = text(&littered("", &["cat", "/proc/self/status"]));
    assert_eq!(signal_sets(&status), [0; 3], "{status}");
}

#[test]
fn the_command_finds_no_descriptor_of_ours() {
    let open = text(&littered(
        "",
        &["/bin/sh", "-c", "for fd in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; :"],
    ));
    assert_eq!(open, "");
}

#[test]
fn the_command_finds_no_timer_and_no_subreaper_flag() {
    let prctl = libc_prctl();
    let probe =
        format!(r#"my $on = pack("i", 7); syscall({prctl}, 37, $on, 0, 0, 0); print alarm(0), " ", unpack("i", $on)"#);
    assert_eq!(text(&littered("", &["perl", "-e", &probe])), "0 0");
}

#[test]
fn the_command_keeps_the_pid_the_arguments_and_its_own_exit_code() {
    let mut command = Command::new(BIN);
    command.args(["run", "--no-wait", "--", "/bin/sh", "-c", "echo \"$$ $1\"; exit 9", "x", "a  b"]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{pid} a  b\n"));
    assert_eq!(output.status.code(), Some(9));
}

#[test]
fn a_pending_stop_signal_wins_over_the_command() {
    for (name, code) in [("SIGTERM", 143), ("SIGINT", 130), ("SIGQUIT", 131), ("SIGHUP", 129)] {
        let then = format!("sigprocmask(SIG_BLOCK, POSIX::SigSet->new({name})); kill {name}, $$");
        let output = littered(&then, &["echo", "served"]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{name}: {output:?}");
    }
    let output = littered(r#"$SIG{HUP} = "IGNORE"; kill SIGHUP, $$"#, &["echo", "served"]);
    assert_eq!(text(&output), "served\n", "an ignored signal is ignored");
}

#[test]
fn a_pending_stop_signal_wins_even_as_pid_1() {
    let script = litter("kill SIGTERM, $$; $$ == 1 or die");
    let mut command = Command::new("unshare");
    command.args([
        "--pid",
        "--fork",
        "--mount-proc",
        "perl",
        "-e",
        &script,
        BIN,
        "run",
        "--no-wait",
        "--",
        "echo",
        "served",
    ]);
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(143), 0), "{output:?}");
}

#[test]
fn a_command_that_cannot_be_executed_is_named() {
    for (command, code, part) in
        [(&["no-such-program-xyz"][..], 127, "not found in PATH"), (&["/etc/passwd"], 126, "permission denied")]
    {
        let output = Command::new(BIN).args(["run", "--no-wait", "--"]).args(command).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.contains(part), "{message}");
    }
}

/// Not a test: hears two signals, leaves the third to the hand-off.
#[test]
fn listen() {
    if !is_again() || env::var_os("BELLWETHER_TEST_LISTEN").is_none() {
        return;
    }
    let me = i32::try_from(std::process::id()).unwrap();
    block_on(async {
        let mut signals = StopSignals::listen().unwrap();
        signal(me, Signal::INT);
        assert_eq!(signals.next().await.unwrap(), 2);
        signal(me, Signal::HUP);
        assert_eq!(signals.next().await.unwrap(), 1);
        signal(me, Signal::TERM);
    });
    // The runtime has ended; nobody has read the last one.
    panic!("{}", hand_off(&["echo".into(), "served".into()]));
}

#[test]
fn a_signal_that_the_runtime_did_not_read_is_not_lost() {
    let output = again_blocking("SIGTERM, SIGINT, SIGHUP", "handoff::listen")
        .env("BELLWETHER_TEST_LISTEN", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("served"));
}

#[test]
fn the_death_signal_does_not_survive_the_hand_off() {
    // PDEATHSIG is cleared by no exec: a parent sets TERM, hands off, and dies.
    let prctl = libc_prctl();
    let probe =
        format!(r#"my $signal = pack("i", 7); syscall({prctl}, 2, $signal, 0, 0, 0); print unpack("i", $signal)"#);
    let then = format!("syscall({prctl}, 1, 15, 0, 0, 0)");
    assert_eq!(text(&littered(&then, &["perl", "-e", &probe])), "0");
}

#[test]
fn a_stop_signal_after_the_hand_off_ends_the_command() {
    let mut child =
        Command::new(BIN).arg0("bellwether").args(["run", "--no-wait", "--", "sleep", "600"]).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let is_sleep = || std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
    wait_until("the command runs", || is_sleep() && state(pid) == Some('S'));
    signal(pid, Signal::TERM);
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
}

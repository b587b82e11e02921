//! A log that nobody reads, and what a log's last line says.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::replica::Replica;
use crate::stack::{Stack, Step};
use crate::wait::{SECOND, mtime, wait_until};

const MARKER: &str = ".migrate_in_progress_v1";

/// Prints far more than a pipe takes, says so, and goes on when its gate is opened.
const FLOOD: &str = "begin; head -c 300000 /dev/zero | tr '\\0' x | fold -w 300; : >\"$E2E/flooded\"; gate; finish";

/// A replica whose stderr is open and never read.
fn start_unread(stack: &Stack, flags: &[&str]) -> (Replica, File) {
    let pipe: PathBuf = stack.scratch().join("stderr");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let reader = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let redirected = ["/bin/sh", "-c", "exec 2>\"$0\"; exec \"$@\"", pipe.to_str().unwrap()];
    let launch = stack.replica().under(&redirected);
    (flags.iter().fold(launch, |launch, flag| launch.flag(flag)).start(), reader)
}

#[test]
fn a_leader_whose_log_is_not_read_beats_and_can_be_stopped() {
    for format in ["text", "json"] {
        let stack = Stack::new().env("BELLWETHER_LOG_FORMAT", format).step(Step::script("migrate", FLOOD));
        let (mut leader, _reader) = start_unread(&stack, &[]);
        wait_until("the flood", || stack.scratch().join("flooded").exists());
        let flooded = stack.now();
        wait_until("beats", || mtime(&stack.path(MARKER)).unwrap() >= flooded + SECOND);
        leader.signal(Signal::TERM);
        assert_eq!(leader.wait(), 143);
        assert_eq!(leader.tree(), [0; 0]);
        assert!(!stack.has(MARKER));
        assert_eq!(stack.record("migrate")["last_end"], "stopped");
    }
}

#[test]
fn a_replica_whose_log_is_not_read_serves() {
    for flags in [&[][..], &["--supervise"]] {
        let stack = Stack::new().step(Step::script("migrate", FLOOD));
        let (mut replica, _reader) = start_unread(&stack, flags);
        stack.open_gate("migrate");
        assert_eq!(replica.wait(), 0);
        assert_eq!(stack.journal().count("serve", "-"), 1);
    }
}

#[test]
fn the_last_words_of_a_replica_end_with_the_reason_alone() {
    for format in ["text", "json"] {
        let failing = Step::script("migrate", "begin; exit 1").with("max_attempts", json!(1));
        let stack = Stack::new().env("BELLWETHER_LOG_FORMAT", format).step(failing);
        let mut replica = stack.start_replica();
        assert_eq!(replica.wait(), 78);
        let log = replica.log();
        if format == "json" {
            let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
            assert_eq!(last["exit"], 78);
            assert!(last["message"].as_str().unwrap().contains("bellwether skip --step migrate"), "{log}");
        } else {
            assert!(log.contains("ERROR exit 78: ") && !log.contains("exit="), "{log}");
            assert!(log.trim_end().ends_with("# if you have done this step by hand"), "{log}");
        }
    }
}

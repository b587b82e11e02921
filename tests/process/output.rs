//! What a step prints, through a real pipe.

use std::fs::OpenOptions;
use std::time::Duration;

use bellwether::process::{RunEvent, RunHow, StepProcess};

use crate::util::{block_on, hear, run, sh};

#[test]
fn both_streams_come_in_order_and_to_the_last_byte() {
    let told = run(&sh(r"echo out; echo err >&2; printf '10%%\r20%%\rdone\r\n'; printf 'no end'"));
    assert_eq!(told.lines, ["out", "err", "10%", "20%", "done", "no end"]);
    assert_eq!(told.end().how, RunHow::Exit(0));
}

#[test]
fn a_flood_is_bounded_and_its_end_is_kept() {
    let told = run(&sh("seq 1 100000; echo the cause"));
    assert_eq!(told.lines.first().unwrap(), "1");
    assert_eq!(told.lines.last().unwrap(), "the cause");
    assert!(told.lines.iter().any(|line| line.contains("lines left out")), "{:?}", told.lines.len());
    assert!(told.lines.len() < 50_000, "{}", told.lines.len());
}

#[test]
fn a_stranger_that_keeps_the_pipe_does_not_keep_the_leader() {
    block_on(async {
        let mut process = StepProcess::spawn(&sh("printf unfinished; kill -STOP $$; exit 4"), None).unwrap();
        let pid = loop {
            if let Some(RunEvent::Started { pid }) = process.next().await {
                break pid;
            }
        };
        let kept = OpenOptions::new().write(true).open(format!("/proc/{pid}/fd/1")).unwrap();
        crate::util::wait_until("it waits", || crate::util::state(pid) == Some('T'));
        crate::util::signal(pid, rustix::process::Signal::CONT);
        let told = hear(&mut process).await;
        assert_eq!(told.end().how, RunHow::Exit(4));
        assert_eq!(told.lines, ["unfinished"]);
        assert!(told.end.unwrap().duration < Duration::from_secs(60));
        drop(kept);
    });
}

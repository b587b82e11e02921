//! Looking at several things side by side, for a limited time, whatever hangs.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::exit::Exit;
use crate::finding::Finding;
use crate::process::{block_all_signals, boottime};

type Work = Box<dyn FnOnce(&dyn Fn(Finding)) + Send>;

/// One thing to look at. What it finds is told at once, so that it is not lost with what hangs after it.
pub(super) struct Look {
    /// What is told if it does not come to its end.
    stuck: Option<Finding>,
    work: Work,
}

impl Look {
    /// `repair` and `exit` are for a look that hangs.
    pub(super) fn new(
        what: &str,
        repair: &str,
        exit: Exit,
        work: impl FnOnce(&dyn Fn(Finding)) + Send + 'static,
    ) -> Look {
        Look { stuck: Some(Finding::fail(what, "", repair, exit)), work: Box::new(work) }
    }

    /// One that depends on another's, which tells what hangs.
    pub(super) fn silent(work: impl FnOnce(&dyn Fn(Finding)) + Send + 'static) -> Look {
        Look { stuck: None, work: Box::new(work) }
    }
}

enum Message {
    Found(Finding),
    Over,
}

/// Tells that a look has come to its end, even if that is a panic.
struct Ender<'a>(usize, &'a Sender<(usize, Message)>);

impl Drop for Ender<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = self.1.send((self.0, Message::Over));
        }
    }
}

/// What they find, in their order, after at most `limit`. The threads of those that hang are left behind.
pub(super) fn all(looks: Vec<Look>, limit: Duration) -> Vec<Finding> {
    let (sender, inbox) = channel();
    let mut found: Vec<(Vec<Finding>, Option<Finding>)> = Vec::new();
    for (number, Look { stuck, work }) in looks.into_iter().enumerate() {
        found.push((Vec::new(), stuck));
        let sender: Sender<(usize, Message)> = sender.clone();
        thread::spawn(move || {
            block_all_signals();
            let _ender = Ender(number, &sender);
            work(&|finding| drop(sender.send((number, Message::Found(finding)))));
        });
    }
    drop(sender);
    let end = boottime::now() + limit;
    loop {
        match inbox.recv_timeout(end.since(boottime::now())) {
            Ok((number, Message::Found(finding))) => found[number].0.push(finding),
            Ok((number, Message::Over)) => found[number].1 = None,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    let told = found.into_iter().flat_map(|(findings, stuck)| {
        let seen = format!("did not answer within {} s", limit.as_secs_f64());
        findings.into_iter().chain(stuck.map(|stuck| Finding { seen, ..stuck }))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_told_of_after_what_was_found_and_holds_up_nobody() {
        let (keep, never) = channel::<()>();
        let looks = vec![
            Look::new("volume", "look at the mount", Exit::VolumeIo, move |tell| {
                tell(Finding::ok("volume", "it is there"));
                let _ = never.recv();
            }),
            Look::new("Redis", "look at it", Exit::Unavailable, |tell| tell(Finding::ok("Redis", "it answers"))),
        ];
        let found = all(looks, Duration::from_millis(300));
        drop(keep);
        let stuck = Finding::fail("volume", "did not answer within 0.3 s", "look at the mount", Exit::VolumeIo);
        assert_eq!(found, [Finding::ok("volume", "it is there"), stuck, Finding::ok("Redis", "it answers")]);
    }

    #[test]
    fn when_all_have_come_to_their_end_nobody_waits() {
        let begun = boottime::now();
        let silent = vec![Look::silent(|_| ()), Look::new("x", "y", Exit::Software, |_| ())];
        assert_eq!(all(silent, Duration::from_secs(600)), []);
        assert!(boottime::now().since(begun) < Duration::from_secs(300));
    }
}

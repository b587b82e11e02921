//! What leader and shim say to each other over their socket: one line of JSON or one word at a time.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::process::spec::RunHow;

/// The first line from the leader: what to run.
#[derive(Deserialize, Serialize)]
pub(crate) struct Task {
    pub(crate) run: Vec<OsString>,
    pub(crate) check: Option<Vec<OsString>>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: Option<OsString>,
    pub(crate) user: Option<String>,
    pub(crate) grace_nanos: u64,
    pub(crate) deadline_nanos: Option<u64>,
}

/// Every later line from the leader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    /// Stop the tree.
    Stop,
    /// Stop it without grace.
    Kill,
    /// Stop it at this moment of the boot-time clock, in nanoseconds, instead of any other told before.
    Deadline(Option<u64>),
}

impl Order {
    /// The order as a line, with its end.
    pub(crate) fn line(self) -> String {
        match self {
            Order::Stop => "stop\n".to_owned(),
            Order::Kill => "kill\n".to_owned(),
            Order::Deadline(None) => "deadline none\n".to_owned(),
            Order::Deadline(Some(nanos)) => format!("deadline {nanos}\n"),
        }
    }

    /// Reads a line without its end. `None` if it is no order; leader and shim are one program, so that is a bug.
    pub(crate) fn parse(line: &str) -> Option<Order> {
        match line.split_once(' ') {
            None if line == "stop" => Some(Order::Stop),
            None if line == "kill" => Some(Order::Kill),
            Some(("deadline", "none")) => Some(Order::Deadline(None)),
            Some(("deadline", nanos)) => nanos.parse().ok().map(|nanos| Order::Deadline(Some(nanos))),
            _ => None,
        }
    }
}

/// A line from the shim.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "report")]
pub(crate) enum Report {
    /// The step's main process runs (not sent for `check`).
    Started { pid: i32 },
    /// Something a person should know.
    Note { text: String },
    /// Everything is over: no process of the tree is left.
    Ended { how: RunHow, stopped: bool, checked: bool, leftovers: usize },
}

/// Bytes into lines, for both ends of the socket.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Vec<u8>);

impl Inbox {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next complete line, without its end.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        let end = self.0.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = self.0.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive_the_wire_in_pieces() {
        let orders = [Order::Stop, Order::Deadline(Some(7)), Order::Deadline(None), Order::Kill];
        let mut inbox = Inbox::default();
        let mut read = Vec::new();
        for byte in orders.map(Order::line).concat().bytes() {
            inbox.push(&[byte]);
            read.extend(inbox.next_line().and_then(|line| Order::parse(&line)));
        }
        assert_eq!(read, orders);
        assert_eq!(["", "stop now", "deadline", "deadline x"].map(Order::parse), [None; 4]);
    }

    #[test]
    fn reports_are_lines_of_json() {
        let how = RunHow::CannotRun { code: 127, message: "no\nway".to_owned() };
        let report = Report::Ended { how, stopped: false, checked: false, leftovers: 0 };
        let line = serde_json::to_string(&report).unwrap();
        assert!(line.starts_with(r#"{"report":"ended""#) && !line.contains('\n'), "{line}");
        assert_eq!(serde_json::from_str::<Report>(&line).unwrap(), report);
    }
}

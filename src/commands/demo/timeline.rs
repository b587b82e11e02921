//! Lines on the screen: when, who, what.

use std::io::IsTerminal as _;
use std::time::Duration;

use crate::commands::print;
use crate::process::boottime;
use crate::protocol::Timestamp;

/// The names of the three, and a colour for each.
pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];
const COLOURS: [&str; 3] = ["36", "35", "33"];
const BOLD: &str = "1";
const RED: &str = "1;31";
const GREEN: &str = "32";
const DIM: &str = "2";

/// Prints what happens while it happens: standard output is written line by line.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    began: Timestamp,
    is_coloured: bool,
}

impl Timeline {
    /// Time begins now. Colours are for people who look at a terminal and have not said that they want none.
    pub(super) fn begin() -> Timeline {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_coloured = std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb;
        Timeline { began: boottime::now(), is_coloured }
    }

    /// Something a replica did.
    pub(super) fn replica(&self, who: usize, what: &str, details: &str) {
        let name = self.paint(COLOURS[who % COLOURS.len()], NAMES[who % NAMES.len()]);
        let what = format!("{what:<12}");
        let is_role = what.starts_with(|first: char| first.is_ascii_uppercase());
        let what = if is_role { self.paint(BOLD, &what) } else { what };
        self.line(&name, &what, details);
    }

    /// Something the demo did to them.
    pub(super) fn intervene(&self, what: &str, details: &str) {
        self.line("—", &self.paint(RED, &format!("{what:<12}")), details);
    }

    /// Something that was seen from outside.
    pub(super) fn observe(&self, what: &str, details: &str) {
        self.line("—", &format!("{what:<12}"), details);
    }

    fn line(&self, who: &str, what: &str, details: &str) {
        let seconds = boottime::now().since(self.began).as_secs_f64();
        let time = self.paint(DIM, &format!("{seconds:>5.1} s"));
        print(&format!("{time}  {who}  {what}  {details}"));
    }

    /// The word before a verdict.
    pub(super) fn verdict(&self, is_good: bool) -> String {
        if is_good { self.paint(GREEN, "ok  ") } else { self.paint(RED, "FAIL") }
    }

    pub(super) fn heading(&self, text: &str) {
        print(&format!("\n{}", self.paint(BOLD, text)));
    }

    /// A moment of the boot-time clock, in seconds of this timeline.
    pub(super) fn at(&self, moment: Timestamp) -> f64 {
        moment.since(self.began).as_secs_f64()
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A short span, for people.
pub(super) fn span(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        format!("{} ms", span.as_millis())
    } else {
        format!("{:.1} s", span.as_secs_f64())
    }
}

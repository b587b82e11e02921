//! A step's output, made fit for a log: lines of bounded length, at a bounded rate, that cannot forge other lines.
//!
//! Pure: bytes and moments in, lines out.

use std::collections::VecDeque;

use crate::protocol::Timestamp;

/// Bytes of one line that are kept.
const LINE_LIMIT: usize = 8 * 1024;
/// Lines a second, on average.
const RATE: u64 = 200;
/// Lines that may come at once.
const BURST: u64 = 1000;
/// Once lines were dropped, this many must be allowed again before any passes: one notice a second, not one a line.
const RESUME: u64 = RATE;
/// Dropped lines that are kept in case they turn out to be the last ones: a traceback ends a flood.
const TAIL: usize = 40;
const NANOS: u64 = 1_000_000_000;

/// One line of a step's output, without its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// The text. Control characters other than ESC and TAB are replaced.
    pub text: String,
    /// Whether the line was longer and its rest was cut.
    pub truncated: bool,
}

/// Cuts bytes into lines. `\n`, `\r` and `\r\n` each end one.
#[derive(Debug, Default)]
struct Splitter {
    line: Vec<u8>,
    truncated: bool,
    after_return: bool,
}

impl Splitter {
    fn push(&mut self, bytes: &[u8], mut emit: impl FnMut(Line)) {
        for &byte in bytes {
            let after_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' => emit(self.take()),
                b'\r' => {
                    // A progress bar begins with one as often as it ends with one.
                    self.after_return = !self.line.is_empty();
                    if self.after_return {
                        emit(self.take());
                    }
                }
                _ if self.line.len() < LINE_LIMIT => self.line.push(byte),
                _ => self.truncated = true,
            }
        }
    }

    /// The last line, if it lacks its end.
    fn finish(&mut self) -> Option<Line> {
        (!self.line.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> Line {
        let truncated = std::mem::take(&mut self.truncated);
        let mut bytes = std::mem::take(&mut self.line);
        if truncated {
            drop_torn_character(&mut bytes);
        }
        let text = String::from_utf8_lossy(&bytes).chars().map(harmless).collect();
        Line { text, truncated }
    }
}

/// A cut may have hit the middle of a character.
fn drop_torn_character(bytes: &mut Vec<u8>) {
    let torn = bytes.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
    if (1..4).contains(&torn) {
        bytes.truncate(bytes.len() - torn);
    }
}

fn harmless(character: char) -> char {
    match character {
        '\u{1b}' | '\t' => character,
        '\u{2028}' | '\u{2029}' => char::REPLACEMENT_CHARACTER,
        _ if character.is_control() => char::REPLACEMENT_CHARACTER,
        _ => character,
    }
}

/// Lets lines through at a bounded rate (a token bucket, in nanoseconds of the boot-time clock).
#[derive(Debug)]
struct Meter {
    credit: u64,
    last: Timestamp,
    is_dropping: bool,
}

impl Meter {
    const COST: u64 = NANOS / RATE;

    fn new(now: Timestamp) -> Meter {
        Meter { credit: BURST * Meter::COST, last: now, is_dropping: false }
    }

    fn may_pass(&mut self, now: Timestamp) -> bool {
        let gained = now.as_nanos().saturating_sub(self.last.as_nanos());
        self.credit = self.credit.saturating_add(gained).min(BURST * Meter::COST);
        self.last = self.last.max(now);
        let needed = if self.is_dropping { RESUME * Meter::COST } else { Meter::COST };
        self.is_dropping = self.credit < needed;
        if !self.is_dropping {
            self.credit -= Meter::COST;
        }
        !self.is_dropping
    }
}

/// Everything between the pipe's bytes and the lines that are reported.
#[derive(Debug)]
pub(crate) struct Output {
    splitter: Splitter,
    meter: Meter,
    dropped: u64,
    tail: VecDeque<Line>,
}

impl Output {
    pub(crate) fn new(now: Timestamp) -> Output {
        Output { splitter: Splitter::default(), meter: Meter::new(now), dropped: 0, tail: VecDeque::new() }
    }

    /// Takes what was read from the pipe at `now`.
    pub(crate) fn push(&mut self, now: Timestamp, bytes: &[u8], mut emit: impl FnMut(Line)) {
        let Output { splitter, meter, dropped, tail } = self;
        splitter.push(bytes, |line| {
            if meter.may_pass(now) {
                *dropped += u64::try_from(tail.len()).unwrap_or(0);
                tail.clear();
                notice(dropped, &mut emit);
                emit(line);
                return;
            }
            tail.push_back(line);
            if tail.len() > TAIL {
                tail.pop_front();
                *dropped += 1;
            }
        });
    }

    /// The pipe has ended: the last line, even without its end, and the last lines of a flood.
    pub(crate) fn finish(&mut self, mut emit: impl FnMut(Line)) {
        self.tail.extend(self.splitter.finish());
        notice(&mut self.dropped, &mut emit);
        self.tail.drain(..).for_each(emit);
    }
}

fn notice(dropped: &mut u64, emit: &mut impl FnMut(Line)) {
    let count = std::mem::take(dropped);
    if count > 0 {
        emit(Line { text: format!("({count} lines left out: more than {RATE} a second)"), truncated: false });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, |line| lines.push(line));
        }
        lines.extend(splitter.finish());
        lines.into_iter().map(|line| line.text + if line.truncated { "…" } else { "" }).collect()
    }

    #[test]
    fn lines_end_where_people_see_them_end() {
        let table: &[(&[&[u8]], &[&str])] = &[
            (&[], &[]),
            (&[b"one\ntwo\n"], &["one", "two"]),
            (&[b"on", b"e\nla", b"st"], &["one", "last"]),
            (&[b"a\n\nb\n"], &["a", "", "b"]),
            (&[b"dos\r\nunix\n"], &["dos", "unix"]),
            (&[b"dos\r", b"\nunix\n"], &["dos", "unix"]),
            (&[b"dos\r\n\r\nend"], &["dos", "", "end"]),
            (&[b"10%\r20%\r100%\n"], &["10%", "20%", "100%"]),
            (&[b"\r10%\r\r20%"], &["10%", "20%"]),
            (&[b"tab\tand \x1b[1mbold\x1b[0m"], &["tab\tand \u{1b}[1mbold\u{1b}[0m"]),
            (&[b"nul\0bell\x07del\x7fvt\x0b"], &["nul\u{fffd}bell\u{fffd}del\u{fffd}vt\u{fffd}"]),
            (&["nel\u{85}csi\u{9b}ls\u{2028}".as_bytes()], &["nel\u{fffd}csi\u{fffd}ls\u{fffd}"]),
            (&[b"bad \xff\xfe"], &["bad \u{fffd}\u{fffd}"]),
            (&["gr".as_bytes(), b"\xc3", b"\xbc\xc3\x9fe"], &["grüße"]),
        ];
        for (chunks, expected) in table {
            assert_eq!(split(chunks), *expected, "{chunks:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_flagged() {
        let just = "x".repeat(LINE_LIMIT);
        assert_eq!(split(&[just.as_bytes(), b"\nnext"]), [just.clone(), "next".to_owned()]);
        assert_eq!(split(&[just.as_bytes(), b"y\nnext"]), [just.clone() + "…", "next".to_owned()]);
        let torn = format!("{}ü tail", "x".repeat(LINE_LIMIT - 1));
        assert_eq!(split(&[torn.as_bytes()]), ["x".repeat(LINE_LIMIT - 1) + "…"]);
    }

    fn run(output: &mut Output, now: Timestamp, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        output.push(now, text.as_bytes(), |line| lines.push(line.text));
        lines
    }

    #[test]
    fn a_flood_is_counted_and_its_end_is_kept() {
        let start = Timestamp::from_millis(5);
        let mut output = Output::new(start);
        assert_eq!(run(&mut output, start, &"x\n".repeat(1500)).len(), 1000);
        assert_eq!(run(&mut output, start + Duration::from_millis(900), "y\n"), [""; 0], "not resumed yet");
        let later = run(&mut output, start + Duration::from_secs(1), "z\n");
        assert_eq!(later, ["(501 lines left out: more than 200 a second)", "z"]);
        let flood = (0..1000).map(|n| n.to_string()).collect::<Vec<_>>().join("\n") + "\n";
        assert_eq!(run(&mut output, start + Duration::from_secs(1), &flood).len(), 199);
        run(&mut output, start + Duration::from_secs(1), "the cause");
        let mut end = Vec::new();
        output.finish(|line| end.push(line.text));
        assert_eq!(end.first().unwrap(), "(761 lines left out: more than 200 a second)");
        assert_eq!(end[end.len() - 2..], ["999", "the cause"]);
        assert_eq!(end.len(), 1 + TAIL + 1);
    }

    #[test]
    fn a_steady_step_is_never_held_back() {
        let start = Timestamp::from_millis(5);
        let mut output = Output::new(start);
        for n in 0..10_000 {
            assert_eq!(run(&mut output, start + Duration::from_millis(5) * n, "x\n").len(), 1);
        }
    }
}

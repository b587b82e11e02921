//! The bench: where its parts are, and calling them.
//!
//! Commands go to bench's own helper under its own Python, without the `bench` program around it, which would write all
//! arguments into a log. The arguments come through standard input, so that nobody finds a secret among processes.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, PipeReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::call::Call;
use super::echo::Echo;
use super::trouble::Trouble;
use crate::process::boottime;

/// Reads a command's arguments as JSON from standard input, and runs it.
const BENCH: &str = include_str!("python/bench.py");
/// Looks at servers through bench's own drivers.
const PROBE: &str = include_str!("python/probe.py");

/// So many of a command's last lines are kept, to see what it died of.
const KEPT_LINES: usize = 200;
/// So many are shown of a command that was asked something and did not answer.
const LAST_LINES: usize = 20;
/// So many are read ahead of whoever shows them.
const LINES_AHEAD: usize = 1000;
/// A probe asks several servers, each of which has ten seconds to answer; longer than all of them together takes no probe.
const LONGEST_PROBE: Duration = Duration::from_secs(60);
/// Longer lines are cut, in bytes.
const LONGEST_LINE: usize = 16 * 1024;
/// A bar of progress is shown so often, and its end.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// How long the output of what a command has left behind is read.
const STRAGGLERS: Duration = Duration::from_secs(2);
/// How often to look whether a command has ended that keeps its output open.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What bench says then.
const REFUSES_ROOT: &str = "should not run this command as root";

/// A bench directory, whose `sites` are the volume.
#[derive(Debug)]
pub(super) struct Bench {
    root: PathBuf,
    sites: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    lines: VecDeque<String>,
}

impl Finished {
    /// Whether it said so in its last lines.
    pub(super) fn said(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    /// The last line that holds JSON: warnings may stand before it.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        self.lines.iter().rev().find_map(|line| serde_json::from_str(line.trim()).ok())
    }

    /// What it said last.
    pub(super) fn last_lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().rev().take(LAST_LINES).rev().map(String::as_str)
    }

    /// In words.
    pub(super) fn describe(&self) -> String {
        use std::os::unix::process::ExitStatusExt as _;

        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended in an unknown way".to_owned(),
        }
    }

    /// Nothing, or the trouble of a command that counts as an attempt.
    pub(super) fn expect_success(&self, call: &Call) -> Result<(), Trouble> {
        if self.status.success() {
            return Ok(());
        }
        if self.said(REFUSES_ROOT) {
            return Err(Trouble::ForGood(
                "bench refuses to run as root; steps run as the owner of the volume, so give it to the image's user: \
                 chown UID:GID VOLUME (1000:1000 in the official images)"
                    .to_owned(),
            ));
        }
        Err(Trouble::Failed(format!("{call} {}", self.describe())))
    }
}

impl Bench {
    pub(super) fn new(root: &Path, sites: &Path) -> Bench {
        Bench { root: root.to_owned(), sites: sites.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn sites(&self) -> &Path {
        &self.sites
    }

    pub(super) fn site(&self, site: &str) -> PathBuf {
        self.sites.join(site)
    }

    pub(super) fn python(&self) -> PathBuf {
        self.root.join("env/bin/python")
    }

    /// The apps of the image, by name: those directories of `apps` that hold a package of their name.
    pub(super) fn apps(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.root.join("apps"))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let is_app = |name: &String| self.root.join("apps").join(name).join(name).is_dir();
        let mut apps: Vec<String> = names.filter(is_app).collect();
        // The framework comes first, for bench as well.
        apps.sort_by_key(|app| (app != "frappe", app.clone()));
        Ok(apps)
    }

    /// Runs a command; its output goes through `echo`.
    pub(super) fn run(&self, call: &Call, echo: &Echo<'_>) -> Result<Finished, Trouble> {
        echo.note(&call.to_string());
        self.finish(BENCH, &call.request(), None, |line| echo.note(line))
    }

    /// Runs a command without showing what it says.
    pub(super) fn ask(&self, call: &Call) -> Result<Finished, Trouble> {
        self.finish(BENCH, &call.request(), None, |_| ())
    }

    /// Asks the probe; what it cannot do, it says in its answer.
    pub(super) fn probe(&self, request: &serde_json::Value) -> Result<serde_json::Value, Trouble> {
        self.probe_within(request, LONGEST_PROBE)
    }

    /// The same with a probe that is killed after `limit`.
    pub(super) fn probe_within(
        &self,
        request: &serde_json::Value,
        limit: Duration,
    ) -> Result<serde_json::Value, Trouble> {
        let finished = self.finish(PROBE, &request.to_string(), Some(limit), |_| ())?;
        finished.json().ok_or_else(|| {
            let last = finished.lines.back().map_or("nothing", String::as_str);
            Trouble::Failed(format!("the probe of the servers {}; it said: {last}", finished.describe()))
        })
    }

    fn finish(
        &self,
        script: &str,
        request: &str,
        limit: Option<Duration>,
        say: impl FnMut(&str),
    ) -> Result<Finished, Trouble> {
        let python = self.python();
        let failed = |error: io::Error| Trouble::Failed(format!("{}: {error}", python.display()));
        let (reader, writer) = io::pipe().map_err(failed)?;
        let mut child = {
            let mut command = Command::new(&python);
            command.arg("-c").arg(script).current_dir(&self.sites).env("PYTHONUNBUFFERED", "1");
            // Every call names its site.
            command.env_remove("FRAPPE_SITE");
            if limit.is_some() {
                // A probe leaves nothing behind, not even what Python has compiled.
                command.env("PYTHONDONTWRITEBYTECODE", "1");
            }
            let output = writer.try_clone().map_err(failed)?;
            command.stdin(Stdio::piped()).stdout(output).stderr(writer).spawn().map_err(failed)?
        };
        if let Some(mut input) = child.stdin.take() {
            // One that has ended already says so by its exit code.
            let _ = input.write_all(request.as_bytes());
        }
        let (status, lines) = follow(&mut child, reader, limit, say).map_err(failed)?;
        Ok(Finished { status, lines })
    }
}

/// Waits for the child and reads what it says, and for a moment what it has left behind says. One that takes longer than
/// `limit` is killed.
fn follow(
    child: &mut Child,
    reader: PipeReader,
    limit: Option<Duration>,
    mut say: impl FnMut(&str),
) -> io::Result<(ExitStatus, VecDeque<String>)> {
    let lines = read_in_background(reader);
    let mut kept = VecDeque::new();
    let (mut ended, mut progress_at) = (None, None);
    let begun = boottime::now();
    loop {
        match lines.recv_timeout(LOOK_EVERY) {
            Ok(Line { text, is_overwritten: true }) => {
                let now = boottime::now();
                if progress_at.is_none_or(|at| now.since(at) >= PROGRESS_EVERY) {
                    progress_at = Some(now);
                    say(&text);
                }
            }
            Ok(Line { text, .. }) => {
                say(&text);
                if kept.len() == KEPT_LINES {
                    kept.pop_front();
                }
                kept.push_back(text);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if ended.is_none() && child.try_wait()?.is_some() {
            ended = Some(boottime::now());
        }
        if ended.is_none() && limit.is_some_and(|limit| boottime::now().since(begun) > limit) {
            child.kill()?;
        }
        if ended.is_some_and(|at| boottime::now().since(at) > STRAGGLERS) {
            break;
        }
    }
    Ok((child.wait()?, kept))
}

/// A thread of its own, since a read cannot be given up.
fn read_in_background(reader: PipeReader) -> Receiver<Line> {
    let (sender, lines) = sync_channel(LINES_AHEAD);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        while let Ok(Some(line)) = read_line(&mut reader) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// What a command says up to the end of a line.
#[derive(Debug, Eq, PartialEq)]
struct Line {
    text: String,
    /// What follows is written over it, as bars of progress do: Frappe draws one a few hundred times.
    is_overwritten: bool,
}

/// `\n` and `\r\n` end a line, `\r` one that is overwritten, if anything follows. `None`: there is no more.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    let mut is_after_return = false;
    loop {
        let Some(&byte) = reader.fill_buf()?.first() else {
            return Ok((!bytes.is_empty()).then(|| Line::of(&bytes, false)));
        };
        if is_after_return && byte != b'\n' && !bytes.is_empty() {
            return Ok(Some(Line::of(&bytes, true)));
        }
        reader.consume(1);
        is_after_return = byte == b'\r';
        match byte {
            b'\n' => return Ok(Some(Line::of(&bytes, false))),
            b'\r' => {}
            _ => bytes.push(byte),
        }
        if bytes.len() == LONGEST_LINE {
            return Ok(Some(Line::of(&bytes, false)));
        }
    }
}

impl Line {
    fn of(bytes: &[u8], is_overwritten: bool) -> Line {
        Line { text: String::from_utf8_lossy(bytes).trim_end().to_owned(), is_overwritten }
    }
}

/// Whether a path names something there, without following a link.
pub(super) fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// A path for a message.
pub(super) fn shown(path: impl AsRef<OsStr>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_of_progress_is_told_from_the_lines_that_stay() {
        let mut said = b"a\r\n\n\rbar 1%\rbar 2%\r\rbar 3%\nlast".as_slice();
        let mut lines = Vec::new();
        while let Some(Line { text, is_overwritten }) = read_line(&mut said).unwrap() {
            lines.push((text, is_overwritten));
        }
        let expected =
            [("a", false), ("", false), ("bar 1%", true), ("bar 2%", true), ("bar 3%", false), ("last", false)];
        assert_eq!(lines, expected.map(|(text, is_overwritten)| (text.to_owned(), is_overwritten)));
        assert_eq!(read_line(&mut vec![b'x'; LONGEST_LINE + 1].as_slice()).unwrap().unwrap().text.len(), LONGEST_LINE);
    }
}

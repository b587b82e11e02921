//! What is written down of a round, a line each, in one file: by the steps and commands themselves, by the watcher of the
//! markers, and by the round. Each line is one `write(2)` with `O_APPEND`, so its place in the file is its place in time.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::str::FromStr;

use bellwether::process::boottime;

/// What a line tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    /// A step's process began.
    Start,
    /// A descendant of a step's process began.
    Member,
    /// A step's process, or a descendant, is alive.
    Beat,
    /// A step's process is about to end, with the code in `detail`.
    End,
    /// A step's process found another alive, whose pid is in `detail`, that must not be.
    Overlap,
    /// A command runs; `detail` is `ready` if the marker was there, or `early`.
    Serve,
    /// A step's in-progress marker was seen, of the epoch and the process that it tells. It came, as `detail` says, not before
    /// this moment.
    Shown,
    /// It was seen to have been beaten: not before the moment in `detail`.
    Beaten,
    /// It was seen to go.
    Hidden,
    /// A step's done marker was seen, of the epoch that it tells.
    Done,
    /// A step's done marker was seen to go.
    Undone,
    /// The ready marker was seen.
    Ready,
    /// The ready marker was seen to go.
    Unready,
    /// The failed marker was seen.
    Failed,
    /// A replica was started.
    Boot,
    /// A replica ended; `detail` is its exit code, 128 + n for signal n.
    Exit,
    /// The world was broken: `name` is how.
    Fault,
    /// The world was mended: `name` is what.
    Heal,
    /// A replica has not reached its command in time; `name` is [`WARM`](crate::round::WARM) if that was a warm start.
    Late,
    /// The secret was seen where `detail` says.
    Secret,
    /// Somebody did to a lease what only its holder may: `detail`.
    Seized,
    /// Of whoever led, something was left that is in the way of others: `detail`.
    Left,
}

const WORDS: [(What, &str); 22] = [
    (What::Start, "start"),
    (What::Member, "member"),
    (What::Beat, "beat"),
    (What::End, "end"),
    (What::Overlap, "overlap"),
    (What::Serve, "serve"),
    (What::Shown, "shown"),
    (What::Beaten, "beaten"),
    (What::Hidden, "hidden"),
    (What::Done, "done"),
    (What::Undone, "undone"),
    (What::Ready, "ready"),
    (What::Unready, "unready"),
    (What::Failed, "failed"),
    (What::Boot, "boot"),
    (What::Exit, "exit"),
    (What::Fault, "fault"),
    (What::Heal, "heal"),
    (What::Late, "late"),
    (What::Secret, "secret"),
    (What::Seized, "seized"),
    (What::Left, "left"),
];

/// One line: `what name epoch attempt run pid nanoseconds life detail`, where nothing is `-` or 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) what: What,
    /// Of the step, or of a fault.
    pub(crate) name: String,
    pub(crate) epoch: u64,
    pub(crate) attempt: u32,
    /// The main process of the step: an attempt that was given back has the same number once more.
    pub(crate) run: i32,
    pub(crate) pid: i32,
    /// On the boot-time clock.
    pub(crate) at: u64,
    /// One life of a replica, `r2.3`: the third of the second replica.
    pub(crate) life: String,
    pub(crate) detail: String,
}

impl Entry {
    pub(crate) fn new(what: What, name: &str) -> Entry {
        let nothing = || "-".to_owned();
        let (name, life, detail) = (name.to_owned(), nothing(), nothing());
        Entry { what, name, epoch: 0, attempt: 0, run: 0, pid: 0, at: 0, life, detail }
    }

    pub(crate) fn of(self, life: &str, pid: i32) -> Entry {
        Entry { life: life.to_owned(), pid, ..self }
    }

    pub(crate) fn under(self, epoch: u64, attempt: u32) -> Entry {
        Entry { epoch, attempt, ..self }
    }

    pub(crate) fn in_run(self, run: i32) -> Entry {
        Entry { run, ..self }
    }

    /// Blanks would be taken for the end of a word.
    pub(crate) fn detail(self, detail: &str) -> Entry {
        Entry { detail: detail.replace(|c: char| c.is_whitespace(), "_"), ..self }
    }

    /// The replica, without the number of its life.
    pub(crate) fn replica(&self) -> &str {
        self.life.split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { what, name, epoch, attempt, run, pid, at, life, detail } = self;
        let word = WORDS.iter().find(|(known, _)| known == what).expect("each has a word").1;
        write!(f, "{word} {name} {epoch} {attempt} {run} {pid} {at} {life} {detail}")
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(line: &str) -> Result<Entry, String> {
        let wrong = || format!("no line of a journal: {line:?}");
        let words: Vec<&str> = line.split(' ').collect();
        let [what, name, epoch, attempt, run, pid, at, life, detail] = words[..] else { return Err(wrong()) };
        Ok(Entry {
            what: WORDS.iter().find(|(_, word)| *word == what).ok_or_else(wrong)?.0,
            name: name.to_owned(),
            epoch: epoch.parse().map_err(|_| wrong())?,
            attempt: attempt.parse().map_err(|_| wrong())?,
            run: run.parse().map_err(|_| wrong())?,
            pid: pid.parse().map_err(|_| wrong())?,
            at: at.parse().map_err(|_| wrong())?,
            life: life.to_owned(),
            detail: detail.to_owned(),
        })
    }
}

/// The file, open for appending. It is not on the volume, which may be full.
#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    pub(crate) fn open(path: &Path) -> io::Result<Journal> {
        Ok(Journal(OpenOptions::new().append(true).create(true).open(path)?))
    }

    /// Writes it down, with the time.
    pub(crate) fn write(&self, entry: Entry) {
        let line = format!("{}\n", Entry { at: now(), ..entry });
        let written = (&self.0).write(line.as_bytes()).expect("there is room for the journal");
        assert_eq!(written, line.len(), "a line of the journal is written whole");
    }
}

/// All whole lines of the file, read as it grows.
#[derive(Debug)]
pub(crate) struct Reader {
    file: File,
    /// The beginning of a line whose end is not written yet.
    rest: String,
    pub(crate) entries: Vec<Entry>,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> io::Result<Reader> {
        Ok(Reader { file: File::open(path)?, rest: String::new(), entries: Vec::new() })
    }

    /// Reads what has been added.
    pub(crate) fn refresh(&mut self) -> io::Result<()> {
        self.file.read_to_string(&mut self.rest)?;
        let whole = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let entries = parse(&self.rest[..whole]).map_err(io::Error::other)?;
        self.entries.extend(entries);
        self.rest.drain(..whole);
        Ok(())
    }
}

/// All lines of a text.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    text.lines().map(str::parse).collect()
}

/// Nanoseconds on the boot-time clock, which no fault moves.
pub(crate) fn now() -> u64 {
    boottime::now().as_nanos()
}

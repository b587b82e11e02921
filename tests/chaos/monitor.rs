//! P8: whether somebody renews or removes a lease that is another's. Redis itself tells all that it is told, and what scripts do
//! in it, at its socket, which no link is between.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::journal::{Entry, Journal, What};
use crate::processes;

/// Before a server that does not listen yet is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// In microseconds: Redis looks at its clock once for a script, and once more when it tells of it.
const TICK: u64 = 50_000;

/// Listens to the server until it ends, in a thread; counts renewals and releases that were carried out.
pub(crate) fn listen(pid: i32, socket: PathBuf, secret: String, journal: Journal, counter: Arc<AtomicU64>) {
    thread::spawn(move || {
        while !processes::is_over(pid) {
            // It ends with the server, whenever that is.
            if let Ok(stream) = UnixStream::connect(&socket) {
                let _ = hear(stream, &secret, &journal, &counter);
            }
            thread::sleep(RETRY);
        }
    });
}

fn hear(mut stream: UnixStream, secret: &str, journal: &Journal, counter: &AtomicU64) -> io::Result<()> {
    write!(stream, "AUTH {secret}\r\nMONITOR\r\n")?;
    let mut lease = Lease::default();
    for line in BufReader::new(stream).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        let Some(said) = Said::parse(&line) else { continue };
        match lease.look_at(&said) {
            Verdict::Nothing => {}
            Verdict::Fine => drop(counter.fetch_add(1, Ordering::Relaxed)),
            Verdict::Wrong(why) => journal.write(Entry::new(What::Seized, "-").detail(&why)),
        }
    }
    Ok(())
}

/// A line: `1700000000.123456 [0 who] "COMMAND" "argument" …`.
#[derive(Debug)]
struct Said {
    /// By Redis's clock, in microseconds.
    at: u64,
    is_of_script: bool,
    words: Vec<String>,
}

impl Said {
    fn parse(line: &str) -> Option<Said> {
        let line = line.trim_end().trim_start_matches('+');
        let (at, rest) = line.split_once(" [")?;
        let (who, rest) = rest.split_once("] ")?;
        let (seconds, micros) = at.split_once('.')?;
        let at = seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?;
        Some(Said { at, is_of_script: who.ends_with(" lua"), words: words(rest) })
    }

    fn command(&self) -> String {
        self.words.first().map(|word| word.to_ascii_lowercase()).unwrap_or_default()
    }

    fn is_about_lease(&self) -> bool {
        self.words.get(1).is_some_and(|key| key.starts_with("bellwether:{") && key.ends_with(":lease"))
    }
}

/// What stands in quotation marks. Of what is escaped there, only these matter to us.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut is_inside) = (Vec::new(), String::new(), false);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_inside => words.push(std::mem::take(&mut word)),
            '\\' if is_inside => word.extend(characters.next().map(|escaped| match escaped {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            })),
            _ if is_inside => word.push(character),
            _ => {}
        }
        is_inside ^= character == '"';
    }
    words
}

/// The script that is being carried out, with the token of whoever asked for it.
#[derive(Clone, Debug)]
enum Script {
    Acquire,
    Renew(String),
    Release(String),
}

impl Script {
    /// One of two keys asks what is left of another's lease, if it is there to take it. A digest says nothing of this but to
    /// whoever has heard the text before.
    fn of(said: &Said, takes: &mut BTreeMap<String, bool>) -> Option<Script> {
        let [command, text, keys, _lease, arguments @ ..] = &said.words[..] else { return None };
        let digest = if command.eq_ignore_ascii_case("eval") {
            let digest = redis::Script::new(text).get_hash().to_owned();
            takes.insert(digest.clone(), text.contains("PTTL"));
            digest
        } else {
            text.clone()
        };
        match (&**keys, takes.get(&digest)?) {
            ("1", _) => Some(Script::Release(token(arguments.first()?)?)),
            (_, false) => Some(Script::Renew(token(arguments.get(1)?)?)),
            (_, true) => Some(Script::Acquire),
        }
    }
}

/// Who it is of whom a value begins so.
fn token(value: &str) -> Option<String> {
    Some(value.strip_prefix(r#"{"token":""#)?.split('"').next()?.to_owned())
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
enum Holder {
    /// It was there before we were, or came in a copy of all.
    #[default]
    Unknown,
    Nobody,
    /// Until then, if that is known.
    Somebody(String, Option<u64>),
}

#[derive(Debug, Eq, PartialEq)]
enum Verdict {
    Nothing,
    Fine,
    Wrong(String),
}

/// What Redis has been heard to do with the lease.
#[derive(Debug, Default)]
struct Lease {
    holder: Holder,
    script: Option<Script>,
    /// When it was asked for. It goes by that time or a later one, so what had expired before was not there for it.
    asked_at: u64,
    /// Whether the scripts of these digests take the lease, of two keys.
    takes: BTreeMap<String, bool>,
}

impl Lease {
    fn look_at(&mut self, said: &Said) -> Verdict {
        if !said.is_of_script {
            self.asked_at = said.at;
            let is_script = matches!(&*said.command(), "eval" | "evalsha");
            self.script = is_script.then(|| Script::of(said, &mut self.takes)).flatten();
        }
        let verdict = match (&self.script, &*said.command()) {
            (Some(Script::Renew(who)), "set" | "pexpire") if said.is_about_lease() => self.judge("renewed", who),
            (Some(Script::Release(who)), "del") if said.is_about_lease() => self.judge("removed", who),
            _ => Verdict::Nothing,
        };
        self.follow(said);
        verdict
    }

    fn judge(&self, what: &str, who: &str) -> Verdict {
        match &self.holder {
            Holder::Unknown => Verdict::Nothing,
            Holder::Nobody => Verdict::Wrong(format!("{who} has {what} a lease that nobody had")),
            Holder::Somebody(holder, _) if holder != who => {
                Verdict::Wrong(format!("{who} has {what} that of {holder}"))
            }
            Holder::Somebody(_, Some(until)) if until + TICK < self.asked_at => {
                Verdict::Wrong(format!("{who} has {what} its own {} us after that had expired", self.asked_at - until))
            }
            Holder::Somebody(..) => Verdict::Fine,
        }
    }

    /// Who has it then.
    fn follow(&mut self, said: &Said) {
        let millis = |word: Option<&String>| word.and_then(|word| word.parse::<u64>().ok());
        let until = |millis: Option<u64>| millis.map(|millis| said.at + millis * 1000);
        let is_about_lease = said.is_about_lease();
        match &*said.command() {
            "flushall" => self.holder = Holder::Nobody,
            // A copy begins to follow, or takes its place with what it knows.
            "replicaof" | "config" => self.holder = Holder::Unknown,
            "del" | "unlink" if is_about_lease => self.holder = Holder::Nobody,
            "set" if is_about_lease => {
                let is_relative = said.words.get(3).is_some_and(|word| word.eq_ignore_ascii_case("px"));
                let until = until(millis(said.words.get(4)).filter(|_| is_relative));
                let holder = said.words.get(2).and_then(|value| token(value));
                self.holder = holder.map_or(Holder::Unknown, |holder| Holder::Somebody(holder, until));
            }
            "pexpire" if is_about_lease => {
                if let Holder::Somebody(_, known) = &mut self.holder {
                    *known = until(millis(said.words.get(2)));
                }
            }
            _ => {}
        }
    }
}

/// What is in quotation marks behind each of these, about the lease of `a`; and what is found.
const SAID: [(&str, &[&str], Option<&str>); 10] = [
    ("asked for by a digest", &["A1 acquire", "S1 500", "A9 again b", "S2 500", "A9 renew b", "X 500"], None),
    ("it is renewed by its holder", &["A1 acquire", "S1 500", "A2 renew a", "X 500", "A3 release a", "D"], None),
    (
        "another asks and is denied",
        &["A1 acquire", "S1 500", "A2 release b", "A2 renew b", "A2 renew a", "X 500"],
        None,
    ),
    ("nothing is known of it", &["A1 renew b", "X 500"], None),
    ("a copy takes over", &["A1 acquire", "S1 500", "C", "A2 renew b", "X 500"], None),
    ("it expired, and another has it", &["A1 acquire", "S1 500", "A9 acquire", "S2 500", "A9 renew b", "X 500"], None),
    ("renewed by another", &["A1 acquire", "S1 500", "A2 renew b", "X 500"], Some("b has renewed that of a")),
    ("removed by another", &["A1 acquire", "S1 500", "A2 release b", "D"], Some("b has removed that of a")),
    ("renewed where there is none", &["F", "A2 renew a", "S1 500"], Some("a has renewed a lease that nobody had")),
    (
        "renewed when it has expired",
        &["A1 acquire", "S1 500", "A9 renew a", "S1 500"],
        Some("a has renewed its own 300000 us after that had expired"),
    ),
];

/// Whether that is heard which has to be: how many conversations, or what was heard wrongly.
pub(crate) fn self_test() -> Result<usize, String> {
    for (name, lines, found) in SAID {
        let mut lease = Lease::default();
        let mut at = 0;
        let wrong: Vec<String> = lines
            .iter()
            .filter_map(|line| {
                if let Some(tenth) = line.strip_prefix('A').and_then(|line| line[..1].parse::<u64>().ok()) {
                    at = tenth;
                }
                match lease.look_at(&Said::parse(&in_full(line, at)).expect("a line")) {
                    Verdict::Wrong(why) => Some(why),
                    _ => None,
                }
            })
            .collect();
        if wrong.first().map(String::as_str) != found {
            return Err(format!("{name}: heard {wrong:?} in {lines:?}"));
        }
    }
    Ok(SAID.len())
}

/// `A1 renew b` is asked for by somebody at 0.1 s; `S1 500`, `X 500` and `D` are what a script does.
fn in_full(line: &str, at: u64) -> String {
    let lease = r#""bellwether:{x}:lease""#;
    let mark = |who: &str| format!(r#""{{\"token\":\"{who}\"""#);
    let value = |who: &str| format!(r#""{{\"token\":\"{who}\",\"ttl_ms\":500}}""#);
    let words: Vec<&str> = line.split(' ').collect();
    let (who, what) = match words[..] {
        [_, "acquire"] => {
            ("1:1", format!(r#""EVAL" "it asks for\n PTTL" "2" {lease} "e" {} {} "500" "0""#, mark("a"), value("a")))
        }
        [_, "renew", who] => {
            ("1:1", format!(r#""EVAL" "it does not" "2" {lease} "e" {} {} "500" "7""#, mark(who), value(who)))
        }
        // The acquisition, once more.
        [_, "again", who] => {
            let digest = redis::Script::new("it asks for\n PTTL").get_hash().to_owned();
            ("1:1", format!(r#""EVALSHA" "{digest}" "2" {lease} "e" {} {} "500" "7""#, mark(who), value(who)))
        }
        [_, "release", who] => ("1:1", format!(r#""EVAL" "0" "1" {lease} {} "c" "r""#, mark(who))),
        ["S1", millis] => ("lua", format!(r#""SET" {lease} {} "PX" "{millis}""#, value("a"))),
        ["S2", millis] => ("lua", format!(r#""SET" {lease} {} "PX" "{millis}""#, value("b"))),
        ["X", millis] => ("lua", format!(r#""PEXPIRE" {lease} "{millis}""#)),
        ["D"] => ("lua", format!(r#""DEL" {lease}"#)),
        ["F"] => ("1:1", r#""FLUSHALL""#.to_owned()),
        _ => ("1:1", r#""CONFIG" "SET" "port" "6379""#.to_owned()),
    };
    format!("1.{at}00000 [0 {who}] {what}")
}

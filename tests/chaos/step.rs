//! The programs that replicas run: the steps, what steps leave behind, and the commands. They write down what they do in the
//! journal, and hold nothing but its descriptor.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{getpid, setsid};

use crate::journal::{Entry, Journal, Reader, What, now};
use crate::processes;
use crate::variables as v;

/// Between two signs of life.
const BEAT: Duration = Duration::from_millis(8);

/// Longer than a round: somebody has to end it.
const FOR_EVER: Duration = Duration::from_secs(600);

/// How long what a step has left behind lives if nobody ends it: longer than any bound of a round.
const DAEMON: Duration = Duration::from_secs(300);

/// Closes every descriptor that it was given before it becomes a member, so that it does not hold the guard.
const WITHOUT_DESCRIPTORS: &str = r#"for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
done
exec "$@""#;

/// `step NAME MILLIS FAILURES CODE AFTER CHILD`: runs for so long; the first FAILURES runs to come to their end do so with
/// CODE. AFTER are the names of its predecessors, by commas. CHILD is `none`, `orphan` or `daemon`.
pub(crate) fn step(arguments: &[String]) -> ExitCode {
    let [name, millis, failures, code, after, child] = arguments else { panic!("step: {arguments:?}") };
    let mut me = Me::new(name);
    me.run = me.pid;
    let path = env::var(v::JOURNAL).expect("a step is told where the journal is");
    let journal = Journal::open(Path::new(&path)).expect("the journal can be opened");
    journal.write(me.entry(What::Start));
    let mut reader = Reader::open(Path::new(&path)).expect("the journal can be opened");
    reader.refresh().expect("the journal can be read");
    let entries = reader.entries;
    report_others(&me, &journal, &entries, &after.split(',').collect::<Vec<_>>());
    // What Bellwether must hide in its log and on the volume.
    println!("{name} tells {}", env::var(v::SECRET).unwrap_or_default());
    if child != "none" {
        leave_behind(&me, child);
    }
    let failed = entries.iter().filter(|e| e.what == What::End && e.name == *name && e.detail != "0").count();
    let fails = failed < failures.parse().expect("a number of failures");
    let code: u8 = if fails { code.parse().expect("a code") } else { 0 };
    beat(&me, &journal, Duration::from_millis(millis.parse().expect("a number of milliseconds")));
    journal.write(me.entry(What::End).detail(&code.to_string()));
    ExitCode::from(code)
}

/// `member NAME`: what a step has left behind.
pub(crate) fn member(arguments: &[String]) -> ExitCode {
    let [name] = arguments else { panic!("member: {arguments:?}") };
    let me = Me::new(name);
    let journal = Journal::open(Path::new(&env::var(v::JOURNAL).expect("told"))).expect("the journal can be opened");
    journal.write(me.entry(What::Member));
    beat(&me, &journal, DAEMON);
    ExitCode::SUCCESS
}

/// `fork NAME CHILD`: starts a member and ends, so that nobody in its step is its parent.
pub(crate) fn fork(arguments: &[String]) -> ExitCode {
    let [name, child] = arguments else { panic!("fork: {arguments:?}") };
    let this = env::current_exe().expect("this program");
    let mut command = if child == "daemon" {
        setsid().expect("it does not lead a group");
        let mut command = Command::new("/bin/bash");
        command.args(["-c", WITHOUT_DESCRIPTORS, "bash"]).arg(this);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    } else {
        Command::new(this)
    };
    drop(command.args(["member", name]).spawn().expect("a member starts"));
    ExitCode::SUCCESS
}

/// `serve once|on`: the command. Writes down whether the ready marker was there, and ends or goes on.
pub(crate) fn serve(arguments: &[String]) -> ExitCode {
    let [how] = arguments else { panic!("serve: {arguments:?}") };
    let me = Me::new("-");
    let is_ready = Path::new(&env::var(v::READY).expect("a command is told what to look at")).exists();
    let journal = Journal::open(Path::new(&env::var(v::JOURNAL).expect("told"))).expect("the journal can be opened");
    journal.write(me.entry(What::Serve).detail(if is_ready { "ready" } else { "early" }));
    if how == "on" {
        thread::sleep(FOR_EVER);
    }
    ExitCode::SUCCESS
}

/// Who writes.
struct Me {
    name: String,
    epoch: u64,
    attempt: u32,
    /// The main process of the step to which it belongs.
    run: i32,
    pid: i32,
    life: String,
}

impl Me {
    fn new(name: &str) -> Me {
        let number = |variable| env::var(variable).ok().and_then(|text: String| text.parse::<u64>().ok()).unwrap_or(0);
        Me {
            name: name.to_owned(),
            epoch: number("BELLWETHER_EPOCH"),
            attempt: u32::try_from(number("BELLWETHER_ATTEMPT")).expect("few attempts"),
            run: i32::try_from(number(v::RUN)).expect("a pid"),
            pid: getpid().as_raw_nonzero().get(),
            life: env::var(v::LIFE).expect("whoever is started here has a life"),
        }
    }

    fn entry(&self, what: What) -> Entry {
        Entry::new(what, &self.name).of(&self.life, self.pid).under(self.epoch, self.attempt).in_run(self.run)
    }
}

/// Whoever is alive now, while we are, and must not be: of another epoch, of this step, or of one before it.
fn report_others(me: &Me, journal: &Journal, entries: &[Entry], after: &[&str]) {
    let mut seen = vec![me.pid];
    for entry in entries.iter().filter(|entry| matches!(entry.what, What::Start | What::Member)) {
        let must_be_gone = entry.epoch != me.epoch || entry.name == me.name || after.contains(&&*entry.name);
        if must_be_gone && !seen.contains(&entry.pid) && processes::is_alive(entry.pid) {
            journal.write(me.entry(What::Overlap).detail(&entry.pid.to_string()));
        }
        seen.push(entry.pid);
    }
}

/// Starts what outlives its parent, and waits until the parent is gone.
fn leave_behind(me: &Me, child: &str) {
    let this = env::current_exe().expect("this program");
    let mut command = Command::new(this);
    let status = command.args(["fork", &me.name, child]).env(v::RUN, me.run.to_string()).status().expect("it starts");
    assert!(status.success(), "{status}");
}

fn beat(me: &Me, journal: &Journal, span: Duration) {
    let until = now() + u64::try_from(span.as_nanos()).expect("a short span");
    while now() < until {
        thread::sleep(BEAT);
        journal.write(me.entry(What::Beat));
    }
}

/// The plan's command line for a step of this program. What is ignored stays ignored when another program is executed.
pub(crate) fn command_line(is_deaf: bool, arguments: &[String]) -> io::Result<Vec<String>> {
    let this = fs::canonicalize(env::current_exe()?)?.display().to_string();
    let deaf = ["/bin/sh", "-c", "trap '' TERM; exec \"$@\"", "sh"].map(str::to_owned);
    let prefix = if is_deaf { deaf.to_vec() } else { Vec::new() };
    Ok(prefix.into_iter().chain([this, "step".to_owned()]).chain(arguments.iter().cloned()).collect())
}

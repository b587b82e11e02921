//! What these tests share. Nothing sleeps for a fixed time: everything waits for something to be seen.

use std::env;
use std::fs;
use std::future::Future;
use std::path::Path;
use std::process::Command;

use bellwether::process::{RunEnd, RunEvent, StepProcess, StepSpec};

pub(crate) use crate::wait::{is_alive, signal, state, wait_until};
use crate::waiting::{LIMIT, wait_for};

/// The built binary: shim, hand-off, supervisor.
pub(crate) const BIN: &str = env!("CARGO_BIN_EXE_bellwether");

/// Blocked, ignored and caught signals in a `/proc/<pid>/status`, those left out that belong to glibc (32 and 33), which
/// whoever uses its `posix_spawn`, as std does, leaves ignored.
pub(crate) fn signal_sets(status: &str) -> [u64; 3] {
    ["SigBlk:\t", "SigIgn:\t", "SigCgt:\t"].map(|name| {
        let set =
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {status}"));
        u64::from_str_radix(set, 16).unwrap() & !(3 << 31)
    })
}

const ISOLATED: &str = "BELLWETHER_TEST_ISOLATED";

/// A step that runs `script` in `/bin/sh`.
pub(crate) fn sh(script: &str) -> StepSpec {
    step(&["/bin/sh", "-c", script])
}

/// A step that runs `script` in Python, which can do to a process what a shell cannot.
pub(crate) fn python(script: &str) -> StepSpec {
    step(&["/usr/bin/python3", "-c", script])
}

pub(crate) fn step(command: &[&str]) -> StepSpec {
    let spec = StepSpec::new("test", command.iter().map(Into::into).collect());
    StepSpec { executable: BIN.into(), ..spec }
}

/// Everything a run has told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) lines: Vec<String>,
    pub(crate) notes: Vec<String>,
    pub(crate) pid: Option<i32>,
    pub(crate) end: Option<RunEnd>,
}

impl Told {
    pub(crate) fn end(&self) -> &RunEnd {
        self.end.as_ref().unwrap()
    }

    fn hear(&mut self, event: RunEvent) {
        match event {
            RunEvent::Started { pid } => self.pid = Some(pid),
            RunEvent::Line(line) => self.lines.push(line.text),
            RunEvent::Note(text) => self.notes.push(text),
            RunEvent::Ended(end) => self.end = Some(end),
        }
    }
}

/// Hears everything until the end.
pub(crate) async fn hear(process: &mut StepProcess) -> Told {
    let mut told = Told::default();
    while let Some(event) = process.next().await {
        told.hear(event);
    }
    told
}

/// Hears until a line says `text`.
pub(crate) async fn hear_line(process: &mut StepProcess, text: &str) {
    while let Some(event) = process.next().await {
        match event {
            RunEvent::Line(line) if line.text == text => return,
            RunEvent::Ended(end) => panic!("ended before {text:?}: {end:?}"),
            _ => {}
        }
    }
}

pub(crate) fn run(spec: &StepSpec) -> Told {
    block_on(async { hear(&mut StepProcess::spawn(spec, None).unwrap()).await })
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, future).await.expect("it takes for ever") })
}

/// Waits until a process has written its pid there, and the end of the line.
pub(crate) fn pid_in(path: &Path) -> i32 {
    wait_for(&path.display().to_string(), || fs::read_to_string(path).ok()?.strip_suffix('\n')?.parse().ok())
}

/// Runs the rest of a test in a process of its own: `false` in the first process, when the other has succeeded.
pub(crate) fn is_isolated(test: &str) -> bool {
    if env::var_os(ISOLATED).is_some() {
        return true;
    }
    let output = again(test).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test} in a process of its own: {}\n{text}", output.status);
    assert!(text.contains("1 passed"), "{test} is not the name of a test:\n{text}");
    false
}

/// This test program, running `test` alone in its main thread.
pub(crate) fn again(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ISOLATED, "1");
    command
}

/// The same with these signals blocked in every thread: libtest runs no test in the main thread.
pub(crate) fn again_blocking(signals: &str, test: &str) -> Command {
    let plain = again(test);
    let script = format!("use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new({signals})); exec @ARGV");
    let mut command = Command::new("perl");
    command.args(["-e", &script]).arg(plain.get_program()).args(plain.get_args()).env(ISOLATED, "1");
    command
}

/// Whether this process is one that [`again`] has started.
pub(crate) fn is_again() -> bool {
    env::var_os(ISOLATED).is_some()
}

/// Python: a main process and a daemon of its own (double fork, new session, no descriptor left), both deaf to TERM.
/// Their pids appear in `main` and `daemon` in the directory.
pub(crate) fn stubborn(directory: &Path, last_words: &str) -> String {
    let directory = directory.display();
    format!(
        r"
import os, signal
def tell(name):
    path = os.path.join('{directory}', name)
    with open(path + '.new', 'w') as file: file.write('%d\n' % os.getpid())
    os.rename(path + '.new', path)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 1024)
        tell('daemon')
        while True: signal.pause()
    os._exit(0)
os.wait()
tell('main')
{last_words}
while True: signal.pause()
"
    )
}

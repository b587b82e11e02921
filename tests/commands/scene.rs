//! A volume with a plan, and the binary to run on it. Nothing sleeps for a fixed time.

use crate::waiting::{LIMIT, wait_for};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const BIN: &str = env!("CARGO_BIN_EXE_bellwether");

/// One step that succeeds, one that fails until the file `repaired` is on the volume, one after it.
pub(crate) const FRAGILE: &str = r#"{ "name": "shop", "steps": [
    { "name": "site", "run": ["true"] },
    { "name": "migrate", "in_progress": "migrating", "done": "migrated", "after": ["site"], "max_attempts": 2,
      "run": ["sh", "-c", "echo connecting as hunter22; test -e $BELLWETHER_VOLUME/repaired || exit 3"],
      "env": { "DB_PASSWORD": "hunter22", "PIN_KEY": "123", "COLOUR": "light blue" } },
    { "name": "assets", "run": ["true"], "after": ["migrate"] } ] }"#;

/// One step that writes down what it begins, shows what it has found there, and fails until the file `repaired` is on
/// the volume.
pub(crate) const FORGETFUL: &str = r#"{ "steps": [
    { "name": "migrate", "max_attempts": 1,
      "run": ["sh", "-c", "cp $BELLWETHER_RECORD $BELLWETHER_VOLUME/found; echo begun >$BELLWETHER_RECORD; test -e $BELLWETHER_VOLUME/repaired"] },
    { "name": "assets", "run": ["true"], "after": ["migrate"] } ] }"#;

/// One step that never ends, one after it.
pub(crate) const ENDLESS: &str = r#"{ "steps": [
    { "name": "migrate", "in_progress": "migrating", "done": "migrated",
      "run": ["sh", "-c", "touch $BELLWETHER_VOLUME/running; exec sleep infinity"] },
    { "name": "assets", "run": ["true"], "after": ["migrate"] } ] }"#;

/// A scratch volume.
#[must_use]
pub(crate) struct Scene {
    directory: TempDir,
    env: Vec<(&'static str, String)>,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Scene {
    pub(crate) fn new(plan: &str) -> Scene {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let scene = Scene { directory, env: Vec::new() };
        fs::create_dir(scene.volume()).unwrap();
        fs::write(scene.plan(), plan).unwrap();
        let plan = scene.plan().display().to_string();
        scene.with("IMAGE_REV", "v1").with("BELLWETHER_PLAN", &plan)
    }

    /// Sets a variable; an empty value counts as not set.
    pub(crate) fn with(mut self, variable: &'static str, value: &str) -> Scene {
        self.env.push((variable, value.to_owned()));
        self
    }

    pub(crate) fn volume(&self) -> PathBuf {
        self.directory.path().join("volume")
    }

    fn plan(&self) -> PathBuf {
        self.directory.path().join("plan.json")
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.volume().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.volume().join(name)).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.volume().join(name).exists()
    }

    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("BELLWETHER_VOLUME", self.volume()).env("BELLWETHER_BACKOFF_SECS", "0.1");
        command.env("BELLWETHER_STOP_GRACE_SECS", "0.2").env("BELLWETHER_LOG", "off");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn say(&self, arguments: &[&str]) -> Said {
        Said::of(&mut self.command(BIN, arguments))
    }

    /// The same with other settings.
    pub(crate) fn say_with(&self, env: &[(&str, &str)], arguments: &[&str]) -> Said {
        Said::of(self.command(BIN, arguments).envs(env.iter().copied()))
    }

    /// The same as nobody, who may read everything and write nothing. Only root can do that.
    pub(crate) fn say_as_nobody(&self, arguments: &[&str]) -> Option<Said> {
        if !rustix::process::geteuid().is_root() || Command::new("setpriv").arg("--version").output().is_err() {
            return None;
        }
        // The built binary may lie where nobody else may look.
        let copy = self.directory.path().join("bellwether");
        // By another process: what is open for writing here, any child of another test would hold as well.
        let copied = Command::new("cp").arg(BIN).arg(&copy).status();
        assert!(copied.is_ok_and(|status| status.success()));
        let before = ["--reuid=65534", "--regid=65534", "--clear-groups", copy.to_str().unwrap()];
        Some(Said::of(&mut self.command("setpriv", &[&before, arguments].concat())))
    }

    /// The text of a command that ends well, redacted.
    pub(crate) fn shown(&self, arguments: &[&str]) -> String {
        let said = self.say(arguments);
        assert_eq!(said.code, 0, "{said:?}");
        self.redact(&said.out)
    }

    pub(crate) fn status(&self) -> Value {
        self.say(&["status", "--json"]).json()
    }

    /// Waits until `status --json` is as it should be.
    pub(crate) fn await_status(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut status = Value::Null;
        wait_until(|| {
            status = self.status();
            is_so(&status)
        });
        status
    }

    /// A replica that leads, in the middle of its first step.
    pub(crate) fn leader(&self) -> Process {
        self.leader_with(&[])
    }

    /// The same with other settings.
    pub(crate) fn leader_with(&self, env: &[(&str, &str)]) -> Process {
        let mut command = self.command(BIN, &["run", "--", "true"]);
        let leader = Process(command.envs(env.iter().copied()).spawn().unwrap());
        wait_until(|| self.has("running"));
        self.await_status(|status| status["guard"]["state"] == "held" && status["steps"][0]["state"] == "in_progress");
        leader
    }

    /// A leader dies without a word, with all of its steps.
    pub(crate) fn crash(&self) {
        drop(self.leader());
        self.await_status(|status| status["guard"]["state"] == "free");
    }

    /// Starts the binary and reads its output line by line.
    pub(crate) fn stream(&self, arguments: &[&str]) -> (Process, Lines) {
        self.stream_of(BIN, arguments)
    }

    /// The same of another program.
    pub(crate) fn stream_of(&self, program: &str, arguments: &[&str]) -> (Process, Lines) {
        let mut child = self.command(program, arguments).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        (Process(child), Lines(lines))
    }

    /// Paths, hosts, moments, spans and process ids are others in each run; so are the columns' widths.
    pub(crate) fn redact(&self, text: &str) -> String {
        let text = text.replace(&self.volume().display().to_string(), "[volume]");
        let lines: Vec<String> = text.lines().map(redact_line).collect();
        // Not every kernel shows it.
        lines.join("\n").replace(" (pid [pid] here)", "")
    }
}

fn redact_line(line: &str) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let indent = line.len() - line.trim_start().len();
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let (core, tail) = word.split_at(word.trim_end_matches([',', ')', ';', '.']).len());
        let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
        let is_span = core.strip_suffix('s').is_some_and(|core| is_number(&core.replace('m', "")));
        let new = match core {
            _ if core.len() == 24 && core.ends_with('Z') && core.starts_with("20") => "[time]",
            _ if words.last().is_some_and(|last| last.ends_with("pid")) => "[pid]",
            _ if core == host.trim() => "[host]",
            _ if is_span => "[span]",
            _ if is_number(core) && core.contains('.') => "[secs]",
            _ => core,
        };
        words.push(format!("{new}{tail}"));
    }
    format!("{}{}", " ".repeat(indent), words.join(" "))
}

impl Said {
    pub(crate) fn of(command: &mut Command) -> Said {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// A process that is killed when the test is over.
pub(crate) struct Process(Child);

impl Process {
    #[cfg(feature = "redis")]
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether its main thread has the signal wait.
    #[cfg(feature = "redis")]
    pub(crate) fn has_blocked(&self, signal: Signal) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (signal.as_raw() - 1)) != 0
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn code(mut self) -> Option<i32> {
        wait_until(|| self.0.try_wait().unwrap().is_some());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lines that a process prints.
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    /// The next line that holds `part`; those before it are dropped.
    pub(crate) fn await_line(&self, part: &str) -> String {
        loop {
            let line = self.0.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("{error}: no line with {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }
}

/// Waits for a condition.
pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) {
    wait_for("the condition", || is_so().then_some(()));
}

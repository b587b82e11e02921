//! A stack: a scratch directory with a volume, a plan, gates and a journal.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::election::Election;
use crate::journal::Journal;
use crate::replica::{Launch, Replica};
use crate::wait::{Nanos, kill_bearing, mtime};

/// One step of a plan.
#[must_use]
#[derive(Clone, Debug)]
pub(crate) struct Step(Map<String, Value>);

impl Step {
    /// Runs a script for `/bin/sh` that knows the words of `lib.sh`.
    pub(crate) fn script(name: &str, script: &str) -> Step {
        Step::running(name, &["/bin/sh", "-c", &format!(". \"$E2E/lib.sh\"\n{script}")])
    }

    pub(crate) fn running(name: &str, command: &[&str]) -> Step {
        Step(Map::from_iter([("name".to_owned(), json!(name)), ("run".to_owned(), json!(command))]))
    }

    /// Begins and ends.
    pub(crate) fn quick(name: &str) -> Step {
        Step::script(name, "begin; finish")
    }

    /// Begins, and ends when the test opens the gate of the step's name.
    pub(crate) fn gated(name: &str) -> Step {
        Step::script(name, "begin; gate; finish")
    }

    /// The first time it is deaf to TERM and has a daemon in a session of its own; later it just runs.
    pub(crate) fn stubborn(name: &str) -> Step {
        let script = "begin\n[ -e \"$E2E/tried\" ] && { finish; exit; }\n: >\"$E2E/tried\"\n\
                      exec /usr/bin/python3 \"$E2E/stubborn.py\"";
        Step::script(name, script)
    }

    pub(crate) fn after(self, names: &[&str]) -> Step {
        self.with("after", json!(names))
    }

    pub(crate) fn with(mut self, key: &str, value: Value) -> Step {
        self.0.insert(key.to_owned(), value);
        self
    }

    fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }
}

/// Replicas' common world. Dropping it kills whatever is left of them and, in a test that fails, shows what they said.
#[must_use]
#[derive(Debug)]
pub(crate) struct Stack {
    /// What elects a leader outlives the replicas, which are killed when the stack is dropped.
    pub(crate) election: Election,
    scratch: TempDir,
    volume: PathBuf,
    plan: Map<String, Value>,
    env: BTreeMap<String, String>,
    gates: Mutex<BTreeMap<String, File>>,
}

impl Stack {
    pub(crate) fn new() -> Stack {
        let scratch = tempfile::Builder::new().prefix("bellwether-it-").tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(path("volume")).unwrap();
        fs::write(path("lib.sh"), include_str!("lib.sh")).unwrap();
        fs::write(path("stubborn.py"), include_str!("stubborn.py")).unwrap();
        fs::write(path("journal"), "").unwrap();
        // Steps may run as somebody else.
        fs::set_permissions(path("journal"), Permissions::from_mode(0o666)).unwrap();
        let plan = Map::from_iter([("name".to_owned(), json!("shop")), ("steps".to_owned(), json!([]))]);
        let volume = path("volume");
        let election = Election::start();
        let env = election.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let stack = Stack { election, scratch, volume, plan, env, gates: Mutex::default() };
        let [root, plan] = [&stack.volume, &stack.scratch().join("plan.json")].map(|path| path.display().to_string());
        stack
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("IMAGE_REV", "v1")
            .env("BELLWETHER_VOLUME", &root)
            .env("BELLWETHER_PLAN", &plan)
            .env("BELLWETHER_BACKOFF_SECS", "0.1")
            .env("BELLWETHER_STOP_GRACE_SECS", "0.3")
            .env("STEP_STALE_SECS", "2")
    }

    pub(crate) fn step(mut self, step: Step) -> Stack {
        self.make_gate(step.name());
        self.plan["steps"].as_array_mut().unwrap().push(Value::Object(step.0));
        self.write_plan()
    }

    pub(crate) fn needs(mut self, needs: &[String]) -> Stack {
        self.plan.insert("needs".to_owned(), json!(needs));
        self.write_plan()
    }

    fn write_plan(self) -> Stack {
        fs::write(self.scratch().join("plan.json"), Value::Object(self.plan.clone()).to_string()).unwrap();
        self
    }

    /// A variable that every replica sees.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Stack {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A variable that replicas do not see after all.
    pub(crate) fn without(mut self, name: &str) -> Stack {
        self.env.remove(name);
        self
    }

    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.env.clone();
        environment.insert("E2E".to_owned(), self.scratch().display().to_string());
        environment
    }

    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    pub(crate) fn volume(&self) -> &Path {
        &self.volume
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.volume.join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// A file of the volume as JSON.
    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A step's record.
    pub(crate) fn record(&self, step: &str) -> Value {
        self.json(&format!(".bellwether/steps/{step}.json"))
    }

    /// The names in a directory of the volume, sorted.
    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The time it is on the volume.
    pub(crate) fn now(&self) -> Nanos {
        let path = self.scratch().join("now");
        fs::write(&path, "").unwrap();
        mtime(&path).unwrap()
    }

    pub(crate) fn journal(&self) -> Journal {
        Journal(self.scratch().join("journal"))
    }

    fn gate_path(&self, name: &str) -> PathBuf {
        self.scratch().join(format!("gate-{name}"))
    }

    /// Another gate than those of the steps.
    pub(crate) fn gate(self, name: &str) -> Stack {
        self.make_gate(name);
        self
    }

    fn make_gate(&self, name: &str) {
        mknodat(CWD, self.gate_path(name), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    }

    /// Lets pass whoever waits at this gate, or comes to it.
    pub(crate) fn open_gate(&self, name: &str) {
        let gate = OpenOptions::new().read(true).write(true).open(self.gate_path(name)).unwrap();
        self.gates.lock().unwrap().insert(name.to_owned(), gate);
    }

    /// A replica that can be given more before it is started.
    pub(crate) fn replica(&self) -> Launch<'_> {
        Launch::new(self)
    }

    pub(crate) fn start_replica(&self) -> Replica {
        self.replica().start()
    }

    /// Starts a replica and waits until it is the leader.
    pub(crate) fn start_leader(&self) -> Replica {
        let mut leader = self.start_replica();
        leader.wait_said("LEADER");
        leader
    }

    /// Starts a replica and waits until it is a follower.
    pub(crate) fn start_follower(&self) -> Replica {
        let mut follower = self.start_replica();
        follower.wait_said("FOLLOWER");
        follower
    }

    fn show(&self) -> String {
        let logs = fs::read_dir(self.scratch()).unwrap().flatten().map(|entry| entry.path());
        let mut logs: Vec<PathBuf> =
            logs.filter(|path| path.extension().is_some_and(|kind| kind == "err" || kind == "out")).collect();
        logs.push(self.scratch().join("journal"));
        logs.sort();
        let show = |path: &PathBuf| {
            let text = fs::read(path).unwrap_or_default();
            format!("--- {}\n{}", path.display(), String::from_utf8_lossy(&text))
        };
        let logs: String = logs.iter().map(show).collect();
        format!("--- {:?}\n{logs}", self.election)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        kill_bearing(&format!("E2E={}", self.scratch().display()));
        if std::thread::panicking() {
            println!("{}", self.show());
        } else {
            self.journal().assert_no_overlap();
        }
    }
}

//! One replica, and the orchestrator that starts it again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::journal::now;
use crate::variables as v;

/// How it is started.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Before the binary: into its namespaces.
    pub(crate) prefix: Vec<String>,
    pub(crate) binary: PathBuf,
    pub(crate) supervise: bool,
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Replica {
    /// `r2`.
    pub(crate) name: String,
    launch: Launch,
    /// How often it was started.
    pub(crate) lives: u32,
    /// While it runs.
    pub(crate) pid: Option<i32>,
    /// When it is to be started.
    pub(crate) due: Option<u64>,
}

impl Replica {
    pub(crate) fn new(name: String, launch: Launch, due: u64) -> Replica {
        Replica { name, launch, lives: 0, pid: None, due: Some(due) }
    }

    pub(crate) fn life(&self) -> String {
        format!("{}.{}", self.name, self.lives)
    }

    /// By which this life, and all it starts, is found.
    pub(crate) fn mark(&self) -> String {
        format!("{}={}", v::LIFE, self.life())
    }

    pub(crate) fn start(&mut self, log: &Log) -> io::Result<i32> {
        self.lives += 1;
        self.due = None;
        let Launch { prefix, binary, supervise, command, env } = &self.launch;
        let mut words = prefix.clone();
        words.extend([binary.display().to_string(), "run".to_owned()]);
        words.extend(supervise.then(|| "--supervise".to_owned()));
        words.push("--".to_owned());
        words.extend(command.iter().cloned());
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .envs(env)
            .env(v::LIFE, self.life())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        log.follow(&self.life(), child.stderr.take().expect("a pipe"));
        let pid = i32::try_from(child.id()).expect("a pid");
        self.pid = Some(pid);
        Ok(pid)
    }
}

/// What all replicas say, in one file, each line with the time at which it was read: their own clocks may jump.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<Mutex<File>>);

impl Log {
    pub(crate) fn create(path: &Path) -> io::Result<Log> {
        Ok(Log(Arc::new(Mutex::new(OpenOptions::new().append(true).create(true).open(path)?))))
    }

    fn follow(&self, life: &str, from: impl io::Read + Send + 'static) {
        let (file, life) = (Arc::clone(&self.0), life.to_owned());
        thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                let line = format!("{} {life} {}\n", now(), String::from_utf8_lossy(&line));
                // The round's end is no time for reports about its log.
                let _ = file.lock().map(|mut file| file.write_all(line.as_bytes()));
            }
        });
    }
}

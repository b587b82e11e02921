//! The example's site on a temporary volume.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::replica::Replica;
use crate::venv;

const REV: &str = "e2e";

pub(crate) struct Site {
    example: PathBuf,
    path: OsString,
    scratch: TempDir,
    redis_url: Option<String>,
}

impl Site {
    /// An empty volume; the virtual environment is there when this returns. Without a URL the guard alone elects.
    pub(crate) fn new(redis_url: Option<String>) -> Site {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/django");
        let programs = venv::programs(&example.join("requirements.txt"));
        let inherited = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([programs].into_iter().chain(env::split_paths(&inherited))).unwrap();
        let scratch = TempDir::new().unwrap();
        fs::create_dir(scratch.path().join("volume")).unwrap();
        Site { example, path, scratch, redis_url }
    }

    fn volume(&self) -> PathBuf {
        self.scratch.path().join("volume")
    }

    fn hold_file(&self) -> PathBuf {
        self.scratch.path().join("hold")
    }

    /// From now on the slow migration stops after a row.
    pub(crate) fn hold(&self) {
        File::create(self.hold_file()).unwrap();
    }

    /// It goes on.
    pub(crate) fn release(&self) {
        fs::remove_file(self.hold_file()).unwrap();
    }

    /// Starts a replica that wants to become gunicorn, on a port that the kernel chooses.
    pub(crate) fn start(&self, number: u32) -> Replica {
        let log = self.scratch.path().join(format!("replica-{number}.log"));
        let output = File::create(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
        command.args(["run", "--", "gunicorn", "--no-control-socket", "--bind", "127.0.0.1:0", "shop.wsgi"]);
        command.env_clear().env("PATH", &self.path).env("HOME", self.scratch.path()).env("LC_ALL", "C.UTF-8");
        command.env("IMAGE_REV", REV).env("STEP_STALE_SECS", "2");
        command.env("BELLWETHER_VOLUME", self.volume()).env("BELLWETHER_PLAN", self.example.join("plan.json"));
        command.env("SHOP_HOLD_FILE", self.hold_file()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.envs(self.redis_url.iter().map(|url| ("BELLWETHER_REDIS_URL", url)));
        command.current_dir(&self.example).process_group(0).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        Replica::new(command.spawn().unwrap(), log)
    }

    /// Which of the replicas the in-progress marker of the migration names.
    pub(crate) fn position_of_leader(&self, replicas: &[Replica]) -> Option<usize> {
        let marker = fs::read(self.volume().join(format!(".migrating_in_progress_{REV}"))).ok()?;
        let marker: Value = serde_json::from_slice(&marker).ok()?;
        let pid = marker["replica"]["pid"].as_u64()?;
        replicas.iter().position(|replica| u64::from(replica.pid()) == pid && replica.is_running())
    }

    /// What the slow migration has told, whether or not it was rolled back afterwards.
    pub(crate) fn journal(&self) -> String {
        fs::read_to_string(self.volume().join("journal.log")).unwrap_or_default()
    }

    /// How many lines of the journal begin with this word.
    pub(crate) fn count(&self, word: &str) -> usize {
        self.journal().lines().filter(|line| line.split(' ').next() == Some(word)).count()
    }

    /// For each row that was worked on, the process that did it.
    pub(crate) fn rows(&self) -> Vec<i32> {
        let journal = self.journal();
        let lines = journal.split_inclusive('\n').filter(|line| line.starts_with("row ") && line.ends_with('\n'));
        lines.filter_map(|line| line.trim_end().rsplit_once("pid=")?.1.parse().ok()).collect()
    }
}

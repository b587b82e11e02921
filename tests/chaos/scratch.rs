//! Where rounds keep what they need: a directory that bears our pid, so that the next one knows whether we still live.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const PREFIX: &str = "bellwether-chaos-";
/// Of failed rounds; nobody removes them but people.
const KEPT: &str = "bellwether-chaos-failed-";

/// Removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one, and removes those that a killed program has left behind. Their namespaces and processes went with it.
    pub(crate) fn new() -> io::Result<Scratch> {
        for entry in fs::read_dir(env::temp_dir())?.flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
            if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let path = env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Scratch(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn round(&self, seed: u64) -> PathBuf {
        self.0.join(format!("seed-{seed}"))
    }

    /// Puts a round aside: where to. Another program that had our pid may have kept its own there.
    pub(crate) fn keep(&self, seed: u64) -> io::Result<PathBuf> {
        let name = format!("{KEPT}{}-{seed}", std::process::id());
        let names =
            (1..).map(|nth| env::temp_dir().join(if nth == 1 { name.clone() } else { format!("{name}-{nth}") }));
        let kept = names.into_iter().find(|path| !path.exists()).expect("there is always another number");
        fs::rename(self.round(seed), &kept)?;
        Ok(kept)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

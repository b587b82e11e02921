//! Where it all happens: a directory of its own with the volume, the plan and the steps' journal.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::step;
use crate::commands::print;
use crate::protocol::{Revision, StepId};
use crate::settings::{LoadedPlan, Problem, StepDefaults};
use crate::volume::{Replica, Volume};

/// The revision that is rolled out.
pub(super) const REV: &str = "demo-1";
/// The step whose leader is killed.
pub(super) const VICTIM: &str = "migrate";
/// STEP_STALE_SECS of the replicas: short, for an impatient audience.
pub(super) const STALE_SECS: &str = "2";
/// `BELLWETHER_REDIS_WAIT_SECS` of the replicas: a demo that is killed takes its redis-server with it, and then they end.
pub(super) const REDIS_WAIT_SECS: &str = "10";

/// The temporary directory, and what is in it.
#[derive(Debug)]
pub(super) struct Stage {
    root: PathBuf,
    keep: bool,
    volume: Volume,
}

impl Stage {
    /// Makes the directory and writes the plan. `keep`: it stays when all is over.
    pub(super) fn build(keep: bool) -> Result<Stage, String> {
        let replica = Replica::of_this_process();
        let root = std::env::temp_dir().join(format!("bellwether-demo-{}", replica.id.simple()));
        let failed = |error: std::io::Error| format!("cannot make {}: {error}", root.display());
        DirBuilder::new().mode(0o700).create(&root).map_err(failed)?;
        Stage::furnish(root.clone(), keep, replica).inspect_err(|_| drop(fs::remove_dir_all(&root)))
    }

    fn furnish(root: PathBuf, keep: bool, replica: Replica) -> Result<Stage, String> {
        let failed = |error: std::io::Error| format!("cannot write in {}: {error}", root.display());
        fs::create_dir(root.join("volume")).map_err(failed)?;
        let path = root.join("plan.json").display().to_string();
        let text = plan_text(&root.join("journal.jsonl"));
        fs::write(&path, &text).map_err(failed)?;
        let defaults = StepDefaults { timeout: None, max_attempts: 3 };
        let plan = LoadedPlan::parse(&path, &text, defaults).map_err(|problems| Problem::render(&problems))?.plan;
        let rev = Revision::parse(REV).map_err(|error| error.to_string())?;
        let volume = Volume::new(root.join("volume"), rev, plan, replica);
        Ok(Stage { root, keep, volume })
    }

    /// The volume, looked at from outside: nothing is claimed or written through this.
    pub(super) fn volume(&self) -> &Volume {
        &self.volume
    }

    pub(super) fn plan_path(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// A file of the redis-server's.
    pub(super) fn redis_path(&self, extension: &str) -> PathBuf {
        self.root.join("redis").with_extension(extension)
    }

    pub(super) fn journal_path(&self) -> PathBuf {
        self.root.join("journal.jsonl")
    }

    /// Whether the directory stays.
    pub(super) fn is_kept(&self) -> bool {
        self.keep
    }

    /// The names of the steps that must be done before this one.
    pub(super) fn predecessors(&self, step: StepId) -> Vec<String> {
        let plan = self.volume.plan();
        plan.step(step).after.iter().map(|&id| plan.step(id).name.to_string()).collect()
    }

    /// Removes everything, or says where it is.
    pub(super) fn clear(&self) -> Result<(), String> {
        if self.keep {
            print(&format!("kept: {}", self.root.display()));
            return Ok(());
        }
        fs::remove_dir_all(&self.root).map_err(|error| format!("cannot remove {}: {error}", self.root.display()))
    }
}

/// A small release. The markers have names that people would give them.
fn plan_text(journal: &Path) -> String {
    let step = |name: &str, markers: [&str; 2], after: &[&str], work: (u32, u32, &str)| -> Value {
        let (pieces, millis, what) = work;
        let journal = journal.display().to_string();
        let run = json!(["/proc/self/exe", step::ARGUMENT, journal, pieces.to_string(), millis.to_string(), what]);
        json!({ "name": name, "in_progress": markers[0], "done": markers[1], "after": after, "run": run })
    };
    let steps = [
        step("create-site", ["site_creating", "site_created"], &[], (1, 600, "sites created")),
        step("assets", ["assets_building", "assets_built"], &["create-site"], (1, 1100, "bundles built")),
        step(VICTIM, ["migrating", "migrated"], &["create-site"], (4, 900, "tables converted")),
        step("warm-caches", ["caches_warming", "caches_warmed"], &[VICTIM, "assets"], (1, 500, "caches warmed")),
    ];
    format!("{:#}\n", json!({ "name": "demo", "steps": steps }))
}

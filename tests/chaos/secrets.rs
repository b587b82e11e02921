//! Where the password of Redis must not be (P12): argument lists, logs, and whatever is on the volume.

use std::fs;
use std::path::{Path, PathBuf};

use crate::processes;
use crate::world::World;

pub(crate) fn in_argv(world: &World) -> Option<String> {
    processes::told_in_argv(&world.secret).map(|pid| format!("argv of pid {pid}"))
}

/// In a file of the volume, or in what replicas said.
pub(crate) fn in_files(world: &World) -> Option<String> {
    let mut files = vec![world.scratch.join("log")];
    collect(world.volume.path(), &mut files);
    let holds = |path: &PathBuf| {
        let content = fs::read(path).unwrap_or_default();
        content.windows(world.secret.len()).any(|window| window == world.secret.as_bytes())
    };
    files.iter().find(|path| holds(path)).map(|path| path.display().to_string())
}

/// Whether the log holds what a step told, with a mask in the secret's place.
pub(crate) fn is_masked(world: &World) -> bool {
    let log = fs::read(world.scratch.join("log")).unwrap_or_default();
    String::from_utf8_lossy(&log).contains(" tells ***")
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}

//! The round's volume: a small file system in memory, seen by this round alone.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::run::run;

/// Enough for everything that a round writes.
const SIZE: &str = "size=4m,mode=0755";

/// What fills it.
const BALLAST: &str = ".ballast";

#[derive(Debug)]
pub(crate) struct Volume {
    path: PathBuf,
    /// How it was made read-only, if it was.
    read_only: Option<How>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum How {
    /// The file system itself.
    Remounted,
    /// Somebody had a file open for writing, so the kernel refuses that: a read-only view lies over the volume. Whoever has
    /// a file open can go on with it, and nobody can open, make, rename or remove another.
    Covered,
}

impl Volume {
    pub(crate) fn mount(path: &Path) -> io::Result<Volume> {
        fs::create_dir(path)?;
        run("mount", &["-t", "tmpfs", "-o", SIZE, "bellwether-chaos", &path.display().to_string()])?;
        Ok(Volume { path: path.to_owned(), read_only: None })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let mut ballast = File::create(self.path.join(BALLAST))?;
        let mut block = vec![1; 64 * 1024];
        loop {
            match ballast.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull && block.len() > 1 => {
                    block.truncate(block.len() / 2);
                }
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn free(&self) -> io::Result<()> {
        match fs::remove_file(self.path.join(BALLAST)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// In-progress markers and claims: nobody is at work when everybody serves.
    pub(crate) fn in_the_way(&self) -> io::Result<Vec<String>> {
        let mut found = names(&self.path)?;
        found.retain(|name| name.contains("_in_progress_"));
        found.extend(names(&self.path.join(".bellwether/claims"))?);
        Ok(found)
    }

    /// For whoever asks what went wrong: the volume itself goes with the round.
    pub(crate) fn copy_to(&self, path: &Path) -> io::Result<()> {
        run("cp", &["-a", &self.path.display().to_string(), &path.display().to_string()])
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.is_some()
    }

    /// In one of two ways; says in which.
    pub(crate) fn forbid_writing(&mut self) -> io::Result<&'static str> {
        let path = self.path.display().to_string();
        if run("mount", &["-o", "remount,ro", &path]).is_ok() {
            self.read_only = Some(How::Remounted);
            return Ok("remounted");
        }
        run("mount", &["--bind", &path, &path])?;
        self.read_only = Some(How::Covered);
        run("mount", &["-o", "remount,bind,ro", &path])?;
        Ok("covered")
    }

    pub(crate) fn allow_writing(&mut self) -> io::Result<()> {
        let path = self.path.display().to_string();
        match self.read_only {
            None => {}
            Some(How::Remounted) => run("mount", &["-o", "remount,rw", &path])?,
            Some(How::Covered) => run("umount", &["--lazy", &path])?,
        }
        self.read_only = None;
        Ok(())
    }
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

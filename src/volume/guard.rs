//! The guard: `flock(2)` on `.bellwether/guard.lock`. It says who may act.
//!
//! The lock belongs to the open file, not to a process: a child that inherits the descriptor holds it too. So it is
//! given back by closing only; an explicit unlock would free it under a living child. The file is never removed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::marker::{self, MARKER_LIMIT};
use super::{Replica, UnixMillis, Volume, VolumeError, files, locks};
use crate::protocol::Epoch;

/// What a holder writes into the guard's file. It stays there when the holder closes the guard.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GuardNote {
    /// Who took the guard last.
    pub replica: Replica,
    /// In which leadership.
    pub epoch: u64,
    /// For which revision.
    pub rev: String,
    /// Since when, by its wall clock (RFC 3339).
    pub since: String,
}

/// Who holds the guard, as far as can be told from here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GuardHolder {
    /// The process, if the lock was taken on this kernel and in a process namespace that we see into.
    pub pid: Option<u32>,
    /// What the last holder wrote. If nobody holds the guard, this is about the past.
    pub note: Option<GuardNote>,
}

/// The guard's file, opened; locked or not. Dropping it closes it, and frees the lock once every child that inherited
/// it has closed it too.
#[derive(Debug)]
pub struct Guard {
    volume: Volume,
    path: PathBuf,
    file: File,
}

impl Volume {
    fn guard_path(&self) -> PathBuf {
        self.private("guard.lock")
    }

    /// Opens the guard, creating its file if it is missing; does not lock it. Called after [`Volume::prepare`].
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn open_guard(&self) -> Result<Guard, VolumeError> {
        let path = self.guard_path();
        let file = self.open_or_create(&path, files::PUBLIC)?;
        Ok(Guard { volume: self.clone(), path, file })
    }

    /// Who holds the guard, for status and for messages to those who wait. Works on a read-only mount. `None`: nothing
    /// is known. Whether anybody holds it at all is told by [`Volume::is_guard_held`] and [`Guard::try_take`] only.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn guard_holder(&self) -> Result<Option<GuardHolder>, VolumeError> {
        let Some((content, stat)) = files::read_small(&self.guard_path(), MARKER_LIMIT)? else { return Ok(None) };
        let note = serde_json::from_slice(&content).ok();
        let table = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let pid = locks::flock_holder(&table, stat.dev(), stat.ino());
        Ok(Some(GuardHolder { pid, note }).filter(|holder| holder.pid.is_some() || holder.note.is_some()))
    }

    /// Whether somebody holds the guard, for people. Works on a read-only mount. `None`: it cannot be told from here.
    ///
    /// Nothing but trying tells, so a *shared* lock is taken for an instant, if the guard is free. Whoever waits for
    /// the guard gets it that instant later; only [`Guard::try_take`] may wrongly find it busy.
    pub fn is_guard_held(&self) -> Option<bool> {
        let Some(file) = files::open_to_read(&self.guard_path()).ok()? else { return Some(false) };
        match fs2::FileExt::try_lock_shared(&file) {
            Ok(()) => Some(false),
            Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => Some(true),
            Err(_) => None,
        }
    }
}

impl Guard {
    /// Takes the guard if it is free. `false`: somebody holds it.
    ///
    /// # Errors
    ///
    /// What the kernel said, such as `ENOLCK` from a network file system without locks.
    pub fn try_take(&mut self) -> Result<bool, VolumeError> {
        loop {
            match fs2::FileExt::try_lock_exclusive(&self.file) {
                Ok(()) if self.is_in_place()? => return Ok(true),
                Ok(()) => self.reopen()?,
                Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(VolumeError::io("lock", &self.path)(error)),
            }
        }
    }

    /// Waits until the guard is ours. Blocks its thread, for ever if need be.
    ///
    /// # Errors
    ///
    /// As [`Guard::try_take`].
    pub fn wait(&mut self) -> Result<(), VolumeError> {
        loop {
            match fs2::FileExt::lock_exclusive(&self.file) {
                Ok(()) if self.is_in_place()? => return Ok(()),
                Ok(()) => self.reopen()?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(VolumeError::io("lock", &self.path)(error)),
            }
        }
    }

    /// Whether the path still names the file we have locked: somebody may have removed it all the same, and then
    /// others lock another one.
    fn is_in_place(&self) -> Result<bool, VolumeError> {
        let ours = self.file.metadata().map_err(VolumeError::io("look at", &self.path))?;
        let there = files::stat(&self.path)?;
        Ok(there.is_some_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())))
    }

    fn reopen(&mut self) -> Result<(), VolumeError> {
        // Closes the old file, and with it the lock that guards nothing.
        self.file = self.volume.open_or_create(&self.path, files::PUBLIC)?;
        Ok(())
    }

    /// Writes into the guard's file who holds it. Called by the holder, once it has its epoch.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; not worth more than a log line.
    pub fn describe(&self, epoch: Epoch) -> Result<(), VolumeError> {
        let note = GuardNote {
            replica: self.volume.replica().clone(),
            epoch: epoch.0,
            rev: self.volume.revision().to_string(),
            since: UnixMillis::wall_clock().to_string(),
        };
        files::overwrite(&self.file, &marker::line(&note)).map_err(VolumeError::io("write", &self.path))
    }

    /// One read and one write through the guard's descriptor: a network file system that has dropped our lock refuses
    /// them (`EIO`, `ESTALE`). Called by a holder with each beat where locks are shared over a network.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`] unless the guard is sound; then it counts as lost.
    pub fn check_sound(&self) -> Result<(), VolumeError> {
        let broken = |error: io::Error| VolumeError::io("use the guard", &self.path)(error);
        if !self.is_in_place()? {
            return Err(broken(io::Error::other("another file has its name")));
        }
        let mut first = *b"\n";
        self.file.read_at(&mut first, 0).map_err(broken)?;
        self.file.write_all_at(&first, 0).map_err(broken)?;
        // Without this the write would end in our own cache.
        self.file.sync_data().map_err(broken)
    }
}

impl AsFd for Guard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Scratch;
    use super::*;

    #[test]
    fn of_two_opens_only_one_has_the_guard_until_it_is_closed() {
        let scratch = Scratch::new();
        let mut first = scratch.replica(1, "v1").open_guard().unwrap();
        let mut second = scratch.replica(2, "v1").open_guard().unwrap();
        assert!(first.try_take().unwrap());
        assert!(first.try_take().unwrap(), "taking it again changes nothing");
        assert!(!second.try_take().unwrap());
        drop(first);
        assert!(second.try_take().unwrap());
    }

    #[test]
    fn whether_the_guard_is_held_is_told_without_keeping_it() {
        assert_eq!(Scratch::bare().volume().is_guard_held(), Some(false));
        let scratch = Scratch::new();
        let mut guard = scratch.volume().open_guard().unwrap();
        assert_eq!(scratch.volume().is_guard_held(), Some(false));
        assert!(guard.try_take().unwrap());
        assert_eq!(scratch.volume().is_guard_held(), Some(true));
    }

    #[test]
    fn an_inherited_guard_outlives_its_first_holder() {
        let scratch = Scratch::new();
        let mut first = scratch.replica(1, "v1").open_guard().unwrap();
        assert!(first.try_take().unwrap());
        let inherited = first.as_fd().try_clone_to_owned().unwrap();
        drop(first);
        let mut second = scratch.replica(2, "v1").open_guard().unwrap();
        assert!(!second.try_take().unwrap());
        drop(inherited);
        assert!(second.try_take().unwrap());
    }

    #[test]
    fn a_waiter_gets_the_guard_when_it_is_closed() {
        let scratch = Scratch::new();
        let mut first = scratch.replica(1, "v1").open_guard().unwrap();
        assert!(first.try_take().unwrap());
        let mut second = scratch.replica(2, "v1").open_guard().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(move || second.wait().map(|()| second));
            drop(first);
            let second = waiter.join().unwrap().unwrap();
            assert!(!scratch.replica(3, "v1").open_guard().unwrap().try_take().unwrap());
            drop(second);
        });
    }

    #[test]
    fn a_guard_whose_file_was_replaced_is_taken_on_the_new_file() {
        let scratch = Scratch::new();
        let mut first = scratch.replica(1, "v1").open_guard().unwrap();
        std::fs::remove_file(scratch.path(".bellwether/guard.lock")).unwrap();
        let mut second = scratch.replica(2, "v1").open_guard().unwrap();
        assert!(second.try_take().unwrap());
        assert!(!first.try_take().unwrap(), "the removed file guards nothing");
        drop(second);
        assert!(first.try_take().unwrap());
        first.check_sound().unwrap();
        std::fs::remove_file(scratch.path(".bellwether/guard.lock")).unwrap();
        let error = first.check_sound().unwrap_err();
        assert!(error.to_string().contains("guard.lock"), "{error}");
    }

    #[test]
    fn a_waiter_does_not_get_a_guard_that_guards_nothing() {
        let scratch = Scratch::new();
        let mut waiter = scratch.replica(1, "v1").open_guard().unwrap();
        std::fs::remove_file(scratch.path(".bellwether/guard.lock")).unwrap();
        waiter.wait().unwrap();
        assert!(!scratch.replica(2, "v1").open_guard().unwrap().try_take().unwrap());
    }

    #[test]
    fn the_holder_is_found_by_kernel_and_by_note() {
        let scratch = Scratch::new();
        let volume = scratch.volume();
        assert_eq!(volume.guard_holder().unwrap(), None);
        let mut guard = volume.open_guard().unwrap();
        assert!(guard.try_take().unwrap());
        guard.describe(Epoch(123_456_789)).unwrap();
        guard.describe(Epoch(7)).unwrap();
        guard.check_sound().unwrap();
        let holder = volume.guard_holder().unwrap().unwrap();
        let note = holder.note.unwrap();
        assert_eq!((note.epoch, note.rev.as_str(), &note.replica), (7, "v1", volume.replica()));
        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        if locks.contains("FLOCK") {
            assert_eq!(holder.pid, Some(std::process::id()));
        }
    }
}

//! Small files that somebody else may read at any moment: they find the old one or the new one, whole.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::bench::is_there;

/// Replaces `path`: temporary file, fsync, rename, fsync of the directory.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let temporary = beside(path);
    let written = write_new(&temporary, content, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| sync_directory_of(path))
}

/// Makes `path` a symbolic link to `target`, in one step; what was there must not be a directory.
pub(super) fn replace_link(path: &Path, target: &Path) -> io::Result<()> {
    let temporary = beside(path);
    // In a container pid and host come again.
    let _ = fs::remove_file(&temporary);
    symlink(target, &temporary)?;
    let renamed = fs::rename(&temporary, path);
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    renamed.and_then(|()| sync_directory_of(path))
}

/// The first of these paths where nothing is; they are numbered from 0.
pub(super) fn first_free(path: impl Fn(u32) -> PathBuf) -> PathBuf {
    let mut number = 0;
    loop {
        let free = path(number);
        if !is_there(&free) {
            return free;
        }
        number += 1;
    }
}

/// The text of a file; `None` if it is not there. Never waits for what is none, such as a named pipe.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    let mut file = match OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map(|_| Some(text))
}

/// Takes a lock that bench knows, by its file, which stays. `None`: somebody else has it.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether somebody has that lock now. A file that is left over says nothing.
pub(super) fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // One that a killed predecessor with our pid has left.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// A name that no other process uses: containers have pids of their own, and hosts have names.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let host = rustix::system::uname().nodename().to_string_lossy().replace('/', "_");
    path.with_file_name(format!(".{name}.{host}.{}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks/x.lock");
        assert!(!is_locked(&path));
        let held = lock(&path).unwrap();
        assert!(held.is_some() && is_locked(&path) && lock(&path).unwrap().is_none());
        drop(held);
        assert!(!is_locked(&path) && path.exists());
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("site_config.json");
        mkfifoat(CWD, &pipe, Mode::RUSR).unwrap();
        for path in [dir.path(), &pipe] {
            assert_eq!(read(path).unwrap_err().to_string(), "not a regular file");
        }
    }

    #[test]
    fn files_and_links_are_replaced_whole_and_nothing_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        assert_eq!(read(&path).unwrap(), None);
        replace(&path, b"one", 0o644).unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let link = dir.path().join("link");
        replace_link(&link, Path::new("a")).unwrap();
        replace_link(&link, Path::new("b")).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("b"));
        assert!(replace(&dir.path().join("no/where"), b"", 0o600).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}

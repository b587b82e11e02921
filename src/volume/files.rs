//! Reading without following links, and writing so that nobody ever sees half a file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rustix::fs::{Dir, FileType, OFlags};
use rustix::io::Errno;

use super::error::ids;
use super::{Volume, VolumeError};

/// The mode of what people and other programs read.
pub(super) const PUBLIC: u32 = 0o644;
/// The mode of what only replicas read.
pub(super) const PRIVATE: u32 = 0o600;
/// The mode of our directories.
pub(super) const DIRECTORY: u32 = 0o755;

/// What a name stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    File,
    Other(&'static str),
}

impl Kind {
    fn of(file_type: FileType) -> Kind {
        match file_type {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Other("a directory"),
            FileType::Symlink => Kind::Other("a symbolic link"),
            FileType::Fifo => Kind::Other("a FIFO"),
            FileType::Socket => Kind::Other("a socket"),
            FileType::CharacterDevice | FileType::BlockDevice => Kind::Other("a device"),
            FileType::Unknown => Kind::Other("of an unknown kind"),
        }
    }

    fn of_metadata(stat: &Metadata) -> Kind {
        Kind::of(FileType::from_raw_mode(stat.mode()))
    }

    /// An error naming `path`, unless this is a regular file.
    pub(super) fn expect_file(self, path: &Path) -> Result<(), VolumeError> {
        match self {
            Kind::File => Ok(()),
            Kind::Other(found) => Err(VolumeError::NotAFile { path: path.to_owned(), found }),
        }
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> Result<Option<File>, VolumeError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let file = match options.custom_flags(flags.cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) => return explain_open(path, error),
    };
    let stat = file.metadata().map_err(VolumeError::io("look at", path))?;
    Kind::of_metadata(&stat).expect_file(path)?;
    Ok(Some(file))
}

/// Tells "not there" and "not a file" from real trouble.
fn explain_open(path: &Path, error: io::Error) -> Result<Option<File>, VolumeError> {
    if error.kind() == io::ErrorKind::NotFound {
        return Ok(None);
    }
    if let Ok(stat) = fs::symlink_metadata(path) {
        Kind::of_metadata(&stat).expect_file(path)?;
    }
    Err(VolumeError::io("open", path)(error))
}

/// Opens a regular file for reading; `None` if there is nothing.
pub(super) fn open_to_read(path: &Path) -> Result<Option<File>, VolumeError> {
    open(path, OpenOptions::new().read(true))
}

/// Opens an existing regular file for reading and writing; `None` if there is nothing.
pub(super) fn open_to_write(path: &Path) -> Result<Option<File>, VolumeError> {
    open(path, OpenOptions::new().read(true).write(true))
}

/// Opens an existing regular file for reading, and for writing at its end; `None` if there is nothing.
pub(super) fn open_to_append(path: &Path) -> Result<Option<File>, VolumeError> {
    open(path, OpenOptions::new().read(true).append(true))
}

/// At most the last `limit` bytes of a regular file, and whether there are more before; `None` if there is nothing.
pub(super) fn read_end(path: &Path, limit: u64) -> Result<Option<(Vec<u8>, bool)>, VolumeError> {
    let Some(mut file) = open_to_read(path)? else { return Ok(None) };
    let length = file.metadata().map_err(VolumeError::io("look at", path))?.len();
    let skipped = length.saturating_sub(limit);
    file.seek(SeekFrom::Start(skipped)).map_err(VolumeError::io("read", path))?;
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content).map_err(VolumeError::io("read", path))?;
    Ok(Some((content, skipped > 0)))
}

/// The first `limit` bytes of a regular file and what `fstat` says of it; `None` if there is nothing.
pub(super) fn read_small(path: &Path, limit: u64) -> Result<Option<(Vec<u8>, Metadata)>, VolumeError> {
    let Some(file) = open_to_read(path)? else { return Ok(None) };
    let stat = file.metadata().map_err(VolumeError::io("look at", path))?;
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content).map_err(VolumeError::io("read", path))?;
    Ok(Some((content, stat)))
}

/// What `lstat` says; `None` if there is nothing.
pub(super) fn stat(path: &Path) -> Result<Option<Metadata>, VolumeError> {
    match fs::symlink_metadata(path) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(VolumeError::io("look at", path)(error)),
    }
}

/// The inode behind a name; `None` if there is nothing.
pub(super) fn inode(path: &Path) -> Result<Option<u64>, VolumeError> {
    Ok(stat(path)?.map(|stat| stat.ino()))
}

/// Removes a name; `false` if there was none.
pub(super) fn remove(path: &Path) -> Result<bool, VolumeError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(VolumeError::io("remove", path)(error)),
    }
}

/// Renames; `false` if there was nothing to rename.
pub(super) fn rename(from: &Path, to: &Path) -> Result<bool, VolumeError> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(VolumeError::io("rename to", to)(error)),
    }
}

fn open_directory(path: &Path, follow: bool) -> io::Result<File> {
    let flags = if follow { OFlags::DIRECTORY } else { OFlags::DIRECTORY | OFlags::NOFOLLOW };
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Makes what happened to the names in a directory survive a power loss.
pub(super) fn sync_directory(path: &Path) -> Result<(), VolumeError> {
    let synced = open_directory(path, true).and_then(|directory| directory.sync_all());
    match synced {
        // Some file systems keep their directories safe by themselves and know no such call.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        other => other.map_err(VolumeError::io("sync", path)),
    }
}

/// An error naming `path`, if something else than a directory stands there. Whoever opens a file in a directory of ours by
/// its path would follow a link in the directory's place.
pub(super) fn expect_directory(path: &Path) -> Result<(), VolumeError> {
    match stat(path)? {
        Some(stat) if !stat.is_dir() => {
            let found = if stat.is_symlink() { "a symbolic link" } else { "a file" };
            Err(VolumeError::NotADirectory { path: path.to_owned(), found })
        }
        _ => Ok(()),
    }
}

/// The names in a directory, opened afresh, with what they stand for; `None` if there is no such directory.
///
/// Names that are no UTF-8 are none of ours and left out. Only the volume's root may be reached through a link.
pub(super) fn list(path: &Path, follow: bool) -> Result<Option<Vec<(String, Kind)>>, VolumeError> {
    let directory = match open_directory(path, follow) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            if !follow {
                expect_directory(path)?;
            }
            return Err(VolumeError::io("open", path)(error));
        }
    };
    let mut names = Vec::new();
    for entry in Dir::read_from(&directory).map_err(VolumeError::io("read", path))? {
        let entry = entry.map_err(VolumeError::io("read", path))?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            // Old file systems do not say; gone in between is as good as never there.
            FileType::Unknown => match stat(&path.join(name))? {
                Some(stat) => Kind::of_metadata(&stat),
                None => continue,
            },
            known => Kind::of(known),
        };
        names.push((name.to_owned(), kind));
    }
    Ok(Some(names))
}

/// Replaces an open file's content where it is, needing no new space as long as the old blocks do.
pub(super) fn overwrite(file: &File, content: &[u8]) -> io::Result<()> {
    file.write_all_at(content, 0)?;
    file.set_len(content.len() as u64)
}

/// A finished temporary file: written, synced, owned, and removed again unless it is renamed to where it belongs.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    /// Puts the file under `to`, replacing what is there, for good. Gives the open file.
    pub(super) fn replace(self, to: &Path) -> Result<File, VolumeError> {
        if !rename(&self.path, to)? {
            // NFS may repeat a request that had succeeded: then it is our file that stands there.
            let ours = self.file.metadata().map_err(VolumeError::io("look at", to))?.ino();
            if inode(to)? != Some(ours) {
                return Err(VolumeError::io("write", to)(io::Error::from(io::ErrorKind::NotFound)));
            }
        }
        sync_directory(to.parent().unwrap_or(to))?;
        self.file.try_clone().map_err(VolumeError::io("keep open", to))
    }

    /// Gives the file the name `to` as well, unless that is taken (then `None`), for good. Gives the open file.
    pub(super) fn link(self, to: &Path) -> Result<Option<File>, VolumeError> {
        match fs::hard_link(&self.path, to) {
            Ok(()) => {}
            // NFS may repeat a request that had succeeded: two links mean that it had.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let stat = self.file.metadata().map_err(VolumeError::io("look at", &self.path))?;
                if stat.nlink() < 2 {
                    return Ok(None);
                }
            }
            Err(error) => return Err(explain_link(to, error)),
        }
        sync_directory(to.parent().unwrap_or(to))?;
        Ok(Some(self.file.try_clone().map_err(VolumeError::io("keep open", to))?))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already if it was renamed; otherwise the next leader's sweep finds it.
        let _ = fs::remove_file(&self.path);
    }
}

pub(super) fn explain_link(to: &Path, source: io::Error) -> VolumeError {
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
            VolumeError::NoLinks { path: to.to_owned(), source }
        }
        _ => VolumeError::io("link", to)(source),
    }
}

impl Volume {
    /// Creates a file that must not exist yet, with mode and owner.
    pub(super) fn create(&self, path: &Path, mode: u32) -> Result<File, VolumeError> {
        let mut options = OpenOptions::new();
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        options.read(true).write(true).create_new(true).mode(mode).custom_flags(flags);
        let file = options.open(path).map_err(VolumeError::io("create", path))?;
        self.own(&file, mode).map_err(VolumeError::io("set owner and mode of", path))?;
        Ok(file)
    }

    /// Opens a file for reading and writing, creating it if it is missing.
    pub(super) fn open_or_create(&self, path: &Path, mode: u32) -> Result<File, VolumeError> {
        self.open_with(open_to_write, path, mode)
    }

    /// Opens a file for reading, and for writing at its end, creating it if it is missing.
    pub(super) fn append_or_create(&self, path: &Path, mode: u32) -> Result<File, VolumeError> {
        self.open_with(open_to_append, path, mode)
    }

    fn open_with(
        &self,
        open: impl Fn(&Path) -> Result<Option<File>, VolumeError>,
        path: &Path,
        mode: u32,
    ) -> Result<File, VolumeError> {
        loop {
            if let Some(file) = open(path)? {
                return Ok(file);
            }
            match self.create(path, mode) {
                Err(VolumeError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                // What has just been created is opened as it was asked for.
                created => drop(created?),
            }
        }
    }

    /// Sets a new file's mode whatever the umask; as root, also gives it to whom the volume's root belongs.
    pub(super) fn own(&self, file: &File, mode: u32) -> io::Result<()> {
        if file.metadata()?.mode() & 0o7777 != mode {
            tolerate(file.set_permissions(fs::Permissions::from_mode(mode)))?;
        }
        match self.heir()? {
            Some((uid, gid)) => tolerate(std::os::unix::fs::fchown(file, Some(uid), Some(gid))),
            None => Ok(()),
        }
    }

    /// To whom new files are given: nobody, unless we are root on somebody's volume.
    pub(super) fn heir(&self) -> io::Result<Option<(u32, u32)>> {
        if ids().0 != 0 {
            return Ok(None);
        }
        let root = fs::metadata(self.root())?;
        Ok(Some((root.uid(), root.gid())).filter(|&owner| owner != (0, 0)))
    }

    /// Writes a temporary file beside its future place and syncs it.
    pub(super) fn temporary(&self, mode: u32, content: &[u8]) -> Result<Temporary, VolumeError> {
        let (pid, id) = (self.replica().pid, self.replica().id.simple());
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let path = self.private("tmp").join(format!("{pid}-{number}-{id}"));
        let file = self.create(&path, mode)?;
        let mut temporary = Temporary { path, file };
        let written = temporary.file.write_all(content).and_then(|()| temporary.file.sync_all());
        written.map_err(VolumeError::io("write", &temporary.path))?;
        Ok(temporary)
    }

    /// Publishes `content` under `path`, replacing what is there, for good. Gives the open file.
    pub(super) fn publish(&self, path: &Path, mode: u32, content: &[u8]) -> Result<File, VolumeError> {
        self.temporary(mode, content)?.replace(path)
    }
}

/// Some file systems (CIFS, FUSE, squashed NFS) know no owners or modes: that is no reason to stop.
fn tolerate(result: io::Result<()>) -> io::Result<()> {
    let Err(error) = result else { return Ok(()) };
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        _ => Err(error),
    }
}

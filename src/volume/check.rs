//! Whether the volume can be used: to look at, and to lead on.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use uuid::Uuid;

use super::{PRIVATE_DIRECTORIES, PRIVATE_DIRECTORY, Volume, VolumeError, files};

/// Below this much free space, in bytes, a replica that wants to lead warns.
const LITTLE_SPACE: u64 = 100 * 1024 * 1024;

/// The files that tries are made with begin so; what a crash leaves is swept.
pub(super) const TRY_PREFIX: &str = ".bellwether-try-";

/// What [`Volume::prepare`] found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prepared {
    /// The volume's id: the scope of the election.
    pub id: Uuid,
    /// What a person should know, as lower-case fragments.
    pub warnings: Vec<String>,
}

impl Volume {
    /// Whether the root is a directory that can be read. Works on a read-only mount; called once at the start.
    ///
    /// # Errors
    ///
    /// [`VolumeError::Missing`], [`VolumeError::NotADirectory`] or [`VolumeError::Unreadable`].
    pub fn check_root(&self) -> Result<(), VolumeError> {
        let path = self.root().to_owned();
        match fs::metadata(&path) {
            Ok(stat) if stat.is_dir() => {}
            Ok(_) => return Err(VolumeError::NotADirectory { path, found: "a file" }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(VolumeError::Missing { path }),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(VolumeError::NotADirectory { path, found: "below a file" });
            }
            Err(source) => return Err(VolumeError::Unreadable { path, source }),
        }
        match fs::read_dir(&path).and_then(|mut entries| entries.next().transpose()) {
            Ok(_) => Ok(()),
            Err(source) => Err(VolumeError::Unreadable { path, source }),
        }
    }

    /// Tries whether one can lead here, and makes `.bellwether/` if it is missing. `candidate` becomes the volume's id
    /// unless it has one. Called by a replica about to compete, and by nobody else.
    ///
    /// # Errors
    ///
    /// [`VolumeError::Unusable`] with all that a person needs to repair it; [`Fault::Full`](crate::protocol::Fault::Full) is
    /// worth a retry.
    pub fn prepare(&self, candidate: Uuid) -> Result<Prepared, VolumeError> {
        self.check_root()?;
        self.try_root()?;
        self.make_directory(&self.root().join(PRIVATE_DIRECTORY))?;
        for name in PRIVATE_DIRECTORIES {
            self.make_directory(&self.private(name))?;
        }
        files::sync_directory(self.root())?;
        let id = self.publish_id(candidate)?;
        let free = fs2::available_space(self.root()).map_err(VolumeError::io("look at", self.root()))?;
        let warnings = space_warning(free, self.root()).into_iter().collect();
        Ok(Prepared { id, warnings })
    }

    /// The volume's id, if it has one yet. Works on a read-only mount.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; [`VolumeError::Malformed`] if the file holds something else.
    pub fn read_id(&self) -> Result<Option<Uuid>, VolumeError> {
        let path = self.private("id");
        let Some((content, _)) = files::read_small(&path, 1024)? else { return Ok(None) };
        let problem = "holds no uuid; remove it while no replica runs, and a new one is made";
        let id = Uuid::try_parse_ascii(content.trim_ascii());
        id.map(Some).map_err(|_| VolumeError::Malformed { path, problem })
    }

    fn publish_id(&self, candidate: Uuid) -> Result<Uuid, VolumeError> {
        if let Some(id) = self.read_id()? {
            return Ok(id);
        }
        let content = format!("{candidate}\n");
        let path = self.private("id");
        if self.temporary(files::PUBLIC, content.as_bytes())?.link(&path)?.is_some() {
            return Ok(candidate);
        }
        // Another replica was faster.
        self.read_id()?.ok_or_else(|| VolumeError::io("read", &path)(io::Error::from(io::ErrorKind::NotFound)))
    }

    /// Create, rename, sync, remove: all that leading needs of a file system, in the root.
    pub(super) fn try_root(&self) -> Result<(), VolumeError> {
        let root = self.root();
        let first = root.join(format!("{TRY_PREFIX}{}", self.replica().id.simple()));
        let second = first.with_extension("renamed");
        // A process id, and so our file's name, is new; but a retried call may have left one.
        let _ = fs::remove_file(&first);
        let file = File::create_new(&first).map_err(refused("create a file in", root))?;
        let outcome = self
            .own(&file, files::PUBLIC)
            .map_err(refused("set the owner of a file in", root))
            .and_then(|()| fs::write(&first, "try\n").map_err(refused("write a file in", root)))
            .and_then(|()| file.sync_all().map_err(refused("sync a file in", root)))
            .and_then(|()| fs::rename(&first, &second).map_err(refused("rename a file in", root)))
            .and_then(|()| files::sync_directory(root));
        let removed = fs::remove_file(if outcome.is_ok() { &second } else { &first });
        outcome.and(removed.map_err(refused("remove a file in", root)))
    }

    /// A directory of ours: made if it is missing, refused if it is something else or not ours to write in.
    fn make_directory(&self, path: &Path) -> Result<(), VolumeError> {
        match DirBuilder::new().mode(files::DIRECTORY).create(path) {
            Ok(()) => {
                let directory = File::open(path).map_err(refused("open", path))?;
                self.own(&directory, files::DIRECTORY).map_err(refused("set the owner of", path))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Volume::check_directory(path),
            Err(error) => Err(refused("create", path)(error)),
        }
    }

    /// That something is a directory, and ours to write in.
    pub(super) fn check_directory(path: &Path) -> Result<(), VolumeError> {
        // Reading it refuses what is no directory; a link would lead out of the volume.
        files::list(path, false)?;
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        let flags = rustix::fs::AtFlags::EACCESS;
        rustix::fs::accessat(rustix::fs::CWD, path, access, flags).map_err(refused("write in", path))
    }
}

/// For `map_err`: the full story of a refusal. What does not exist tells of what should hold it.
pub(super) fn refused<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> VolumeError {
    let path = path.to_owned();
    move |source| {
        let looked_at = fs::symlink_metadata(&path).or_else(|_| fs::metadata(path.parent().unwrap_or(&path)));
        let (owner, mode) = looked_at.map_or(((0, 0), 0), |stat| ((stat.uid(), stat.gid()), stat.mode() & 0o7777));
        VolumeError::Unusable { action, path, owner, mode, source: source.into() }
    }
}

pub(super) fn space_warning(free: u64, root: &Path) -> Option<String> {
    let mebibytes = free / (1024 * 1024);
    (free < LITTLE_SPACE).then(|| format!("only {mebibytes} MiB are free on {}", root.display()))
}

#[cfg(test)]
mod tests {
    use super::super::Replica;
    use super::super::testing::{Scratch, plan, rev};
    use super::*;
    use crate::protocol::Fault;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn at(path: &Path) -> Volume {
        let replica = Replica { id: Uuid::from_u128(1), host: "host".to_owned(), pid: 1 };
        Volume::new(path.to_owned(), rev("v1"), plan(), replica)
    }

    #[test]
    fn the_root_must_be_a_directory_that_is_there() {
        let scratch = Scratch::bare();
        scratch.write("file", "");
        assert!(matches!(at(&scratch.path("none")).check_root(), Err(VolumeError::Missing { .. })));
        assert!(matches!(at(&scratch.path("file")).check_root(), Err(VolumeError::NotADirectory { .. })));
        assert!(matches!(at(&scratch.path("file/x")).check_root(), Err(VolumeError::NotADirectory { .. })));
        symlink(scratch.root(), scratch.path("link")).unwrap();
        at(&scratch.path("link")).check_root().unwrap();
        at(&scratch.path("link")).prepare(Uuid::from_u128(5)).unwrap();
    }

    #[test]
    fn preparing_makes_the_layout_once_and_leaves_no_try_behind() {
        let scratch = Scratch::bare();
        let prepared = scratch.volume().prepare(Uuid::from_u128(5)).unwrap();
        assert_eq!(prepared.id, Uuid::from_u128(5));
        assert_eq!(scratch.names("."), [".bellwether"]);
        assert_eq!(scratch.names(".bellwether"), ["claims", "epochs", "id", "log", "steps", "tmp"]);
        assert!(scratch.names(".bellwether/tmp").is_empty());
        let mode = |name: &str| scratch.path(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(".bellwether"), mode(".bellwether/claims"), mode(".bellwether/id")), (0o755, 0o755, 0o644));
        let again = scratch.replica(2, "v2").prepare(Uuid::from_u128(6)).unwrap();
        assert_eq!(again.id, prepared.id);
        assert_eq!(scratch.volume().read_id().unwrap(), Some(prepared.id));
    }

    #[test]
    fn racing_replicas_agree_on_one_id() {
        let scratch = Scratch::bare();
        let ids = std::thread::scope(|scope| {
            let racers: Vec<_> = (1..=8)
                .map(|number| {
                    let volume = scratch.replica(number, "v1");
                    scope.spawn(move || volume.prepare(Uuid::from_u128(number.into())).unwrap().id)
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn what_stands_in_the_place_of_our_directories_is_refused_by_name() {
        let scratch = Scratch::bare();
        symlink("/tmp", scratch.path(".bellwether")).unwrap();
        let error = scratch.volume().prepare(Uuid::nil()).unwrap_err();
        assert!(error.to_string().contains(".bellwether is a symbolic link"), "{error}");
        let scratch = Scratch::new();
        fs::remove_dir(scratch.path(".bellwether/claims")).unwrap();
        scratch.write(".bellwether/claims", "");
        let error = scratch.volume().prepare(Uuid::nil()).unwrap_err();
        assert!(error.to_string().contains("claims is a file"), "{error}");
    }

    #[test]
    fn a_damaged_id_is_an_error_that_names_it() {
        let scratch = Scratch::new();
        scratch.write(".bellwether/id", "not a uuid");
        let error = scratch.volume().prepare(Uuid::nil()).unwrap_err();
        assert!(error.to_string().contains(".bellwether/id holds no uuid"), "{error}");
    }

    #[test]
    fn a_refusal_tells_of_the_directory_that_refused() {
        let scratch = Scratch::bare();
        let source = io::Error::from_raw_os_error(rustix::io::Errno::ROFS.raw_os_error());
        let error = refused("create", &scratch.path("missing"))(source);
        let owner = scratch.root().metadata().unwrap().uid();
        assert!(error.to_string().contains(&format!("(owner {owner}:")), "{error}");
        assert_eq!(error.fault(), Fault::ReadOnly);
    }

    #[test]
    fn little_space_is_worth_a_warning() {
        let root = Path::new("/v");
        assert_eq!(space_warning(LITTLE_SPACE, root), None);
        assert_eq!(space_warning(3 * 1024 * 1024 + 5, root).unwrap(), "only 3 MiB are free on /v");
    }

    #[test]
    fn as_root_our_files_belong_to_whom_the_volume_belongs() {
        let scratch = Scratch::bare();
        let root = super::super::error::ids().0 == 0;
        if root {
            std::os::unix::fs::chown(scratch.root(), Some(1234), Some(4321)).unwrap();
        }
        let owner = scratch.root().metadata().unwrap();
        let volume = scratch.volume();
        assert_eq!(volume.heir().unwrap(), root.then_some((1234, 4321)));
        volume.prepare(Uuid::nil()).unwrap();
        volume.append_revision().unwrap();
        for name in [".bellwether", ".bellwether/tmp", ".bellwether/id", ".bellwether/revisions"] {
            let stat = scratch.path(name).metadata().unwrap();
            assert_eq!((stat.uid(), stat.gid()), (owner.uid(), owner.gid()), "{name}");
        }
    }
}

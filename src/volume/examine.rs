//! Trying a volume without leaving anything on it.

use std::fs::{self, File};
use std::io;

use fs2::FileExt as _;

use super::check::{TRY_PREFIX, refused, space_warning};
use super::{PRIVATE_DIRECTORIES, PRIVATE_DIRECTORY, Volume, VolumeError, files};

impl Volume {
    /// Tries all that leading needs of the volume, as [`Volume::prepare`] does, and makes nothing that stays.
    ///
    /// # Errors
    ///
    /// As [`Volume::prepare`]; [`VolumeError::NoLinks`], and an error of which [`VolumeError::is_for_want_of_locks`] is true.
    pub fn try_leading(&self) -> Result<(), VolumeError> {
        self.check_root()?;
        self.try_root()?;
        self.read_id()?;
        let own = self.root().join(PRIVATE_DIRECTORY);
        for directory in std::iter::once(own).chain(PRIVATE_DIRECTORIES.map(|name| self.private(name))) {
            // What is missing would be made by whoever may write where it belongs.
            if fs::symlink_metadata(&directory).is_ok() {
                Volume::check_directory(&directory)?;
            }
        }
        self.try_links_and_locks()
    }

    /// The space that is left for us, in bytes, and a warning if that is little.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`] if the root cannot be looked at.
    pub fn free_space(&self) -> Result<(u64, Option<String>), VolumeError> {
        let free = fs2::available_space(self.root()).map_err(VolumeError::io("look at", self.root()))?;
        Ok((free, space_warning(free, self.root())))
    }

    fn try_links_and_locks(&self) -> Result<(), VolumeError> {
        let first = self.root().join(format!("{TRY_PREFIX}{}", self.replica().id.simple()));
        let second = first.with_extension("linked");
        let file = File::create_new(&first).map_err(refused("create a file in", self.root()))?;
        let linked = fs::hard_link(&first, &second).map_err(|error| files::explain_link(&second, error));
        // Nobody else has this file, so only a file system without locks refuses.
        let locked = file.try_lock_exclusive().map_err(VolumeError::io::<io::Error>("lock", &first));
        let removed = [first, second].map(|path| files::remove(&path).map(drop));
        linked.and(locked).and(removed.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use uuid::Uuid;

    use super::super::testing::Scratch;

    #[test]
    fn trying_leaves_nothing() {
        let scratch = Scratch::bare();
        scratch.volume().try_leading().unwrap();
        assert_eq!(scratch.names("."), Vec::<String>::new());
        scratch.volume().prepare(Uuid::from_u128(5)).unwrap();
        scratch.volume().try_leading().unwrap();
        assert_eq!(scratch.names("."), [".bellwether"]);
        assert!(scratch.volume().free_space().unwrap().0 > 0);
    }

    #[test]
    fn what_preparing_would_refuse_is_refused() {
        let scratch = Scratch::new();
        std::fs::write(scratch.path(".bellwether/id"), "mine\n").unwrap();
        let error = scratch.volume().try_leading().unwrap_err();
        assert!(error.to_string().contains("holds no uuid"), "{error}");
        let scratch = Scratch::bare();
        symlink("/tmp", scratch.path(".bellwether")).unwrap();
        let error = scratch.volume().try_leading().unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert_eq!(scratch.names("."), [".bellwether"]);
    }
}

//! What can go wrong on a volume, in words that name the path and the repair.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::protocol::Fault;

/// Classifies what the kernel said.
fn fault_of(error: &io::Error) -> Fault {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT) => Fault::Full,
        Some(Errno::ACCESS | Errno::PERM) => Fault::Denied,
        Some(Errno::ROFS) => Fault::ReadOnly,
        _ => Fault::Broken,
    }
}

/// What a person can do about it, as the end of a sentence.
fn repair(error: &io::Error) -> String {
    match fault_of(error) {
        Fault::Full => "; the volume is full: free some space".to_owned(),
        Fault::Denied => format!("; give the volume to this user: {}", chown_command()),
        Fault::ReadOnly => "; it is mounted read-only: mount it writable where a replica may lead".to_owned(),
        Fault::Broken => String::new(),
    }
}

/// Why something on the volume could not be done. Its text names the path and, where there is one, the repair.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The volume's root does not exist.
    #[error("the volume {} does not exist; mount it there, or set BELLWETHER_VOLUME to where it is", path.display())]
    Missing {
        /// The root.
        path: PathBuf,
    },
    /// The volume's root, or a directory of ours in it, is something else.
    #[error("{} is {found}, not a directory; move it away or set BELLWETHER_VOLUME to another place", path.display())]
    NotADirectory {
        /// What was looked at.
        path: PathBuf,
        /// What stands there.
        found: &'static str,
    },
    /// The volume's root cannot be read.
    #[error("the volume {} cannot be read by {}{}", path.display(), us(), repair(source))]
    Unreadable {
        /// The root.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The volume cannot be used by a replica that wants to lead.
    #[error("cannot {action} {} (owner {}:{}, mode {mode:04o}) as {}{}", path.display(), owner.0, owner.1, us(), repair(source))]
    Unusable {
        /// What was tried, as a verb with its object's kind.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// User and group that own `path`, or what holds it.
        owner: (u32, u32),
        /// The permission bits of the same.
        mode: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file system has no hard links, which claims need.
    #[error("{} is on a file system without hard links, which claims need; use another volume", path.display())]
    NoLinks {
        /// The name that could not be linked.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something that is no regular file stands in the place of one.
    #[error("{} is {found} where a regular file is expected; move it away", path.display())]
    NotAFile {
        /// What was looked at.
        path: PathBuf,
        /// What stands there.
        found: &'static str,
    },
    /// A done marker is missing though its step was done.
    #[error(
        "the done marker {} has been removed while this replica was leading; start again and the step runs again",
        path.display()
    )]
    Vanished {
        /// Where it was.
        path: PathBuf,
    },
    /// A file of ours holds something else than we wrote.
    #[error("{} {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the repair.
        problem: &'static str,
    },
    /// Any other failed operation.
    #[error("cannot {action} {}{}", path.display(), repair(source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl VolumeError {
    /// What kind of trouble this is. [`Fault::Full`] is worth a retry.
    pub fn fault(&self) -> Fault {
        match self {
            VolumeError::Unreadable { source, .. }
            | VolumeError::Unusable { source, .. }
            | VolumeError::Io { source, .. } => fault_of(source),
            VolumeError::Missing { .. }
            | VolumeError::NotADirectory { .. }
            | VolumeError::NoLinks { .. }
            | VolumeError::NotAFile { .. }
            | VolumeError::Vanished { .. }
            | VolumeError::Malformed { .. } => Fault::Broken,
        }
    }

    /// Whether the file system has no locks at all, or none at the moment.
    pub fn is_for_want_of_locks(&self) -> bool {
        let VolumeError::Io { action: "lock", source, .. } = self else { return false };
        let errno = source.raw_os_error().map(Errno::from_raw_os_error);
        matches!(errno, Some(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP))
    }

    /// The path it is about.
    pub fn path(&self) -> &Path {
        match self {
            VolumeError::Missing { path }
            | VolumeError::NotADirectory { path, .. }
            | VolumeError::Unreadable { path, .. }
            | VolumeError::Unusable { path, .. }
            | VolumeError::NoLinks { path, .. }
            | VolumeError::NotAFile { path, .. }
            | VolumeError::Vanished { path }
            | VolumeError::Malformed { path, .. }
            | VolumeError::Io { path, .. } => path,
        }
    }

    /// For `map_err`: `action` on `path` failed.
    pub(super) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> VolumeError {
        let path = path.to_owned();
        move |source| VolumeError::Io { action, path, source: source.into() }
    }
}

/// Our user and group, as text.
fn us() -> String {
    let (uid, gid) = ids();
    format!("uid {uid}, gid {gid}")
}

/// Our effective user and group.
pub(super) fn ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// The command that gives a volume to our user.
fn chown_command() -> String {
    let (uid, gid) = ids();
    format!("docker run --rm -v VOLUME:/mnt/tmp busybox chown -R {uid}:{gid} /mnt/tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(errno: Errno) -> io::Error {
        io::Error::from_raw_os_error(errno.raw_os_error())
    }

    #[test]
    fn want_of_locks_is_told_from_other_trouble() {
        let error = |action, errno| VolumeError::io::<io::Error>(action, Path::new("/v/guard.lock"))(raw(errno));
        assert!(error("lock", Errno::NOLCK).is_for_want_of_locks());
        assert!(error("lock", Errno::OPNOTSUPP).is_for_want_of_locks());
        assert!(!error("lock", Errno::IO).is_for_want_of_locks());
        assert!(!error("write", Errno::NOSYS).is_for_want_of_locks());
    }

    #[test]
    fn the_kernels_words_are_classified() {
        for (errno, fault) in [
            (Errno::NOSPC, Fault::Full),
            (Errno::DQUOT, Fault::Full),
            (Errno::ACCESS, Fault::Denied),
            (Errno::PERM, Fault::Denied),
            (Errno::ROFS, Fault::ReadOnly),
            (Errno::IO, Fault::Broken),
            (Errno::STALE, Fault::Broken),
        ] {
            assert_eq!(fault_of(&raw(errno)), fault, "{errno:?}");
            let error: VolumeError = VolumeError::io("write", Path::new("/v/x"))(raw(errno));
            assert_eq!(error.fault(), fault);
        }
        assert_eq!(fault_of(&io::Error::other("no errno")), Fault::Broken);
    }

    #[test]
    fn a_refusal_names_path_owner_mode_us_and_the_repair() {
        let error = VolumeError::Unusable {
            action: "create a file in",
            path: "/v".into(),
            owner: (1000, 1001),
            mode: 0o755,
            source: raw(Errno::ACCESS),
        };
        let (uid, gid) = ids();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot create a file in /v (owner 1000:1001, mode 0755) as uid {uid}, gid {gid}; give the volume to \
                 this user: docker run --rm -v VOLUME:/mnt/tmp busybox chown -R {uid}:{gid} /mnt/tmp"
            )
        );
        assert_eq!(error.path(), Path::new("/v"));
    }

    #[test]
    fn full_and_read_only_have_their_own_repairs() {
        let text = |errno| VolumeError::io("write", Path::new("/v/x"))(raw(errno)).to_string();
        assert_eq!(text(Errno::NOSPC), "cannot write /v/x; the volume is full: free some space");
        assert!(text(Errno::ROFS).contains("mounted read-only"));
        assert_eq!(text(Errno::IO), "cannot write /v/x");
    }
}

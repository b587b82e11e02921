//! Whom a step runs as: looked up in passwd and group, applied between fork and exec.
#![expect(unsafe_code, reason = "the passwd database and credentials are only to be had through libc")]

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::ptr;

/// A passwd entry needs at most this much room; a bigger one is an error.
const ROOM: usize = 1 << 20;
/// Supplementary groups; Linux allows no more.
const MOST_GROUPS: usize = 65_536;

/// A user and the groups it belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Its login name.
    pub name: OsString,
    /// Its home directory.
    pub home: OsString,
    /// Its user id.
    pub uid: u32,
    /// Its main group.
    pub gid: u32,
    /// All its groups, the main one among them.
    pub groups: Vec<u32>,
}

/// Why a step cannot run as the user it names.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such entry.
    #[error("user {0:?} is unknown here (no such name or number in /etc/passwd)")]
    Unknown(String),
    /// The look-up itself failed.
    #[error("user {0:?} cannot be looked up: {1}")]
    LookUp(String, io::Error),
    /// Only root may become somebody else.
    #[error("user {name:?} (uid {uid}) cannot be taken on by uid {own}: only uid 0 may become another user")]
    NotRoot {
        /// The user wanted.
        name: String,
        /// Its uid.
        uid: u32,
        /// Ours.
        own: u32,
    },
}

impl User {
    /// Finds a user by login name, or by number if no user has that name. `1000:1000`, a number and that of a group, need
    /// not be known here, as in Docker.
    ///
    /// # Errors
    ///
    /// [`UserError::Unknown`] or [`UserError::LookUp`].
    pub fn find(name: &str) -> Result<User, UserError> {
        let failed = |error| UserError::LookUp(name.to_owned(), error);
        let unknown = || UserError::Unknown(name.to_owned());
        let by_name = CString::new(name).map_err(|_| unknown())?;
        let named = entry(|found, buffer, length, result| {
            // SAFETY: the name ends with NUL, and `entry` gives valid pointers and the buffer's length.
            unsafe { libc::getpwnam_r(by_name.as_ptr(), found, buffer, length, result) }
        });
        if let Some(user) = named.map_err(failed)? {
            return Ok(user);
        }
        let (number, group) = name.split_once(':').map_or((name, None), |(number, group)| (number, Some(group)));
        let uid: u32 = number.parse().map_err(|_| unknown())?;
        let group: Option<u32> = group.map(str::parse).transpose().map_err(|_| unknown())?;
        let numbered = entry(|found, buffer, length, result| {
            // SAFETY: `entry` gives valid pointers and the buffer's length.
            unsafe { libc::getpwuid_r(uid, found, buffer, length, result) }
        });
        match (numbered.map_err(failed)?, group) {
            (Some(user), Some(gid)) => Ok(user.in_group(gid)),
            (Some(user), None) => Ok(user),
            (None, Some(gid)) => Ok(User::of_numbers(uid, gid)),
            (None, None) => Err(unknown()),
        }
    }

    /// One whom nobody has written down.
    fn of_numbers(uid: u32, gid: u32) -> User {
        User { name: uid.to_string().into(), home: "/".into(), uid, gid, groups: vec![gid] }
    }

    fn in_group(mut self, gid: u32) -> User {
        self.gid = gid;
        if !self.groups.contains(&gid) {
            self.groups.push(gid);
        }
        self
    }

    /// Whether this process may become the user: it is that user already, or root.
    ///
    /// # Errors
    ///
    /// [`UserError::NotRoot`].
    pub fn check_allowed(&self) -> Result<(), UserError> {
        let own = rustix::process::geteuid().as_raw();
        if own == 0 || own == self.uid {
            return Ok(());
        }
        Err(UserError::NotRoot { name: self.name.to_string_lossy().into_owned(), uid: self.uid, own })
    }

    /// Becomes this user for good: groups first, the uid last. Nothing to do if we are that user and not root.
    ///
    /// Async-signal-safe enough for a single-threaded child between fork and exec: it allocates nothing.
    ///
    /// # Errors
    ///
    /// Those of `setgroups`, `setgid` and `setuid`.
    pub(crate) fn assume(&self) -> io::Result<()> {
        if rustix::process::geteuid().as_raw() != 0 {
            return Ok(());
        }
        // SAFETY: the pointer is valid for reads of that many ids.
        check(unsafe { libc::setgroups(self.groups.len(), self.groups.as_ptr()) })?;
        // SAFETY: takes a number only.
        check(unsafe { libc::setgid(self.gid) })?;
        // SAFETY: takes a number only.
        check(unsafe { libc::setuid(self.uid) })
    }
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

type LookUp<'a> = &'a dyn Fn(*mut libc::passwd, *mut libc::c_char, usize, *mut *mut libc::passwd) -> i32;

/// Calls one of the `getpw…_r` with growing buffers.
fn entry(
    look_up: impl Fn(*mut libc::passwd, *mut libc::c_char, usize, *mut *mut libc::passwd) -> i32,
) -> io::Result<Option<User>> {
    let look_up: LookUp<'_> = &look_up;
    let mut room = 1 << 10;
    loop {
        let mut buffer: Vec<libc::c_char> = vec![0; room];
        let mut found = MaybeUninit::<libc::passwd>::uninit();
        let mut result = ptr::null_mut();
        match look_up(found.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut result) {
            0 if result.is_null() => return Ok(None),
            0 => {
                // SAFETY: a look-up that found something has filled the entry; its strings lie in `buffer`.
                let found = unsafe { found.assume_init() };
                return Ok(Some(copied(&found)));
            }
            libc::ERANGE if room < ROOM => room *= 4,
            libc::EINTR => {}
            // Some databases say "not found" by an error.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

fn copied(found: &libc::passwd) -> User {
    let string = |pointer: *mut libc::c_char| {
        if pointer.is_null() {
            return OsString::new();
        }
        // SAFETY: the strings of a passwd entry end with NUL and live as long as its buffer, which our caller holds.
        let text = unsafe { CStr::from_ptr(pointer) };
        OsString::from_vec(text.to_bytes().to_vec())
    };
    let groups = groups_of(found.pw_name, found.pw_gid);
    User { name: string(found.pw_name), home: string(found.pw_dir), uid: found.pw_uid, gid: found.pw_gid, groups }
}

fn groups_of(name: *const libc::c_char, gid: u32) -> Vec<u32> {
    let mut groups = vec![gid; 64];
    loop {
        let mut count = i32::try_from(groups.len()).unwrap_or(i32::MAX);
        // SAFETY: the name ends with NUL, and the pointer is valid for writes of `count` ids.
        let result = unsafe { libc::getgrouplist(name, gid, groups.as_mut_ptr(), &raw mut count) };
        if result >= 0 || groups.len() >= MOST_GROUPS {
            groups.truncate(usize::try_from(count).unwrap_or(0));
            return groups;
        }
        groups.resize(groups.len() * 4, gid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let root = User::find("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(User::find("0").unwrap(), root);
    }

    #[test]
    fn numbers_of_user_and_group_need_not_be_known() {
        let user = User::find("4294967:4294968").unwrap();
        assert_eq!((user.uid, user.gid, user.groups), (4_294_967, 4_294_968, vec![4_294_968]));
        assert_eq!((user.name, user.home), ("4294967".into(), "/".into()));
        let root = User::find("0:4294968").unwrap();
        assert_eq!((root.uid, root.gid, root.name), (0, 4_294_968, "root".into()));
        assert!(root.groups.contains(&4_294_968) && root.groups.contains(&0));
        for name in ["4294967:", ":4294967", "4294967:x", "x:4294967", "1:2:3"] {
            assert!(matches!(User::find(name), Err(UserError::Unknown(_))), "{name}");
        }
    }

    #[test]
    fn an_unknown_user_is_named() {
        let error = User::find("no-such-user").unwrap_err();
        assert_eq!(error.to_string(), r#"user "no-such-user" is unknown here (no such name or number in /etc/passwd)"#);
        assert!(matches!(User::find("a\0b"), Err(UserError::Unknown(_))));
        assert!(matches!(User::find("4294967294"), Err(UserError::Unknown(_))));
    }
}

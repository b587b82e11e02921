//! `/proc/self/mountinfo`, taken apart: which mount holds a path.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mount, as far as we care.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mount {
    id: u64,
    parent: u64,
    point: PathBuf,
    /// The file system's type, such as `ext4` or `fuse.s3fs`.
    pub(super) kind: String,
    /// The options of the file system (not those of the mount point).
    pub(super) options: Vec<String>,
}

impl Mount {
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|own| own == option)
    }
}

/// The mount that holds `path`, which must be absolute and free of links.
///
/// Walks down as the kernel does: from each mount to the one on it that the path enters first; of several at the same
/// place, the last. So what a later mount hides is not found.
pub(super) fn mount_of(table: &str, path: &Path) -> Option<Mount> {
    let mounts: Vec<Mount> = table.lines().filter_map(parse).filter(|mount| path.starts_with(&mount.point)).collect();
    let is_root = |mount: &Mount| mount.parent == mount.id || !mounts.iter().any(|other| other.id == mount.parent);
    let first = |candidates: &mut dyn Iterator<Item = &Mount>| {
        let mut best: Option<Mount> = None;
        for mount in candidates {
            let depth = mount.point.components().count();
            if best.as_ref().is_none_or(|best| depth <= best.point.components().count()) {
                best = Some(mount.clone());
            }
        }
        best
    };
    let mut current = first(&mut mounts.iter().filter(|mount| is_root(mount)))?;
    // A damaged table cannot keep us longer than it has lines.
    for _ in 0..mounts.len() {
        let on_it = |mount: &&Mount| mount.parent == current.id && mount.id != current.id;
        match first(&mut mounts.iter().filter(on_it)) {
            Some(next) => current = next,
            None => break,
        }
    }
    Some(current)
}

/// `36 35 98:0 /inside /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue`, with any number of fields before
/// the hyphen.
fn parse(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ');
    let (id, parent) = (before.next()?.parse().ok()?, before.next()?.parse().ok()?);
    let point = unescape(before.nth(2)?);
    let mut after = after.split(' ');
    let kind = after.next()?.to_owned();
    let options = after.nth(1).unwrap_or_default();
    Some(Mount { id, parent, point, kind, options: options.split(',').map(ToOwned::to_owned).collect() })
}

/// Space, tab, line feed and backslash are written as a backslash and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| first == b'\\');
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
21 1 254:0 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/a,upperdir=/b
22 21 0:20 / /proc rw shared:2 master:3 propagate_from:1 - proc proc rw
30 21 8:1 /vol /data rw - ext4 /dev/sda1 rw,errors=remount-ro
31 30 0:40 / /data/sites rw - nfs4 server:/x rw,vers=4.2,local_lock=none
32 21 8:2 / /with\\040space\\134x rw - xfs /dev/sdb rw
33 21 8:3 / /hidden/below rw - xfs /dev/sdc rw
34 21 8:4 / /hidden rw - btrfs /dev/sdd rw
35 34 8:5 / /hidden rw - tmpfs tmpfs rw
36 30 8:6 / /data/empty rw - fuse.s3fs s3fs
garbage
";

    #[test]
    fn the_mount_is_the_one_the_kernel_would_enter() {
        for (path, kind) in [
            ("/", "overlay"),
            ("/srv", "overlay"),
            ("/data", "ext4"),
            ("/database", "overlay"),
            ("/data/other", "ext4"),
            ("/data/sites/x", "nfs4"),
            ("/with space\\x/y", "xfs"),
            ("/hidden/below", "tmpfs"),
            ("/hidden", "tmpfs"),
            ("/data/empty", "fuse.s3fs"),
        ] {
            assert_eq!(mount_of(TABLE, Path::new(path)).unwrap().kind, kind, "{path}");
        }
    }

    #[test]
    fn options_are_those_of_the_file_system() {
        let mount = mount_of(TABLE, Path::new("/data/sites")).unwrap();
        assert!(mount.has("local_lock=none") && mount.has("vers=4.2") && !mount.has("shared:1"));
    }

    #[test]
    fn a_mount_without_a_root_above_it_is_found_too() {
        let chroot = "40 39 8:1 / /data rw - ext4 /dev/sda rw\n41 40 0:9 / /data/x rw - tmpfs tmpfs rw\n";
        assert_eq!(mount_of(chroot, Path::new("/data/x/y")).unwrap().kind, "tmpfs");
        assert_eq!(mount_of(chroot, Path::new("/srv")), None);
        let circle = "1 2 8:1 / / rw - ext4 a rw\n2 1 8:1 / / rw - xfs b rw\n";
        assert_eq!(mount_of(circle, Path::new("/")), None);
    }

    #[test]
    fn the_kernels_own_table_is_understood() {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert_eq!(mount_of(&table, Path::new("/proc")).unwrap().kind, "proc");
    }

    #[test]
    fn escapes_that_are_none_stay_as_they_are() {
        for (text, plain) in
            [("\\040", " "), ("a\\", "a\\"), ("\\9zz", "\\9zz"), ("\\134040", "\\040"), ("\\777", "\\777")]
        {
            assert_eq!(unescape(text), Path::new(plain), "{text}");
        }
    }
}

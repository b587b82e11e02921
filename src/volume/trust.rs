//! Whether the volume's locks work between all replicas.

use super::mounts::{Mount, mount_of};
use super::{Volume, VolumeError};
use crate::protocol::Trust;

/// Why.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TrustKind {
    /// All replicas are on one kernel.
    Local,
    /// A network file system whose locks reach everybody; it may drop those of a client that was cut off, so the guard
    /// is proved with each beat ([`Guard::check_sound`](super::Guard::check_sound)).
    Shared,
    /// The root lies in a container's own layer: somebody forgot to mount the volume. Warn loudly.
    Forgotten,
    /// Not known to have working locks.
    NotTrusted,
}

/// What is known about the volume's locks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustFinding {
    /// The verdict, after `BELLWETHER_VOLUME_LOCKS`.
    pub trust: Trust,
    /// Why. An override leaves [`TrustKind::Forgotten`], which is worth a warning in any case; a file system that is
    /// trusted by override counts as shared unless it is local.
    pub kind: TrustKind,
    /// The file system's type.
    pub fs_name: String,
    /// One sentence for people.
    pub reason: String,
}

impl Volume {
    /// Finds out whether the volume's locks can be trusted; `setting` (`BELLWETHER_VOLUME_LOCKS`) overrides. Works on a
    /// read-only mount.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`] if the root cannot be looked at.
    pub fn trust(&self, setting: Option<Trust>) -> Result<TrustFinding, VolumeError> {
        let root = self.root();
        let path = root.canonicalize().map_err(VolumeError::io("look at", root))?;
        let statfs = rustix::fs::statfs(&path).map_err(VolumeError::io("look at", root))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the magic number has 32 bits")]
        let by_magic = name_of(statfs.f_type as u32);
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mount = mount_of(&table, &path);
        Ok(finding(by_magic, mount.as_ref(), setting))
    }
}

/// Magic numbers and types of the file systems that we may trust.
const KNOWN: [(u32, &str); 12] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xf2f5_2010, "f2fs"),
    (0x794c_7630, "overlay"),
    (0x6969, "nfs"),
    (0x00c3_6400, "ceph"),
    (0x0bd0_0bd0, "lustre"),
    (0x0116_1970, "gfs2"),
    (0x7461_636f, "ocfs2"),
];

/// What a file system calls itself, by the magic number of `statfs`; `None` for those we do not trust anyway.
fn name_of(magic: u32) -> Option<&'static str> {
    KNOWN.iter().find(|(own, _)| *own == magic).map(|(_, name)| *name)
}

/// Types that are one file system to `statfs`.
fn family(kind: &str) -> &str {
    match kind {
        "ext2" | "ext3" => "ext4",
        "nfs4" => "nfs",
        other => other,
    }
}

/// The same name that the magic number would give.
fn known(kind: &str) -> Option<&'static str> {
    KNOWN.iter().map(|(_, name)| *name).find(|name| *name == family(kind))
}

fn finding(by_magic: Option<&'static str>, mount: Option<&Mount>, setting: Option<Trust>) -> TrustFinding {
    let (kind, fs_name, reason) = match (mount, by_magic) {
        (Some(mount), _) if known(&mount.kind) != by_magic => {
            let name = by_magic.unwrap_or("an unknown file system");
            let kind = if is_local(name) { TrustKind::Local } else { TrustKind::NotTrusted };
            let reason = format!("{name} is what the kernel says, though the table of mounts says {}", mount.kind);
            (kind, name.to_owned(), reason)
        }
        (Some(mount), _) => {
            let (kind, reason) = judge(mount);
            (kind, mount.kind.clone(), reason)
        }
        (None, Some(name)) if is_local(name) => (TrustKind::Local, name.to_owned(), local(name)),
        (None, Some("overlay")) => (TrustKind::Forgotten, "overlay".to_owned(), forgotten("overlay")),
        (None, name) => {
            let name = name.unwrap_or("an unknown file system");
            let reason = format!("{name} is mounted with options that cannot be read, so its locks may be local");
            (TrustKind::NotTrusted, name.to_owned(), reason)
        }
    };
    overridden(kind, fs_name, reason, setting)
}

fn overridden(kind: TrustKind, fs_name: String, reason: String, setting: Option<Trust>) -> TrustFinding {
    let detected = if kind == TrustKind::NotTrusted { Trust::NotTrusted } else { Trust::Trusted };
    let trust = setting.unwrap_or(detected);
    let (kind, reason) = match (trust, kind) {
        _ if trust == detected => (kind, reason),
        (_, TrustKind::Forgotten) => (kind, reason),
        (Trust::Trusted, _) => (TrustKind::Shared, format!("BELLWETHER_VOLUME_LOCKS trusts it, though {reason}")),
        (Trust::NotTrusted, _) => {
            (TrustKind::NotTrusted, format!("BELLWETHER_VOLUME_LOCKS does not trust it, though {reason}"))
        }
    };
    TrustFinding { trust, kind, fs_name, reason }
}

fn is_local(name: &str) -> bool {
    matches!(family(name), "ext4" | "xfs" | "btrfs" | "tmpfs" | "zfs" | "f2fs")
}

fn local(name: &str) -> String {
    format!("{name} is local: one kernel keeps the locks of all replicas")
}

fn forgotten(name: &str) -> String {
    format!("{name} is a container's own layer: no volume is mounted here, and no other container sees it")
}

fn judge(mount: &Mount) -> (TrustKind, String) {
    let name = mount.kind.as_str();
    let shared = || (TrustKind::Shared, format!("{name} keeps locks on its servers, for all replicas"));
    let not = |because: &str| (TrustKind::NotTrusted, format!("{name} {because}"));
    match family(name) {
        local_one if is_local(local_one) => (TrustKind::Local, local(name)),
        "overlay" => (TrustKind::Forgotten, forgotten(name)),
        "nfs" => match ["nolock", "local_lock=flock", "local_lock=all"].iter().find(|option| mount.has(option)) {
            Some(option) => not(&format!("is mounted with {option}: each host keeps locks of its own")),
            None => shared(),
        },
        "lustre" if mount.has("flock") => shared(),
        "lustre" => not("is not mounted with flock: each host keeps locks of its own, or there are none"),
        "gfs2" | "ocfs2" if mount.has("localflocks") => not("is mounted with localflocks: each host keeps its own"),
        "ceph" | "gfs2" | "ocfs2" => shared(),
        _ => not("is not known to keep locks for all replicas"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Scratch;
    use super::*;
    use std::path::Path;

    fn mounted(kind: &str, options: &str) -> TrustFinding {
        let table = format!("20 1 0:1 / / rw - {kind} source {options}\n");
        finding(known(kind), Some(&mount_of(&table, Path::new("/")).unwrap()), None)
    }

    #[test]
    fn every_file_system_has_its_verdict() {
        use TrustKind::{Forgotten, Local, NotTrusted, Shared};
        for (kind, options, verdict) in [
            ("ext4", "rw", Local),
            ("ext3", "rw", Local),
            ("xfs", "rw", Local),
            ("btrfs", "rw,subvol=/x", Local),
            ("tmpfs", "rw,size=1m", Local),
            ("zfs", "rw", Local),
            ("f2fs", "rw", Local),
            ("overlay", "rw,lowerdir=/a", Forgotten),
            ("nfs4", "rw,vers=4.2,hard,local_lock=none", Shared),
            ("nfs", "rw,vers=3,local_lock=none", Shared),
            ("nfs", "rw,vers=3,local_lock=posix", Shared),
            ("nfs", "rw,vers=3,nolock,local_lock=all", NotTrusted),
            ("nfs", "rw,vers=3,local_lock=flock", NotTrusted),
            ("nfs4", "rw,local_lock=all", NotTrusted),
            ("ceph", "rw,name=admin", Shared),
            ("lustre", "rw,flock,lazystatfs", Shared),
            ("lustre", "rw,localflock", NotTrusted),
            ("lustre", "rw", NotTrusted),
            ("gfs2", "rw", Shared),
            ("ocfs2", "rw,localflocks", NotTrusted),
            ("fuse.s3fs", "rw", NotTrusted),
            ("fuse.ceph-fuse", "rw", NotTrusted),
            ("9p", "rw,trans=virtio", NotTrusted),
            ("virtiofs", "rw", NotTrusted),
            ("cifs", "rw,vers=3.1.1", NotTrusted),
            ("vfat", "rw", NotTrusted),
        ] {
            let finding = mounted(kind, options);
            assert_eq!(finding.kind, verdict, "{kind} {options}");
            assert_eq!(finding.trust == Trust::NotTrusted, verdict == NotTrusted, "{kind} {options}");
            assert!(finding.reason.starts_with(kind) && finding.fs_name == kind, "{finding:?}");
        }
    }

    #[test]
    fn the_setting_overrides_but_a_forgotten_volume_stays_forgotten() {
        let judged = |kind, setting| overridden(kind, "x".to_owned(), "x is y".to_owned(), Some(setting));
        let fuse = judged(TrustKind::NotTrusted, Trust::Trusted);
        assert_eq!((fuse.trust, fuse.kind), (Trust::Trusted, TrustKind::Shared));
        assert_eq!(fuse.reason, "BELLWETHER_VOLUME_LOCKS trusts it, though x is y");
        let disk = judged(TrustKind::Local, Trust::NotTrusted);
        assert_eq!((disk.trust, disk.kind), (Trust::NotTrusted, TrustKind::NotTrusted));
        let layer = judged(TrustKind::Forgotten, Trust::NotTrusted);
        assert_eq!((layer.trust, layer.kind), (Trust::NotTrusted, TrustKind::Forgotten));
        assert_eq!(judged(TrustKind::Local, Trust::Trusted).reason, "x is y");
    }

    #[test]
    fn without_a_table_only_local_magic_is_trusted() {
        let by = |magic| finding(name_of(magic), None, None);
        assert_eq!(by(0xef53).kind, TrustKind::Local);
        assert_eq!(by(0x794c_7630).kind, TrustKind::Forgotten);
        assert_eq!(by(0x6969).trust, Trust::NotTrusted);
        assert_eq!(by(0x6573_5546).trust, Trust::NotTrusted);
    }

    #[test]
    fn where_kernel_and_table_disagree_the_kernel_is_believed_and_nothing_over_a_network() {
        let ext = mount_of("20 1 0:1 / / rw - ext2 /dev/sda rw\n", Path::new("/")).unwrap();
        assert_eq!(finding(name_of(0xef53), Some(&ext), None).kind, TrustKind::Local);
        assert_eq!(finding(name_of(0x6969), Some(&ext), None).kind, TrustKind::NotTrusted);
        assert_eq!(finding(None, Some(&ext), None).kind, TrustKind::NotTrusted);
        assert_eq!(finding(name_of(0x5846_5342), Some(&ext), None).fs_name, "xfs");
    }

    #[test]
    fn this_machine_has_a_verdict() {
        let finding = Scratch::bare().volume().trust(None).unwrap();
        assert!(!finding.fs_name.is_empty() && !finding.reason.is_empty());
    }
}

//! `/proc/locks`, taken apart.

/// The process that holds the `flock` on a file, by the file's device and inode.
///
/// Lines look like `1: FLOCK  ADVISORY  WRITE 1234 fd:01:131 0 EOF`; those of waiters have `->` after the number. The
/// kernel names the file system's device, which on Btrfs and overlays is not what `stat` says; there the inode alone
/// has to do, if only one lock has it. A process that we cannot see is 0 or -1.
pub(super) fn flock_holder(table: &str, device: u64, inode: u64) -> Option<u32> {
    let locks: Vec<(bool, u32)> = table
        .lines()
        .filter_map(parse)
        .filter(|lock| lock.inode == inode)
        .map(|lock| ((lock.major, lock.minor) == (rustix::fs::major(device), rustix::fs::minor(device)), lock.pid))
        .collect();
    let exact = locks.iter().find(|(same_device, _)| *same_device);
    let only = if let [one] = locks[..] { Some(one) } else { None };
    exact.copied().or(only).map(|(_, pid)| pid)
}

struct Lock {
    pid: u32,
    major: u32,
    minor: u32,
    inode: u64,
}

fn parse(line: &str) -> Option<Lock> {
    let mut words = line.split_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok().filter(|&pid| pid > 0)?;
    let mut file = words.next()?.split(':');
    let mut number = || u32::from_str_radix(file.next()?, 16).ok();
    let (major, minor) = (number()?, number()?);
    Some(Lock { pid, major, minor, inode: file.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
1: POSIX  ADVISORY  WRITE 812 fd:01:131 0 EOF
2: FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF
2: -> FLOCK  ADVISORY  WRITE 4712 fd:01:131 0 EOF
3: FLOCK  ADVISORY  WRITE 99 08:02:131 0 EOF
4: FLOCK  ADVISORY  WRITE 0 fd:01:777 0 EOF
5: FLOCK  ADVISORY  WRITE -1 fd:01:778 0 EOF
6: FLOCK  ADVISORY  WRITE 55 00:2f:900 0 EOF
7: OFDLCK ADVISORY  READ -1 00:06:1028 0 EOF
garbage
8: FLOCK ADVISORY
";

    #[test]
    fn the_holder_is_the_flock_line_of_that_file() {
        let device = |major, minor| rustix::fs::makedev(major, minor);
        for (major, minor, inode, pid) in [
            (0xfd, 1, 131, Some(4711)),
            (8, 2, 131, Some(99)),
            (9, 9, 131, None),
            (0xfd, 1, 777, None),
            (0xfd, 1, 778, None),
            (0, 0x30, 900, Some(55)),
            (0xfd, 1, 5, None),
        ] {
            assert_eq!(flock_holder(TABLE, device(major, minor), inode), pid, "{major}:{minor} {inode}");
        }
        assert_eq!(flock_holder("", device(1, 1), 1), None);
    }
}

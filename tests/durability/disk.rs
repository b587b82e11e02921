//! A disk that loses what was not synced: ext4 in a file, and the call by which file systems are tested for that.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cage::run;
use crate::stack::Stack;
use crate::wait::wait_until;

const SIZE: u64 = 32 * 1024 * 1024;

/// Nothing is written out by itself for as long as a test takes, and no rename is taken for a wish to sync.
const OPTIONS: &str = "loop,commit=300,noauto_da_alloc";

/// Shuts the file system down at once, with what stands in its log's memory thrown away: `_IOR('X', 125, __u32)` and
/// the flag for "do not write the log".
const CUT: &str = "import fcntl, os, struct, sys\n\
                   fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";

/// What nobody has synced. It has to be gone after the loss, or this disk loses nothing and proves nothing.
const CONTROL: &str = "unsynced";

/// A fresh file system at the volume of a stack.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    at: PathBuf,
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Disk {
    pub(crate) fn under(stack: &Stack) -> Disk {
        let image = stack.scratch().join("disk");
        File::create(&image).unwrap().set_len(SIZE).unwrap();
        run("mkfs.ext4", &["-q", "-F", text(&image)]);
        let disk = Disk { image, at: stack.volume().to_owned() };
        disk.mount();
        fs::remove_dir(disk.at.join("lost+found")).unwrap();
        // The removal, and nothing of a boot, belongs to the disk as it is bought.
        run("sync", &["--file-system", text(&disk.at)]);
        disk
    }

    fn mount(&self) {
        run("mount", &["-t", "ext4", "-o", OPTIONS, text(&self.image), text(&self.at)]);
    }

    /// The power goes.
    pub(crate) fn cut(&self) {
        fs::write(self.at.join(CONTROL), "not for long").unwrap();
        run("/usr/bin/python3", &["-c", CUT, text(&self.at)]);
        assert!(fs::write(self.at.join("after"), "").is_err(), "the file system goes on without power");
    }

    /// The power comes back. Whoever had a file open has been killed.
    pub(crate) fn restore(&self) {
        // A process that counts as dead may have threads that still close its files.
        wait_until("nobody on the disk", || Command::new("umount").arg(&self.at).output().unwrap().status.success());
        self.mount();
        // A sync of something else at that moment may have kept the name.
        let kept = fs::read(self.at.join(CONTROL)).unwrap_or_default();
        assert!(kept.is_empty(), "this disk keeps what was not synced, so it cannot show what is lost");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A test that fails may leave files open. Its namespace ends soon, and the mount with it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).output();
    }
}

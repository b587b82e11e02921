//! Sees markers appear, change and go, in the order in which they do, and writes that down in the journal.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::journal::{Entry, Journal, What, now};

/// How long nothing is looked at if nothing happens: as exactly is known when something did.
const IDLE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Watches the volume's root from now on, in a thread.
pub(crate) fn watch(volume: &Path, rev: &str, steps: Vec<String>, journal: Journal) -> io::Result<()> {
    let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let comes_and_goes = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE | WatchFlags::MOVED_FROM;
    // A beat sets times; nobody beats what is gone.
    inotify::add_watch(&descriptor, volume, comes_and_goes | WatchFlags::ATTRIB | WatchFlags::EXCL_UNLINK)?;
    let seen = BTreeMap::new();
    let watcher = Watcher { volume: volume.to_owned(), rev: rev.to_owned(), steps, journal, seen };
    thread::spawn(move || watcher.go_on(&descriptor));
    Ok(())
}

/// A marker's file: it, its time, and who says to have written it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    inode: u64,
    changed: (i64, i64),
    epoch: u64,
    pid: i32,
}

struct Watcher {
    volume: PathBuf,
    rev: String,
    steps: Vec<String>,
    journal: Journal,
    /// The in-progress marker of each step.
    seen: BTreeMap<String, Seen>,
}

impl Watcher {
    fn go_on(mut self, descriptor: &OwnedFd) -> ! {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = Reader::new(descriptor, &mut buffer);
        // Before this moment there was nothing that has not been read.
        let mut since = now();
        loop {
            let asked = now();
            match reader.next() {
                Ok(event) => {
                    assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW), "the watcher keeps up");
                    if let Some(name) = event.file_name().and_then(|name| name.to_str().ok()) {
                        self.note(name, event.events(), since);
                    }
                }
                Err(Errno::AGAIN) => {
                    since = asked;
                    // Interrupted or not: it is asked again.
                    let _ = poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&IDLE));
                }
                Err(Errno::INTR) => {}
                Err(error) => panic!("inotify cannot be read: {error}"),
            }
        }
    }

    fn note(&mut self, name: &str, events: ReadFlags, since: u64) {
        let rev = &self.rev;
        if let Some(step) = self.steps.iter().find(|step| name == format!(".{step}_in_progress_{rev}")).cloned() {
            return self.note_progress(&step, name, events, since);
        }
        if events.contains(ReadFlags::ATTRIB) {
            return;
        }
        let has_come = events.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
        if name == format!(".ready_{rev}") {
            self.journal.write(Entry::new(if has_come { What::Ready } else { What::Unready }, "-"));
        } else if name == format!(".failed_{rev}") && has_come {
            self.journal.write(Entry::new(What::Failed, "-"));
        } else if let Some(step) = self.steps.iter().find(|step| name == format!(".{step}_done_{rev}")) {
            let what = if has_come { What::Done } else { What::Undone };
            let content = fs::read(self.volume.join(name)).unwrap_or_default();
            let (epoch, attempt, _) = if has_come { told_by(&content) } else { (0, 0, 0) };
            self.journal.write(Entry::new(what, step).under(epoch, attempt));
        }
    }

    /// An in-progress marker came, went, or was beaten.
    fn note_progress(&mut self, step: &str, name: &str, events: ReadFlags, since: u64) {
        if events.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
            self.seen.remove(step);
            self.journal.write(Entry::new(What::Hidden, step));
            return;
        }
        // It may be gone, or another's, by now: that is told by the next event.
        let Ok(mut file) = File::open(self.volume.join(name)) else { return };
        let Ok(metadata) = file.metadata() else { return };
        let (inode, changed) = (metadata.ino(), (metadata.mtime(), metadata.mtime_nsec()));
        let since = since.to_string();
        if events.contains(ReadFlags::ATTRIB) {
            let Some(seen) = self.seen.get_mut(step).filter(|seen| seen.inode == inode) else { return };
            if seen.changed != changed {
                seen.changed = changed;
                self.journal
                    .write(Entry::new(What::Beaten, step).of("-", seen.pid).under(seen.epoch, 0).detail(&since));
            }
            return;
        }
        let mut content = Vec::new();
        if file.read_to_end(&mut content).is_ok() {
            let (epoch, attempt, pid) = told_by(&content);
            self.seen.insert(step.to_owned(), Seen { inode, changed, epoch, pid });
            self.journal.write(Entry::new(What::Shown, step).of("-", pid).under(epoch, attempt).detail(&since));
        }
    }
}

/// Epoch, attempt and process that a marker tells; 0 where it tells none.
fn told_by(content: &[u8]) -> (u64, u32, i32) {
    let marker: serde_json::Value = serde_json::from_slice(content).unwrap_or_default();
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
    let pid = i32::try_from(number(&marker["replica"]["pid"])).unwrap_or(0);
    (number(&marker["epoch"]), u32::try_from(number(&marker["attempt"])).unwrap_or(0), pid)
}

//! Sees markers appear and go, in the order in which they do, and writes that down in the journal.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use crate::journal::{Entry, Journal, What};

/// Watches the volume's root from now on, in a thread.
pub(crate) fn watch(volume: &Path, rev: &str, steps: Vec<String>, journal: Journal) -> io::Result<()> {
    let descriptor = inotify::init(CreateFlags::CLOEXEC)?;
    let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE | WatchFlags::MOVED_FROM;
    inotify::add_watch(&descriptor, volume, flags)?;
    let watcher = Watcher { volume: volume.to_owned(), rev: rev.to_owned(), steps, journal };
    thread::spawn(move || {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = Reader::new(descriptor, &mut buffer);
        loop {
            let event = reader.next().expect("inotify can be read");
            let has_come = event.events().intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
            assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW), "the watcher keeps up");
            if let Some(name) = event.file_name().and_then(|name| name.to_str().ok()) {
                watcher.note(name, has_come);
            }
        }
    });
    Ok(())
}

struct Watcher {
    volume: PathBuf,
    rev: String,
    steps: Vec<String>,
    journal: Journal,
}

impl Watcher {
    fn note(&self, name: &str, has_come: bool) {
        let rev = &self.rev;
        if name == format!(".ready_{rev}") {
            self.journal.write(Entry::new(if has_come { What::Ready } else { What::Unready }, "-"));
        } else if name == format!(".failed_{rev}") && has_come {
            self.journal.write(Entry::new(What::Failed, "-"));
        } else if let Some(step) = self.steps.iter().find(|step| name == format!(".{step}_done_{rev}")) {
            let what = if has_come { What::Done } else { What::Undone };
            let (epoch, attempt) = if has_come { self.told_by(name) } else { (0, 0) };
            self.journal.write(Entry::new(what, step).under(epoch, attempt));
        }
    }

    /// The epoch and the attempt that a marker tells; 0 if it tells none.
    fn told_by(&self, name: &str) -> (u64, u32) {
        let content = fs::read(self.volume.join(name)).unwrap_or_default();
        let marker: serde_json::Value = serde_json::from_slice(&content).unwrap_or_default();
        let number = |key: &str| marker[key].as_u64().unwrap_or(0);
        (number("epoch"), u32::try_from(number("attempt")).unwrap_or(0))
    }
}

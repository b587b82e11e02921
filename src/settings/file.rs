//! Reads what a setting names: a file, or a pipe that ends in time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::process::boottime;
use crate::protocol::Timestamp;

/// Files of settings and plans are not longer than this. Keeps `/dev/zero` from filling the memory.
const LONGEST: u64 = 1 << 20;

/// So long whoever writes into a pipe (`--plan <(…)`) may take. Signals may be held back by now, so nothing else would end
/// the wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// The whole of it as text.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let mut text = String::new();
    let patient = Patient { file, until: boottime::now() + PATIENCE };
    let length = patient.take(LONGEST + 1).read_to_string(&mut text)?;
    if length as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is longer than 1 MiB"));
    }
    Ok(text)
}

/// Waits for what comes, and not for ever.
struct Patient {
    file: File,
    until: Timestamp,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.until.since(boottime::now());
            let limit = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&limit)) {
                Ok(0) => {
                    let text =
                        format!("has not ended within {} s; is it a pipe that nobody writes into?", PATIENCE.as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::thread;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_pipe_is_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
                writer.write_all(b"hunter").unwrap();
                // In two pieces, with nothing to be read in between.
                thread::sleep(Duration::from_millis(20));
                writer.write_all(b"2\n").unwrap();
            });
            assert_eq!(read_text(&path).unwrap(), "hunter2\n");
        });
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let error = read_text(&path).unwrap_err();
        assert_eq!(error.to_string(), "has not ended within 5 s; is it a pipe that nobody writes into?");
    }
}

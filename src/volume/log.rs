//! The last output of each step, on the volume, so that it outlives the container that ran it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Volume, VolumeError, files};
use crate::protocol::StepId;

/// A log that has grown beyond this, in bytes, moves to `.log.1`.
const LIMIT: u64 = 512 * 1024;

/// No more of the end of a log is read, in bytes.
const TAIL_LIMIT: u64 = 256 * 1024;

/// The open log of one run of a step: `.bellwether/log/<step>.log`, private.
#[derive(Debug)]
pub struct StepLog {
    volume: Volume,
    path: PathBuf,
    file: File,
    length: u64,
}

impl Volume {
    /// Where a step's log is.
    pub fn log_path(&self, step: StepId) -> PathBuf {
        self.private("log").join(format!("{}.log", self.step(step).name))
    }

    /// At most so many of the last lines of a step's log: what it said last, if its runs vanished with their leaders.
    /// Empty if there is no log, or none that can be read; whatever stands in its place, this neither hangs nor follows.
    pub fn log_tail(&self, step: StepId, lines: usize) -> Vec<String> {
        let path = self.log_path(step);
        let (content, is_cut) = match files::read_end(&path, TAIL_LIMIT) {
            Ok(found) => found.unwrap_or_default(),
            Err(error) => {
                tracing::debug!(%error, "the step's log cannot be read");
                return Vec::new();
            }
        };
        let text = String::from_utf8_lossy(&content);
        let mut all: Vec<&str> = text.lines().collect();
        if is_cut && all.len() > 1 {
            // Nobody knows how the first began.
            all.remove(0);
        }
        all[all.len().saturating_sub(lines)..].iter().map(ToString::to_string).collect()
    }

    /// Begins a new log for a new attempt; the one before stays as `.log.1`.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; not worth failing a step for.
    pub fn open_log(&self, step: StepId) -> Result<StepLog, VolumeError> {
        let path = self.log_path(step);
        let file = self.rotate(&path)?;
        Ok(StepLog { volume: self.clone(), path, file, length: 0 })
    }

    fn rotate(&self, path: &Path) -> Result<File, VolumeError> {
        let mut previous = path.as_os_str().to_owned();
        previous.push(".1");
        match fs::rename(path, &previous) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(VolumeError::io("rename", path)(error));
            }
            _ => {}
        }
        self.create(path, files::PRIVATE)
    }
}

impl StepLog {
    /// Writes one line, which the caller has masked. Not synced: an unfinished log is better than a slow step.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; not worth failing a step for.
    pub fn write_line(&mut self, line: &str) -> Result<(), VolumeError> {
        let length = line.len() as u64 + 1;
        if self.length > 0 && self.length + length > LIMIT {
            self.file = self.volume.rotate(&self.path)?;
            self.length = 0;
        }
        let text = format!("{line}\n");
        self.file.write_all(text.as_bytes()).map_err(VolumeError::io("write", &self.path))?;
        self.length += length;
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MIGRATE, Scratch, make_fifo};
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_attempt_has_a_log_and_the_one_before_is_kept() {
        let scratch = Scratch::new();
        for attempt in 1..=3 {
            let mut log = scratch.volume().open_log(MIGRATE).unwrap();
            log.write_line(&format!("attempt {attempt}")).unwrap();
            log.write_line("ends").unwrap();
            assert_eq!(log.path().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(scratch.read(".bellwether/log/migrate.log"), "attempt 3\nends\n");
        assert_eq!(scratch.read(".bellwether/log/migrate.log.1"), "attempt 2\nends\n");
        assert_eq!(scratch.names(".bellwether/log"), ["migrate.log", "migrate.log.1"]);
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        let scratch = Scratch::new();
        let volume = scratch.volume();
        assert_eq!(volume.log_tail(MIGRATE, 3), [""; 0]);
        let mut log = volume.open_log(MIGRATE).unwrap();
        for number in 0..5 {
            log.write_line(&format!("line {number}")).unwrap();
        }
        assert_eq!(volume.log_tail(MIGRATE, 2), ["line 3", "line 4"]);
        assert_eq!(volume.log_tail(MIGRATE, 9).len(), 5);
        assert_eq!(volume.log_tail(MIGRATE, 0), [""; 0]);
    }

    #[test]
    fn of_a_long_log_only_the_end_is_read() {
        let scratch = Scratch::new();
        let line = "x".repeat(1023) + "\n";
        scratch.write(".bellwether/log/migrate.log", &(line.repeat(1000) + "cut off"));
        let tail = scratch.volume().log_tail(MIGRATE, usize::MAX);
        assert_eq!((tail.len(), tail.last().unwrap().as_str()), (256, "cut off"));
        assert!(tail[..255].iter().all(|line| line.len() == 1023));
    }

    #[test]
    fn what_is_no_file_in_a_logs_place_has_no_tail() {
        let scratch = Scratch::new();
        let path = scratch.path(".bellwether/log/migrate.log");
        make_fifo(&path);
        assert_eq!(scratch.volume().log_tail(MIGRATE, 3), [""; 0]);
        fs::remove_file(&path).unwrap();
        scratch.write("secret", "secret\n");
        std::os::unix::fs::symlink(scratch.path("secret"), &path).unwrap();
        assert_eq!(scratch.volume().log_tail(MIGRATE, 3), [""; 0]);
        let mut log = scratch.volume().open_log(MIGRATE).unwrap();
        log.write_line("ours").unwrap();
        assert_eq!(
            (scratch.read("secret").as_str(), scratch.volume().log_tail(MIGRATE, 3)),
            ("secret\n", vec!["ours".into()])
        );
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(scratch.volume().log_tail(MIGRATE, 3), [""; 0]);
    }

    #[test]
    fn a_log_is_bounded_and_keeps_the_latest() {
        let scratch = Scratch::new();
        let mut log = scratch.volume().open_log(MIGRATE).unwrap();
        let line = "x".repeat(1023);
        for _ in 0..1100 {
            log.write_line(&line).unwrap();
        }
        log.write_line("the end").unwrap();
        for name in [".bellwether/log/migrate.log", ".bellwether/log/migrate.log.1"] {
            assert!(scratch.path(name).metadata().unwrap().len() <= LIMIT);
        }
        assert!(scratch.read(".bellwether/log/migrate.log").ends_with("\nthe end\n"));
    }
}

//! Wall clocks that jump. What really does: in replicas, what they read through libc (the standard library's
//! `SystemTime`, so the times in logs, markers and the history), by libfaketime. Not what they read from the kernel
//! directly (the boot-time clock, on which they decide), nor the times of files, which the kernel sets. In Redis all of it,
//! so keys expire early or late; libfaketime cannot be loaded into redis-server (jemalloc asks for the time while that is
//! being set up), so a few lines of C do the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The C that moves Redis's clock.
const SOURCE: &str = include_str!("clock.c");

/// Where Debian and others put libfaketime, with threads.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

pub(crate) fn libfaketime() -> Option<&'static str> {
    LIBRARIES.into_iter().find(|path| Path::new(path).exists())
}

/// Compiles what is preloaded into Redis.
pub(crate) fn build(dir: &Path) -> Result<PathBuf, String> {
    let (source, library) = (dir.join("clock.c"), dir.join("clock.so"));
    fs::write(&source, SOURCE).map_err(|error| error.to_string())?;
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(&source);
    match command.status() {
        Ok(status) if status.success() => Ok(library),
        Ok(status) => Err(format!("cc cannot build {}: {status}", source.display())),
        Err(error) => Err(format!("cc: {error}")),
    }
}

/// The replicas' clock: a file with an offset, in words of libfaketime.
#[derive(Debug)]
pub(crate) struct Clock(PathBuf);

impl Clock {
    pub(crate) fn new(dir: &Path, name: &str) -> io::Result<Clock> {
        let clock = Clock(dir.join(format!("clock-{name}")));
        clock.jump(0)?;
        Ok(clock)
    }

    /// Moves it so many seconds away from the machine's.
    pub(crate) fn jump(&self, seconds: i64) -> io::Result<()> {
        // Renamed: it is read at any time.
        let fresh = self.0.with_extension("new");
        fs::write(&fresh, format!("{seconds:+}"))?;
        fs::rename(fresh, &self.0)
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let path = self.0.display().to_string();
        let library = libfaketime().expect("looked for at the beginning");
        [
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", &path),
            ("FAKETIME_NO_CACHE", "1"),
            // These do not jump when somebody sets the system's time.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

/// Redis's clock: a file with a number of seconds, which it has in its memory.
#[derive(Clone, Debug)]
pub(crate) struct RedisClock {
    file: PathBuf,
    library: PathBuf,
}

impl RedisClock {
    pub(crate) fn new(dir: &Path, library: &Path) -> io::Result<RedisClock> {
        let clock = RedisClock { file: dir.join("clock-redis"), library: library.to_owned() };
        fs::write(&clock.file, 0_i64.to_ne_bytes())?;
        Ok(clock)
    }

    /// In place, since it is mapped.
    pub(crate) fn jump(&self, seconds: i64) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;
        fs::OpenOptions::new().write(true).open(&self.file)?.write_all_at(&seconds.to_ne_bytes(), 0)
    }

    pub(crate) fn preload<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.library).env("CHAOS_CLOCK", &self.file)
    }
}

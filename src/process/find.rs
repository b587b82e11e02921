//! Whether a program could be executed, without executing it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::exec::HandOffError;

/// Where programs are looked for if `PATH` is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// The kernel reads no more of a script's first line, in bytes.
const LONGEST_FIRST_LINE: usize = 256;

/// Finds the file that an exec of `program` in the directory `cwd` (`None`: the current one) under this `PATH` would take.
///
/// # Errors
///
/// Why there is none, as the exec itself would have it. What only the kernel knows (another architecture) is not seen.
pub fn find_program(program: &OsStr, cwd: Option<&Path>, path: Option<&OsStr>) -> Result<PathBuf, HandOffError> {
    if program.is_empty() {
        return Err(HandOffError::empty());
    }
    let at = |place: &Path| cwd.map_or_else(|| place.to_owned(), |cwd| cwd.join(place));
    if program.as_bytes().contains(&b'/') {
        let file = at(Path::new(program));
        return match check(&file) {
            Ok(()) => Ok(file),
            Err(error) => Err(HandOffError::explain(program, cwd, &error)),
        };
    }
    let mut failure = HandOffError::explain(program, cwd, &missing());
    for directory in std::env::split_paths(path.unwrap_or_else(|| OsStr::new(DEFAULT_PATH))) {
        let file = at(&directory.join(program));
        match check(&file) {
            Ok(()) => return Ok(file),
            Err(_) if fs::symlink_metadata(&file).is_err() => {}
            // One that may be executed may come later.
            Err(error) => failure = HandOffError::explain(file.as_os_str(), cwd, &error),
        }
    }
    Err(failure)
}

fn missing() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

fn check(file: &Path) -> io::Result<()> {
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS)?;
    match interpreter(file) {
        Some(interpreter) if fs::metadata(&interpreter).is_err() => Err(missing()),
        _ => Ok(()),
    }
}

/// What a script names in its first line. One that was written on Windows names a file that ends with a carriage return.
fn interpreter(file: &Path) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(LONGEST_FIRST_LINE as u64).read_to_end(&mut bytes).ok()?;
    let line = bytes.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let word = line.split(|byte| matches!(byte, b' ' | b'\t')).find(|word| !word.is_empty())?;
    Some(PathBuf::from(OsStr::from_bytes(word)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn found(program: &str, cwd: &Path, path: &Path) -> Result<PathBuf, (i32, String)> {
        let found = find_program(OsStr::new(program), Some(cwd), Some(path.as_os_str()));
        found.map_err(|error| (error.exit().code(), error.to_string()))
    }

    #[test]
    fn what_is_found_is_what_an_exec_would_take() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, content: &str, mode: u32| {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        };
        make("bin/good", "#!/bin/sh\n", 0o755);
        make("bin/plain", "x", 0o644);
        make("bin/windows", "#!/bin/sh\r\n", 0o755);
        make("bin/orphan", "#! /no/such/interpreter -x\n", 0o755);
        let bin = dir.path().join("bin");
        let here = |program: &str| found(program, dir.path(), &bin);
        assert_eq!(here("good"), Ok(bin.join("good")));
        assert_eq!(here("bin/good"), Ok(bin.join("good")));
        for (program, code, words) in [
            ("none", 127, "not found in PATH"),
            ("./none", 127, "no such file"),
            ("plain", 126, "permission denied"),
            ("./bin", 126, "permission denied"),
            ("windows", 127, "its interpreter"),
            ("bin/orphan", 127, "its interpreter"),
        ] {
            let (seen, text) = here(program).unwrap_err();
            assert!(seen == code && text.contains(words), "{program}: {seen} {text}");
        }
        assert!(find_program(OsStr::new("sh"), None, None).is_ok());
        assert_eq!(find_program(OsStr::new(""), None, None).unwrap_err().exit().code(), 126);
    }
}

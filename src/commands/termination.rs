//! The reason of an end, where Kubernetes looks for it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// The kubelet makes this file, and shows its content with the pod's last state.
const PATH: &str = "/dev/termination-log";

/// The kubelet reads no more, in bytes.
const LIMIT: usize = 4096;

/// Writes the reason, if somebody wants to know it.
pub(super) fn write(reason: &str) {
    write_to(Path::new(PATH), reason);
}

fn write_to(path: &Path, reason: &str) {
    // Only where it exists: it is not ours to create. Nothing depends on it.
    if let Ok(mut file) = OpenOptions::new().write(true).truncate(true).open(path) {
        let end = (0..=LIMIT.min(reason.len())).rev().find(|&end| reason.is_char_boundary(end));
        let _ = file.write_all(&reason.as_bytes()[..end.unwrap_or(0)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_written_only_where_somebody_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("termination-log");
        write_to(&path, "nobody reads this");
        assert!(!path.exists());
        std::fs::write(&path, "an older and longer reason").unwrap();
        write_to(&path, "step migrate failed");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "step migrate failed");
        write_to(&path, &"é".repeat(5000));
        assert_eq!(std::fs::read_to_string(&path).unwrap().len(), LIMIT);
    }
}

//! The backups that bench keeps of a site, on the volume.

use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::call::Call;
use super::names::SiteName;

/// Where they are.
pub(super) fn directory(site_dir: &Path) -> PathBuf {
    site_dir.join("private/backups")
}

/// The dumps of the database in a directory of backups, in the order in which they were taken.
pub(super) fn dumps(directory: &Path) -> BTreeSet<(PathBuf, Option<SystemTime>)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_dump = |entry: &DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Encrypted ones are called so.
        name.ends_with("-database.sql.gz") || name.ends_with("-database-enc.sql.gz")
    };
    let written = |entry: &DirEntry| entry.metadata().and_then(|found| found.modified()).ok();
    entries.filter(is_dump).map(|entry| (entry.path(), written(&entry))).collect()
}

/// What a person types to load one. `root`: the database server's administrator.
pub(super) fn restore_call(site: &SiteName, path: &str, root: &str) -> Call {
    Call::on(site.as_str(), &["restore", path, "--force", "--db-root-username", root])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dumps_of_databases_count_as_backups() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["20261121-a-database.sql.gz", "20261120-a-database.sql.gz", "20261121-a-site_config_backup.json"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found: Vec<PathBuf> = dumps(dir.path()).into_iter().map(|(path, _)| path).collect();
        assert_eq!(found.last().unwrap(), &dir.path().join("20261121-a-database.sql.gz"));
        assert_eq!(found.len(), 2);
        assert!(dumps(Path::new("/nowhere")).is_empty());
    }
}

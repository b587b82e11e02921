//! The warm start: what is ready needs nothing but one file to be looked at.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::protocol::{OnDowngrade, Standing};
use crate::settings::Warm;
use crate::volume;

/// What a warm start comes to.
#[derive(Debug)]
pub(super) enum Start {
    /// Exec the command now.
    Now,
    /// The same, though a later revision has begun.
    Downgraded(String),
    /// A later revision has begun, and handing off is refused.
    Refused(String),
    /// Not ready, or not to be decided here: the long way.
    Cold,
}

/// The ready marker's path.
pub(super) fn marker(settings: &Warm) -> PathBuf {
    settings.volume.join(settings.rev.ready_marker())
}

/// Whether the ready marker is there. No link is followed.
pub(super) fn is_ready(settings: &Warm) -> io::Result<bool> {
    match fs::symlink_metadata(marker(settings)) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => Err(io::Error::other("something that is no regular file stands in the ready marker's place")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Decides with two small reads.
pub(super) fn look(settings: &Warm) -> Start {
    if !matches!(is_ready(settings), Ok(true)) {
        return Start::Cold;
    }
    match (volume::standing_at(&settings.volume, &settings.rev), settings.on_downgrade) {
        (Ok(Standing::New | Standing::Newest), _) | (Err(_), OnDowngrade::Warn) => Start::Now,
        // Whoever wants to be refused is not let through because nobody can tell.
        (Err(_), OnDowngrade::Refuse) => Start::Cold,
        // Going back has to be written down by a leader.
        (Ok(Standing::Older { .. }), _) if settings.allow_rollback => Start::Cold,
        (Ok(Standing::Older { newest }), OnDowngrade::Warn) => Start::Downgraded(newest.to_string()),
        (Ok(Standing::Older { newest }), OnDowngrade::Refuse) => Start::Refused(newest.to_string()),
    }
}

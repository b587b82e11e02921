//! What commands say, on its way to the log: each line masked, and told apart where several sites are worked on.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::names::SiteName;
use super::site_config::SiteConfig;
use crate::Mask;

/// Masks and prints.
pub(super) struct Echo<'a> {
    mask: &'a Mask,
    prefix: String,
    secrets: Option<Secrets>,
}

/// The secrets of a site, which may be made while we listen: a traceback prints them.
struct Secrets {
    path: PathBuf,
    seen: Mutex<(Option<SystemTime>, Mask)>,
}

impl<'a> Echo<'a> {
    /// Of no site.
    pub(super) fn new(mask: &'a Mask) -> Echo<'a> {
        Echo { mask, prefix: String::new(), secrets: None }
    }

    /// Of a site, named if there are others.
    pub(super) fn of_site(mask: &'a Mask, site_dir: &Path, site: &SiteName, is_alone: bool) -> Echo<'a> {
        let prefix = if is_alone { String::new() } else { format!("{site}: ") };
        let path = SiteConfig::path(site_dir);
        Echo { mask, prefix, secrets: Some(Secrets { path, seen: Mutex::new((None, mask.clone())) }) }
    }

    /// A line, of a command's or of ours.
    pub(super) fn note(&self, text: &str) {
        // The leader reads this; if it is gone, so are we soon.
        let _ = writeln!(std::io::stdout().lock(), "{}{}", self.prefix, self.masked(text));
    }

    /// The same text without secrets.
    pub(super) fn masked(&self, text: &str) -> String {
        let Some(Secrets { path, seen }) = &self.secrets else { return self.mask.mask(text).into_owned() };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = fs::metadata(path).and_then(|found| found.modified()).ok();
        if changed.is_some() && changed != seen.0 {
            // What is only half written by now is read again.
            if let Ok(Some(config)) = SiteConfig::read_path(path) {
                seen.0 = changed;
                config.secrets().iter().for_each(|secret| seen.1.add_secret(secret));
            }
        }
        seen.1.mask(text).into_owned()
    }
}

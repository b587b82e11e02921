//! The wall clock and the volume's own clock. No other file reads either.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
use serde::{Deserialize, Serialize};

use super::{Volume, files};

/// A moment in milliseconds since 1970 (UTC). Shown as RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The local wall clock. For people to read; nothing is decided by it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn wall_clock() -> UnixMillis {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time from now to `later`; zero if that has passed.
    #[must_use]
    pub fn until(self, later: UnixMillis) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }

    /// The moment `span` earlier.
    #[must_use]
    pub fn before(self, span: Duration) -> UnixMillis {
        UnixMillis(self.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The moment `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> UnixMillis {
        UnixMillis(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0 / 1000, self.0 % 1000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of its year, in eras of 400 years (146,097 days).
fn civil(days: u64) -> (u64, u64, u64) {
    let since_0000_march = days + 719_468;
    let (era, day_of_era) = (since_0000_march / 146_097, since_0000_march % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Sets both times of an open file to now, by the clock of whoever keeps the file. Allocates nothing.
pub(super) fn touch(file: &File) -> rustix::io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    rustix::fs::futimens(file, &Timestamps { last_access: now, last_modification: now })
}

/// A file's modification time, in nanoseconds since 1970.
pub(super) fn mtime_nanos(stat: &std::fs::Metadata) -> i128 {
    i128::from(stat.mtime()) * 1_000_000_000 + i128::from(stat.mtime_nsec())
}

/// What time it is on the volume, in nanoseconds since 1970; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct VolumeNow(i128);

impl VolumeNow {
    /// How long ago something was last touched; zero if that lies ahead.
    pub(super) fn age(self, mtime: i128) -> Duration {
        Duration::from_nanos(u64::try_from((self.0 - mtime).max(0)).unwrap_or(u64::MAX))
    }

    pub(super) fn millis(self) -> UnixMillis {
        UnixMillis(u64::try_from(self.0 / 1_000_000).unwrap_or(0))
    }
}

impl Volume {
    /// The time on the volume's own clock, which all replicas share; `None` where we cannot write (or nothing of ours
    /// is there yet). This is what a record's `not_before` is counted on.
    pub fn now(&self) -> Option<UnixMillis> {
        self.clock().map(VolumeNow::millis)
    }

    /// Touches `.bellwether/clock` and reads what time that made it.
    pub(super) fn clock(&self) -> Option<VolumeNow> {
        let path = self.private("clock");
        let file = files::open_to_write(&path).ok().flatten().or_else(|| {
            // A missing one is made, where we may.
            self.create(&path, files::PUBLIC).ok()
        })?;
        touch(&file).ok()?;
        Some(VolumeNow(mtime_nanos(&file.metadata().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Scratch;
    use super::*;

    #[test]
    fn moments_are_shown_as_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_001, "2000-03-01T00:00:00.001Z"),
            (1_703_980_800_000, "2023-12-31T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(UnixMillis(millis).to_string(), text);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(UnixMillis(5).until(UnixMillis(3)), Duration::ZERO);
        assert_eq!(UnixMillis(3).until(UnixMillis(5)), Duration::from_millis(2));
        assert_eq!(UnixMillis(3).after(Duration::MAX), UnixMillis(u64::MAX));
        assert_eq!(VolumeNow(5).age(7), Duration::ZERO);
    }

    #[test]
    fn the_volume_has_a_clock_once_it_is_prepared() {
        let bare = Scratch::bare();
        assert_eq!(bare.volume().now(), None);
        let scratch = Scratch::new();
        let first = scratch.volume().now().unwrap();
        assert!(scratch.volume().now().unwrap() >= first);
    }
}

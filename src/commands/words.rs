//! Moments, spans and tables, as people read them.

use std::iter::once;
use std::time::Duration;

use crate::volume::{GuardNote, HistoryKind, How, StepNotes, UnixMillis};

/// A span in its two largest units.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", span.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// The same, of decimal seconds.
pub(super) fn secs(secs: f64) -> String {
    span(Duration::try_from_secs_f64(secs).unwrap_or_default())
}

/// Reads a moment as our markers tell it: RFC 3339, in UTC. `None` for anything else.
pub(super) fn moment(text: &str) -> Option<UnixMillis> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (clock, millis) = time.split_once('.').unwrap_or((time, "0"));
    let numbers = |text: &str, between: char| {
        let parts: Option<Vec<u64>> = text.split(between).map(|part| part.parse().ok()).collect();
        <[u64; 3]>::try_from(parts?).ok()
    };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(clock, ':')?;
    let millis: u64 = if millis.len() <= 3 { format!("{millis:0<3}").parse().ok()? } else { return None };
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years are counted from March, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + hour.min(24) * 3600 + minute.min(60) * 60 + second.min(60);
    Some(UnixMillis(seconds * 1000 + millis))
}

/// How long ago that moment was, by the local wall clock.
pub(super) fn age(text: &str) -> Option<Duration> {
    Some(moment(text)?.until(UnixMillis::wall_clock()))
}

/// How a step came to be done.
pub(super) fn how(how: How) -> &'static str {
    match how {
        How::Ran => "ran",
        How::Checked => "checked: nothing to do",
        How::Skipped => "skipped: done by hand",
    }
}

/// What happened.
pub(super) fn event(kind: HistoryKind) -> &'static str {
    match kind {
        HistoryKind::Elected => "elected",
        HistoryKind::Started => "started",
        HistoryKind::Done => "done",
        HistoryKind::Failed => "failed",
        HistoryKind::Stopped => "stopped",
        HistoryKind::TakenOver => "taken over",
        HistoryKind::Ready => "ready",
        HistoryKind::Skipped => "skipped",
        HistoryKind::Reset => "reset",
        HistoryKind::Retried => "retried",
    }
}

/// Who took the guard.
pub(super) fn taker(note: &GuardNote) -> String {
    let GuardNote { replica, epoch, rev, since } = note;
    format!("host {} pid {}, revision {rev}, epoch {epoch}, since {since}", replica.host, replica.pid)
}

/// A table's lines, each but the heading followed by its details.
pub(super) fn with_details(lines: Vec<String>, details: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let none = once(Vec::new());
    let indent = |line: String| format!("    {line}");
    lines
        .into_iter()
        .zip(none.chain(details))
        .flat_map(|(line, more)| once(line).chain(more.into_iter().map(indent)))
        .collect()
}

/// How to undo a step, line by line.
pub(super) fn undo(notes: &StepNotes) -> impl Iterator<Item = String> {
    notes.undo.iter().map(|line| format!("undo: {line}"))
}

/// Lines with aligned columns. A column that is empty below its heading is left out.
pub(super) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().filter(|&width| width > 0);
    let columns: Vec<(usize, usize)> =
        (0..N).filter_map(|column| Some((column, width(column)?.max(heading[column].len())))).collect();
    let heading = heading.map(ToOwned::to_owned);
    let line = |row: &[String; N]| {
        let cells: Vec<String> = columns.iter().map(|&(column, width)| format!("{:<width$}", row[column])).collect();
        cells.join("  ").trim_end().to_owned()
    };
    once(&heading).chain(rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_they_are_shown() {
        for millis in [0, 951_782_399_999, 951_868_800_001, 1_703_980_800_000, 4_107_542_400_000] {
            assert_eq!(moment(&UnixMillis(millis).to_string()), Some(UnixMillis(millis)));
        }
        for nonsense in ["", "Z", "2024-05-01", "2024-13-01T00:00:00.000Z", "2024-05-01T00:00Z", "x-y-zT0:0:0Z"] {
            assert_eq!(moment(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn spans_are_short() {
        for (millis, text) in [
            (0, "0.0s"),
            (9_940, "9.9s"),
            (42_000, "42s"),
            (130_000, "2m10s"),
            (11_100_000, "3h05m"),
            (183_600_000, "2d03h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let rows = [["a", "", "x"], ["long", "", ""]].map(|row| row.map(ToOwned::to_owned));
        assert_eq!(table(["N", "EMPTY", "NOTE"], &rows), ["N     NOTE", "a     x", "long"]);
    }
}

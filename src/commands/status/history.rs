//! `status --history`: what happened on the volume, of every revision.

use super::{EVERY, Show, emit, volume};
use crate::commands::words;
use crate::settings::Glance;
use crate::volume::{HistoryEvent, VolumeError};

const HEADING: [&str; 7] = ["TIME", "REVISION", "EPOCH", "HOST", "EVENT", "STEP", "DETAILS"];

pub(super) fn show(glance: &Glance, show: Show) -> Result<(), VolumeError> {
    let mut last: Option<HistoryEvent> = None;
    let mut is_first = true;
    loop {
        let events = volume(glance)?.history()?;
        // The file is cut now and then; what comes after the last event that we showed is new.
        let known = last.as_ref().and_then(|last| events.iter().rposition(|event| event == last));
        let new = &events[known.map_or(0, |known| known + 1)..];
        let text = if show.json { json(new, show.watch) } else { timeline(new, is_first) };
        if !show.watch {
            emit(&text);
            return Ok(());
        }
        if !new.is_empty() && !emit(&text) {
            return Ok(());
        }
        is_first = is_first && new.is_empty();
        last = events.last().cloned().or(last);
        std::thread::sleep(EVERY);
    }
}

/// An array; of a stream, one object a line.
fn json(events: &[HistoryEvent], is_stream: bool) -> String {
    if is_stream {
        let lines: Vec<String> = events.iter().filter_map(|event| serde_json::to_string(event).ok()).collect();
        lines.join("\n")
    } else {
        serde_json::to_string_pretty(events).unwrap_or_default()
    }
}

fn timeline(events: &[HistoryEvent], has_heading: bool) -> String {
    if events.is_empty() {
        return "nothing has happened here yet".to_owned();
    }
    let rows: Vec<[String; 7]> = events.iter().map(row).collect();
    let undo = events.iter().map(|event| words::undo(&event.notes).collect());
    let lines = words::with_details(words::table(HEADING, &rows), undo);
    lines[usize::from(!has_heading)..].join("\n")
}

fn row(event: &HistoryEvent) -> [String; 7] {
    let HistoryEvent { time, event, rev, epoch, host, step, details, .. } = event;
    [
        time.clone(),
        rev.clone(),
        epoch.to_string(),
        host.clone(),
        words::event(*event).to_owned(),
        step.clone().unwrap_or_default(),
        details.clone().unwrap_or_default(),
    ]
}

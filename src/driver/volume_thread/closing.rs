//! The end of a run, on the volume: committed, given back, or told of in the failed marker.

use tracing::{debug, warn};

use super::Clerk;
use crate::driver::journal::LAST_LINES;
use crate::driver::message::Message;
use crate::driver::report::RunReport;
use crate::protocol::{Closing, ClosingEnd, Event, Fault, StepEnd, StepId};
use crate::volume::{DoneFacts, End, Failure, HistoryKind, How, Record, StepNotes, UnixMillis, VolumeError};

impl Clerk {
    pub(super) fn commit(&mut self, step: StepId, report: &RunReport) -> Result<Message, VolumeError> {
        let volume = &self.office.volume;
        let notes = self.notes(step);
        let Some(held) = self.held.get_mut(&step) else { return Ok(Message::Machine(Event::CommitLost(step))) };
        let how = if report.checked { How::Checked } else { How::Ran };
        let duration_ms = report.duration_ms();
        let done = DoneFacts { finished_at: UnixMillis::wall_clock(), duration_ms, how, notes };
        if !volume.commit(held, &done)? {
            self.held.remove(&step);
            return Ok(Message::Machine(Event::CommitLost(step)));
        }
        self.held.remove(&step);
        let details = format!("after {:.1} s", report.duration.as_secs_f64());
        volume.note_end(HistoryKind::Done, self.epoch, Some(step), Some(&details), &done.notes);
        Ok(Message::Machine(Event::Committed(step)))
    }

    pub(super) fn retract(
        &mut self,
        step: StepId,
        closing: &Closing,
        report: Option<&RunReport>,
    ) -> Result<Message, VolumeError> {
        let volume = &self.office.volume;
        if let Some(end) = closing.end {
            let for_good = end == ClosingEnd::Own(StepEnd::FOR_GOOD);
            let end = record_end(end);
            let not_before = volume.now().filter(|_| !closing.wait.is_zero()).map(|now| now.after(closing.wait));
            let record = Record {
                for_good,
                not_before,
                duration_ms: report.map(RunReport::duration_ms),
                started_at: report.map(|report| report.started_at),
                ..self.record(closing.attempts, closing.deferred, Some(end))
            };
            match volume.write_record(step, &record) {
                // On a full disk a stopped leader's claim must not stay in the way; giving it back makes room, too.
                Err(error) if end == End::Stopped && error.fault() == Fault::Full => {
                    self.give_back(step)?;
                    if let Err(error) = volume.write_record(step, &record) {
                        warn!(%error, "the attempt that was stopped stays counted");
                    }
                }
                written => written?,
            }
            let words = report.map_or_else(|| "stopped before it began".to_owned(), RunReport::words);
            if end == End::Stopped {
                volume.note(HistoryKind::Stopped, self.epoch, Some(step), Some(&words));
            } else {
                volume.note_end(HistoryKind::Failed, self.epoch, Some(step), Some(&words), &self.notes(step));
            }
        }
        self.give_back(step)?;
        self.held.remove(&step);
        Ok(Message::Machine(Event::Retracted(step)))
    }

    /// May be called again.
    fn give_back(&self, step: StepId) -> Result<(), VolumeError> {
        self.held.get(&step).map_or(Ok(()), |held| self.office.volume.retract(held))
    }

    /// A step whose runs all vanished with their leaders has left its last words in its log only.
    pub(super) fn write_failed(&mut self, step: StepId, mut failure: Failure) -> Result<Message, VolumeError> {
        if failure.end.is_empty() {
            failure.end = self.last_end(step);
        }
        if failure.lines.is_empty() {
            failure.lines = self.office.volume.log_tail(step, LAST_LINES);
        }
        failure.notes = self.notes(step);
        self.office.volume.write_failed(self.epoch, &failure)?;
        Ok(Message::Machine(Event::FailedWritten))
    }

    /// What a step has told of itself, masked.
    fn notes(&self, step: StepId) -> StepNotes {
        let (notes, problems) = self.office.volume.read_notes(step, &|text| self.office.mask.mask(text).into_owned());
        if !problems.is_empty() {
            debug!(problems = problems.join("; "), "not all that a step tells of itself is understood");
        }
        notes
    }

    /// How the last run of a step ended that was another leader's, as its record tells.
    fn last_end(&self, step: StepId) -> String {
        let record = self.office.volume.read_record(step).ok().flatten();
        match record.and_then(|record| record.last_end) {
            None | Some(End::Open) => "its leader vanished with it, each time".to_owned(),
            Some(end) => end.words(),
        }
    }
}

fn record_end(end: ClosingEnd) -> End {
    match end {
        ClosingEnd::TimedOut => End::TimedOut,
        ClosingEnd::Own(StepEnd::Stopped) => End::Stopped,
        ClosingEnd::Own(StepEnd::NOT_YET) => End::NotYet,
        ClosingEnd::Own(StepEnd::Exit(code)) => End::Exit(code),
        ClosingEnd::Own(StepEnd::Signal(signal)) => End::Signal(signal),
        ClosingEnd::Own(StepEnd::Vanished) => End::Vanished,
    }
}

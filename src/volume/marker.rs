//! What is written in a marker (and in a claim): one line of JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Replica, StepNotes, Volume};
use crate::protocol::Epoch;

/// The version of everything we write as JSON.
pub const SCHEMA: u32 = 1;

/// No more of a marker is ever read, in bytes.
pub(super) const MARKER_LIMIT: u64 = 64 * 1024;

/// A promise to beat less often than this is not believed: it would put off every takeover.
const LONGEST_BEAT: Duration = Duration::from_secs(600);

/// How a step came to be done.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It was run and succeeded.
    Ran,
    /// Its check said that nothing was to be done.
    Checked,
    /// A person said that it was done by hand.
    Skipped,
}

/// The content of an in-progress, done or ready marker. What a kind of marker does not have is left out.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Marker {
    /// [`SCHEMA`] of whoever wrote it.
    pub schema: u32,
    /// The step's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The revision.
    #[serde(default)]
    pub rev: String,
    /// The leadership it was written in.
    #[serde(default)]
    pub epoch: u64,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<Replica>,
    /// In progress and done: the number of the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// In progress and done: when that began, by its writer's wall clock (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// In progress: how often its writer promised to beat; decimal seconds in the file.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds")]
    pub beat_every: Option<Duration>,
    /// In progress: the word of the done marker it is to become, for replicas whose plan has no such step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// Done and ready: when, by its writer's wall clock (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// Done: how long the last run took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Done: how that came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<How>,
    /// Ready: the digest of the plan that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Done: what the step has told of itself.
    #[serde(flatten, skip_serializing_if = "StepNotes::is_empty")]
    pub notes: StepNotes,
}

impl Marker {
    /// Reads a marker's content. `Err` says, for people, why it counts only by its existence and modification time.
    pub(super) fn parse(content: &[u8]) -> Result<Marker, &'static str> {
        if content.trim_ascii().is_empty() {
            return Err("is empty");
        }
        let text = std::str::from_utf8(content).map_err(|_| "is not text")?;
        serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => "is cut off",
            _ => "is not a marker of ours",
        })
    }

    /// The line that is written.
    pub(super) fn line(&self) -> Vec<u8> {
        line(self)
    }

    /// How often its writer beats, as far as that is believed.
    pub(super) fn promise(&self) -> Option<Duration> {
        self.beat_every.map(|every| every.min(LONGEST_BEAT))
    }

    pub(super) fn is_of(&self, epoch: Epoch) -> bool {
        self.epoch == epoch.0
    }
}

impl Volume {
    /// A marker of ours with what every kind has.
    pub(super) fn blank_marker(&self, epoch: Epoch) -> Marker {
        Marker {
            schema: SCHEMA,
            rev: self.revision().to_string(),
            epoch: epoch.0,
            replica: Some(self.replica().clone()),
            ..Marker::default()
        }
    }
}

/// One line of JSON.
pub(super) fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("our types have only text keys and finite numbers");
    line.push(b'\n');
    line
}

/// Durations as decimal seconds; nonsense reads as "not said".
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(span) => to.serialize_f64(span.as_secs_f64()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_as_it_was_written_and_is_one_line() {
        let marker = Marker {
            schema: SCHEMA,
            step: Some("migrate".to_owned()),
            rev: "v1".to_owned(),
            epoch: 7,
            attempt: Some(2),
            beat_every: Some(Duration::from_millis(3333)),
            how: Some(How::Checked),
            ..Marker::default()
        };
        let line = marker.line();
        assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
        assert_eq!(Marker::parse(&line), Ok(marker));
        let text = String::from_utf8(line).unwrap();
        assert!(text.contains(r#""beat_every":3.333"#) && text.contains(r#""how":"checked""#), "{text}");
    }

    #[test]
    fn what_is_no_marker_says_why() {
        let cut = &br#"{"schema":1,"step":"mig"#[..];
        for (content, problem) in [
            (&b""[..], "is empty"),
            (b" \n", "is empty"),
            (cut, "is cut off"),
            (b"2024-05-01 10:00:00", "is not a marker of ours"),
            (b"20240501", "is not a marker of ours"),
            (b"{}", "is not a marker of ours"),
            (b"\xff\xfe", "is not text"),
        ] {
            assert_eq!(Marker::parse(content), Err(problem), "{content:?}");
        }
    }

    #[test]
    fn unknown_and_missing_keys_do_not_matter_and_promises_are_bounded() {
        let marker = Marker::parse(br#"{"schema":9,"rev":"v1","beat_every":1e9,"colour":"red"}"#).unwrap();
        assert_eq!((marker.rev.as_str(), marker.promise()), ("v1", Some(LONGEST_BEAT)));
        for nonsense in ["-1", "1e300", "null"] {
            let text = format!(r#"{{"schema":1,"beat_every":{nonsense}}}"#);
            assert_eq!(Marker::parse(text.as_bytes()).unwrap().promise(), None, "{nonsense}");
        }
    }
}

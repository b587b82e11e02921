//! What a replica's log says.

use serde::Deserialize;
use serde_json::Value;

/// One line of a replica's log, as far as anybody here asks.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct LogLine {
    pub(super) level: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    step: Option<String>,
    #[serde(default)]
    pid: Option<i32>,
    #[serde(default)]
    epoch: Option<String>,
    #[serde(default)]
    from_epoch: Option<String>,
    #[serde(default)]
    took_ms: Option<Value>,
}

/// What a line tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Told<'a> {
    Follower,
    Leader(u64),
    TakesOver {
        step: &'a str,
        from: &'a str,
    },
    Started {
        step: &'a str,
        pid: i32,
    },
    Output {
        step: &'a str,
        text: &'a str,
    },
    Ended {
        step: &'a str,
        how: &'a str,
    },
    DoneAlready {
        step: &'a str,
    },
    HandsOff,
    /// A warning or an error about something else.
    Warning(&'a str),
    /// Nothing that belongs to the story.
    Aside,
}

impl LogLine {
    pub(super) fn told(&self) -> Told<'_> {
        let message = self.message.as_str();
        let step = self.step.as_deref();
        match (message.split(':').next().unwrap_or_default(), step) {
            ("FOLLOWER", _) => Told::Follower,
            ("LEADER", _) => Told::Leader(self.epoch.as_deref().and_then(|epoch| epoch.parse().ok()).unwrap_or(0)),
            ("ready", None) => Told::HandsOff,
            ("step is done already", Some(step)) => Told::DoneAlready { step },
            (_, Some(step)) if self.from_epoch.is_some() => {
                Told::TakesOver { step, from: self.from_epoch.as_deref().unwrap_or_default() }
            }
            (_, Some(step)) if self.took_ms.is_some() => {
                Told::Ended { step, how: message.strip_prefix("step ended: ").unwrap_or(message) }
            }
            (_, Some(step)) => match self.pid {
                Some(pid) => Told::Started { step, pid },
                None if self.level == "INFO" => Told::Output { step, text: message },
                None => Told::Warning(message),
            },
            _ if self.level == "WARN" || self.level == "ERROR" => Told::Warning(message),
            _ => Told::Aside,
        }
    }
}

/// Of `2 of 4 tables converted`: whether that is half of it.
pub(super) fn is_half_way(text: &str) -> bool {
    let mut words = text.split(' ');
    let mut number = || words.find_map(|word| word.parse::<u32>().ok());
    matches!((number(), number()), (Some(piece), Some(pieces)) if piece * 2 >= pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> LogLine {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn lines_are_understood() {
        let leader = line(r#"{"level":"INFO","message":"LEADER: doing the work","rev":"r","epoch":"7"}"#);
        assert_eq!(leader.told(), Told::Leader(7));
        let over = line(r#"{"level":"WARN","message":"taking over","step":"migrate","from_epoch":"1"}"#);
        assert_eq!(over.told(), Told::TakesOver { step: "migrate", from: "1" });
        let ended = line(r#"{"level":"INFO","message":"step ended: exit 0 after 0.3 s","step":"x","took_ms":300}"#);
        assert_eq!(ended.told(), Told::Ended { step: "x", how: "exit 0 after 0.3 s" });
        let output = line(r#"{"level":"INFO","message":"2 of 4 tables converted","step":"x"}"#);
        assert_eq!(output.told(), Told::Output { step: "x", text: "2 of 4 tables converted" });
        assert_eq!(line(r#"{"level":"WARN","message":"no Redis"}"#).told(), Told::Warning("no Redis"));
        assert_eq!(line(r#"{"level":"INFO","message":"no Redis"}"#).told(), Told::Aside);
    }

    #[test]
    fn half_is_half_or_more() {
        assert_eq!(["1 of 4 x", "2 of 4 x", "3 of 4 x", "x", ""].map(is_half_way), [false, true, true, false, false]);
    }
}

//! What a look at one thing came to: well, doubtful or bad, and the repair.

use serde::Serialize;

use crate::exit::Exit;

/// How it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Health {
    Ok,
    /// Replicas start all the same.
    Warn,
    /// Replicas do not start, or do not come to serve.
    Fail,
}

/// One line of `bellwether doctor`, with its repair. Its keys in JSON are `what`, `state`, `seen` and `repair`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    pub(crate) what: String,
    pub(crate) state: Health,
    pub(crate) seen: String,
    /// `null`: there is nothing to repair.
    pub(crate) repair: Option<String>,
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl Finding {
    /// It is as it should be. `what` was looked at, and this was `seen`, both as lower-case fragments.
    pub fn ok(what: &str, seen: impl Into<String>) -> Finding {
        Finding { what: what.to_owned(), state: Health::Ok, seen: seen.into(), repair: None, exit: Exit::Ok }
    }

    /// Replicas start in spite of it. `repair`: a command, or the setting to change.
    pub fn warn(what: &str, seen: impl Into<String>, repair: impl Into<String>) -> Finding {
        let repair = Some(repair.into());
        Finding { what: what.to_owned(), state: Health::Warn, seen: seen.into(), repair, exit: Exit::Ok }
    }

    /// It keeps replicas from serving; they end with `exit`.
    pub fn fail(what: &str, seen: impl Into<String>, repair: impl Into<String>, exit: Exit) -> Finding {
        let repair = Some(repair.into());
        Finding { what: what.to_owned(), state: Health::Fail, seen: seen.into(), repair, exit }
    }

    /// The same, of a message that says what is wrong and, behind the first semicolon, the repair; `otherwise` it is this.
    pub fn of_message(what: &str, message: &str, otherwise: &str, exit: Exit) -> Finding {
        let (seen, repair) = message.split_once("; ").unwrap_or((message, otherwise));
        Finding::fail(what, seen, repair, exit)
    }

    /// The same as a warning.
    #[must_use]
    pub fn as_warning(self) -> Finding {
        if self.state == Health::Ok { self } else { Finding { state: Health::Warn, exit: Exit::Ok, ..self } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_holds_what_was_seen_and_the_repair() {
        let of = |message| Finding::of_message("Redis", message, "look at it", Exit::Unavailable);
        assert_eq!(
            of("nobody listens; is it up? look"),
            Finding::fail("Redis", "nobody listens", "is it up? look", Exit::Unavailable)
        );
        assert_eq!(of("it is odd").as_warning(), Finding::warn("Redis", "it is odd", "look at it"));
        assert_eq!(Finding::ok("Redis", "it is well").as_warning().state, Health::Ok);
        let json = serde_json::to_string(&Finding::ok("Redis", "it is well")).unwrap();
        assert_eq!(json, r#"{"what":"Redis","state":"ok","seen":"it is well","repair":null}"#);
    }
}

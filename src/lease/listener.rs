//! Hearing announcements, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::connection::subscribe;
use super::requests::Answers;
use super::{Answer, Failure, FailureClass, Server, channel};

/// The longest subscribing may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Pause after the first try that failed; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Hears announcements and asks for nothing: for a replica that never leads. Ends when it is dropped.
#[derive(Debug)]
pub struct Listener {
    _task: JoinSet<()>,
}

impl Listener {
    /// Starts a task in the current tokio runtime, which needs I/O and time. Only [`Answer::Announced`] and
    /// [`Answer::Deaf`] are told. `token` is this replica's; it spreads the moments at which many try again.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub fn start(
        server: Server,
        scope: String,
        token: Uuid,
        answers: impl Fn(Answer) + Send + Sync + 'static,
    ) -> Listener {
        let mut task = JoinSet::new();
        task.spawn(listen(server, scope, token, Arc::new(answers)));
        Listener { _task: task }
    }
}

/// Subscribes, again and again.
pub(super) async fn listen(server: Server, scope: String, token: Uuid, answers: Answers) {
    let channel = channel(&scope);
    let mut pause = FIRST_PAUSE;
    loop {
        let subscribed = timeout(LIMIT, subscribe(&server, &channel, LIMIT)).await;
        let failure = match subscribed.unwrap_or_else(|_| Err(Failure::timeout(&server, LIMIT))) {
            Ok(mut messages) => {
                pause = FIRST_PAUSE;
                // Whatever was announced until now, nobody has heard.
                answers(Answer::Announced);
                let own = token.to_string();
                while let Some(message) = messages.next().await {
                    // Our own announcements tell us nothing.
                    if message.get_payload_bytes() != own.as_bytes() {
                        answers(Answer::Announced);
                    }
                }
                Failure::new(FailureClass::Closed, &server, "")
            }
            Err(failure) => failure,
        };
        answers(Answer::Deaf(failure));
        sleep(spread(pause, token)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Up to a fifth longer, so that not all replicas come back at the same moment.
fn spread(pause: Duration, token: Uuid) -> Duration {
    pause + pause * u32::from(token.as_bytes()[15]) / (5 * 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spread_by_the_token() {
        let second = Duration::from_secs(1);
        assert_eq!(spread(second, Uuid::nil()), second);
        assert_eq!(spread(second, Uuid::max()), second * 6 / 5);
    }
}

//! The lease of a repair: asked for once, and given back at the end.

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::unbounded_channel;
use uuid::Uuid;

use crate::commands::brief::Refusal;
use crate::exit::Exit;
use crate::lease::{Answer, Holder, LeaseClient, LeaseSetup};
use crate::protocol::Election;
use crate::settings::Settings;
use crate::volume::Volume;

/// The lease, until it is dropped. It is not renewed: a repair takes a moment, and the lease ends by itself if it does
/// not.
#[derive(Debug)]
pub(super) struct HeldLease {
    client: Option<LeaseClient>,
    runtime: Runtime,
}

/// Takes the lease if it is free; `None` where none elects. `id` is the volume's.
pub(super) fn take(
    settings: &Settings,
    volume: &Volume,
    election: &Election,
    id: Uuid,
) -> Result<Option<HeldLease>, Refusal> {
    let (Some(redis), Election::Lease(times)) = (&settings.redis, election) else { return Ok(None) };
    let replica = volume.replica();
    let holder = Holder {
        token: replica.id,
        host: replica.host.clone(),
        pid: replica.pid,
        rev: volume.revision().to_string(),
        epoch: None,
    };
    let setup = LeaseSetup {
        server: redis.server.clone(),
        scope: redis.scope.as_ref().map_or_else(|| id.to_string(), ToString::to_string),
        holder,
        ttl: times.ttl(),
        request_limit: times.request_limit(),
    };
    let unavailable = |reason| Refusal { exit: Exit::Unavailable, reason };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| unavailable(format!("cannot begin to ask Redis: {error}")))?;
    let (told, mut answers) = unbounded_channel();
    let (client, answer) = runtime.block_on(async {
        let client = LeaseClient::start(setup, move |answer| drop(told.send(answer)));
        client.acquire();
        loop {
            match answers.recv().await.expect("the client keeps the other end") {
                Answer::Announced | Answer::Deaf(_) => {}
                answer => return (client, answer),
            }
        }
    });
    if let Answer::Denied { holder, .. } = answer {
        let taker = holder.map_or_else(|| "somebody".to_owned(), |holder| holder.to_string());
        let reason = format!(
            "the lease is held by {taker}; nothing was touched. Stop that replica, or wait until it is through"
        );
        return Err(Refusal { exit: Exit::TryLater, reason });
    }
    // If there was no answer, the request may be carried out yet: giving the lease back is tried in any case.
    let held = HeldLease { client: Some(client), runtime };
    match answer {
        Answer::Unreachable(failure) => Err(unavailable(format!("{failure}; nothing was touched"))),
        _ => Ok(Some(held)),
    }
}

impl Drop for HeldLease {
    /// Gives the lease back and announces that there is something to look at.
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            client.release();
            self.runtime.block_on(client.finish());
        }
    }
}

//! Who elects: a lease in a Redis server that each stack has for itself.

use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::redis_server::RedisServer;

/// Long enough for a machine that has other things to do, and short enough to wait for: a killed leader's lease delays
/// its successor by this at the most.
const TTL_SECS: &str = "3";

pub(crate) struct Election(pub(crate) RedisServer);

impl Election {
    /// How often a patient test sees a waiting replica open the volume: a look is due every five seconds.
    pub(crate) const LOOKS: usize = 2;

    pub(crate) fn start() -> Election {
        // Reached by its socket alone: nobody else can take its address while it is down.
        let server = RedisServer::start_with(&["--port", "0", "--unixsocketperm", "777"]);
        // Replicas may run as somebody else.
        let directory = server.socket().parent().unwrap().to_owned();
        fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
        Election(server)
    }

    /// What every replica is told.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let url = format!("unix://{}", self.0.socket().display());
        vec![("BELLWETHER_REDIS_URL", url), ("LOCK_RENEW_TTL_SECS", TTL_SECS.to_owned())]
    }
}

impl fmt::Debug for Election {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Election({})", self.0.url())
    }
}

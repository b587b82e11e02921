//! The sentence that a [`Failure`] is.

use std::fmt;
use std::time::Duration;

use super::{Failure, FailureClass, Server};

/// Longer messages of a server are cut off.
const LONGEST_DETAIL: usize = 200;
/// A request that may take no longer than this is short for a network with some way to go.
const SHORT_LIMIT: Duration = Duration::from_millis(500);

impl Failure {
    /// A failure of that class. `detail` is what the server or the system said, as it said it.
    pub(super) fn new(class: FailureClass, server: &Server, detail: &str) -> Failure {
        let detail = cleaned(server, detail);
        let said = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
        let text = format!("{}{said}; {}", what(class, server), Advice { class, server });
        Failure { class, text }
    }

    /// Nothing was answered within `limit`.
    pub(super) fn timeout(server: &Server, limit: Duration) -> Failure {
        let within = format!("within {} s", limit.as_secs_f64());
        // A twelfth of the lease, which is three quarters of the silence.
        let hint = "; is that too short for this network? a longer LOCK_RENEW_TTL_SECS or STEP_STALE_SECS allows more";
        let hint = if limit < SHORT_LIMIT { hint } else { "" };
        let Failure { class, text } = Failure::new(FailureClass::Timeout, server, &within);
        Failure { class, text: text + hint }
    }

    /// The lease's key has no end.
    pub(super) fn endless(server: &Server, key: &str) -> Failure {
        Failure::new(FailureClass::ForeignKey, server, &format!("{key} never expires"))
    }
}

/// One line of bounded length without the password, even if the server repeats it.
fn cleaned(server: &Server, detail: &str) -> String {
    let mut mask = crate::settings::Mask::new();
    mask.add_secret(server.password().unwrap_or_default());
    let masked = mask.mask(detail.trim());
    masked.chars().take(LONGEST_DETAIL).map(|char| if char.is_control() { ' ' } else { char }).collect()
}

fn what(class: FailureClass, server: &Server) -> String {
    match class {
        FailureClass::Refused => format!("nobody listens at {server}"),
        FailureClass::UnknownHost => format!("the host of {server} is not known"),
        FailureClass::Unreachable => format!("there is no way to {server}"),
        FailureClass::Timeout => format!("{server} does not answer"),
        FailureClass::Closed => format!("{server} has closed the connection"),
        FailureClass::NoSocket => format!("the socket {server} cannot be opened"),
        FailureClass::NotRedis => format!("{server} does not speak Redis in clear"),
        FailureClass::AuthRequired => format!("{server} wants a password"),
        FailureClass::WrongPassword => format!("{server} refuses this user or password"),
        FailureClass::NoPasswordSet => format!("{server} has no password, and refuses ours"),
        FailureClass::Protected => format!("{server} listens to its own machine only"),
        FailureClass::NotPermitted => format!("{server} does not permit what the lease needs"),
        FailureClass::NoSuchDatabase => format!("{server} has no such database"),
        FailureClass::Replica => format!("{server} is a replica, which cannot be written"),
        FailureClass::MasterDown => format!("{server} is a replica that has lost its primary"),
        FailureClass::Cluster => format!("{server} belongs to a Redis Cluster, which is not in this version"),
        FailureClass::Loading => format!("{server} is still reading its data"),
        FailureClass::Busy => format!("{server} is busy with somebody's script"),
        FailureClass::OutOfMemory => format!("{server} has no memory left"),
        FailureClass::TooManyClients => format!("{server} has no connection left"),
        FailureClass::PersistenceBroken => format!("{server} cannot save, and so refuses to write"),
        FailureClass::ForeignKey => format!("something foreign stands in a key of ours at {server}"),
        FailureClass::Other => format!("{server} cannot be used"),
    }
}

/// What to do about it.
struct Advice<'a> {
    class: FailureClass,
    server: &'a Server,
}

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.server.origin;
        let place = &origin.place;
        match self.class {
            FailureClass::Refused => write!(f, "is it running? look at {place}"),
            FailureClass::UnknownHost => write!(f, "look at {place}, and at the networks of this container"),
            FailureClass::Unreachable | FailureClass::Timeout => {
                write!(f, "look at {place}, at its load, and for a firewall on the way")
            }
            FailureClass::NoSocket => write!(f, "look at {place}, and at the socket's owner and mode"),
            FailureClass::NotRedis => {
                write!(
                    f,
                    "does it want TLS, or is it another server's port, or a proxy's without a Redis? look at {place}"
                )
            }
            FailureClass::AuthRequired => write!(f, "put it into {}", origin.password),
            FailureClass::WrongPassword if origin.user == origin.password => write!(f, "look at {}", origin.password),
            FailureClass::WrongPassword => write!(f, "look at {} and {}", origin.user, origin.password),
            FailureClass::NoPasswordSet => write!(f, "remove it from {}, or set it there", origin.password),
            FailureClass::Protected => f.write_str("set a password there, or protected-mode to no"),
            FailureClass::NotPermitted => f.write_str(ACL),
            FailureClass::NoSuchDatabase => write!(f, "look at {}", origin.db),
            FailureClass::Replica | FailureClass::MasterDown | FailureClass::Cluster => {
                write!(f, "name the primary in {place}")
            }
            FailureClass::Loading => f.write_str("it will be ready by itself"),
            FailureClass::Busy => f.write_str("SCRIPT KILL there ends the script"),
            FailureClass::OutOfMemory => write!(f, "raise its maxmemory, or name another in {place}"),
            FailureClass::TooManyClients => f.write_str("raise its maxclients"),
            FailureClass::PersistenceBroken => f.write_str("look at its log and its disk"),
            FailureClass::ForeignKey => f.write_str("look at it with redis-cli, and remove it if nobody needs it"),
            FailureClass::Closed | FailureClass::Other => write!(f, "look at its log, and at {place}"),
        }
    }
}

/// The commands of the scripts, and around them.
const ACL: &str = "its user needs ~bellwether:* &bellwether:* +eval +evalsha +get +set +pttl +pexpire +del +publish \
                   +subscribe +select";

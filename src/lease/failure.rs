//! Why Redis could not be used, and what to look at.

/// What kind of trouble it is: the same class needs the same repair.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum FailureClass {
    /// Nobody listens there.
    Refused,
    /// The host's name cannot be resolved.
    UnknownHost,
    /// There is no way there.
    Unreachable,
    /// No answer within the limit.
    Timeout,
    /// The connection was closed.
    Closed,
    /// There is no such socket, or it may not be opened.
    NoSocket,
    /// The port speaks something else than Redis in clear.
    NotRedis,
    /// The server wants a password.
    AuthRequired,
    /// The server refuses the user or the password.
    WrongPassword,
    /// The server has no password, and refuses to be given one.
    NoPasswordSet,
    /// The server listens to its own machine only (protected mode).
    Protected,
    /// The user may not use a command, a key or the channel, or the server does not know the command.
    NotPermitted,
    /// There is no database of that number.
    NoSuchDatabase,
    /// It is a replica, which cannot be written.
    Replica,
    /// It is a replica that has lost its primary.
    MasterDown,
    /// It belongs to a Redis Cluster.
    Cluster,
    /// It is still reading its data.
    Loading,
    /// A script is running there and does not end.
    Busy,
    /// It has no memory left to write with.
    OutOfMemory,
    /// It has no connection left.
    TooManyClients,
    /// It refuses to write since it cannot save.
    PersistenceBroken,
    /// Something stands in a key of ours that is none of ours.
    ForeignKey,
    /// Anything else.
    Other,
}

/// Why Redis could not be used. `Display`: one sentence that says what happened, where, and which setting to look at.
/// Holds no secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What kind of trouble it is.
    pub class: FailureClass,
    pub(super) text: String,
}

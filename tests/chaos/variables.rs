//! The environment variables by which the programs of a round know of it.

pub(crate) const JOURNAL: &str = "CHAOS_JOURNAL";
/// One life of one replica, and of all that it starts.
pub(crate) const LIFE: &str = "CHAOS_LIFE";
/// The ready marker's path.
pub(crate) const READY: &str = "CHAOS_READY";
/// The password of Redis.
pub(crate) const SECRET: &str = "CHAOS_SECRET";

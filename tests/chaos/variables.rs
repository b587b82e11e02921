//! The environment variables by which the programs of a round know of it.

pub(crate) const JOURNAL: &str = "CHAOS_JOURNAL";
/// One life of one replica, and of all that it starts.
pub(crate) const LIFE: &str = "CHAOS_LIFE";
/// One run of one step, and all that it starts: the pid of its main process.
pub(crate) const RUN: &str = "CHAOS_RUN";
/// The ready marker's path.
pub(crate) const READY: &str = "CHAOS_READY";
/// The password of Redis.
pub(crate) const SECRET: &str = "CHAOS_SECRET";

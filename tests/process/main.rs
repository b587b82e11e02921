//! Real processes: shims and what they stop, orphans, hand-off, supervision.

mod handoff;
mod leader;
mod output;
mod reap;
mod step;
mod stop;
mod supervise;
mod util;

//! One of N identical replicas does the one-off work of a release; the others wait; then all serve.
//!
//! N containers share one volume and start with the same entrypoint, `bellwether run -- COMMAND`. Exactly one becomes
//! the leader and runs the steps of a plan (migrate the database, build assets …); the others follow. When every step of
//! the revision is done, each replica replaces itself with its command. If the leader dies, another takes over.
//!
//! # Guarantees
//!
//! On a volume whose locks work between the replicas:
//!
//! - At most one leader's steps run at any moment; no step overlaps itself or a predecessor, however long a process is
//!   paused and however clocks jump.
//! - `.ready_<rev>` exists only when every step of `<rev>` is done, and once announced it survives power loss.
//! - A done marker is written only by the holder of the step's newest claim, after its process succeeded and all its
//!   descendants are gone.
//! - Nobody is told to serve before ready; the binary execs no command earlier, unless asked to (`--no-wait`).
//! - A beating step is never taken over, however long it runs.
//! - A stopped leader leaves nothing in the way: its steps' whole process trees are stopped, then the in-progress markers
//!   removed, then the guard closed.
//! - Epochs only grow. Attempts are counted on the volume before each spawn, so no crash loop repeats a step for ever.
//! - What is ready starts again without a runtime, a thread or a writable volume.
//!
//! # Non-guarantees
//!
//! - A network file system that drops the locks of a client it has lost sight of can let two leaders act. The guard is
//!   proved with each beat there, which shortens that time and does not end it.
//! - A step that is killed in the middle is run again. Bellwether keeps what the step wrote into `$BELLWETHER_RECORD`; to
//!   make sense of it is the step's business.
//! - A process that leaves its session, clears its environment and outlives a shim that was killed with SIGKILL is found
//!   only where orphans come to us (the binary does this, an embedding program need not).
//! - An async step that neither awaits nor returns cannot be ended. The guard stays held for as long, so nobody overlaps; but
//!   on a volume whose locks are not trusted there is no shim that would end it at the lease's deadline.
//! - A process that an async step starts itself (`tokio::process`) is not ours: it goes on after a stop, while the next leader
//!   acts, unless the step ends it.
//! - A clone of a step's context that is leaked keeps the run, the guard and everybody waiting; no timeout ends that.
//! - A step that has failed for good is not tried again by itself: a new revision begins anew, or `bellwether retry` counts from
//!   zero, with a plan file that has steps of the same names and markers.
//! - A step in a database or service elsewhere is only as safe as that is told of epochs.
//!
#![cfg_attr(feature = "io", doc = include_str!("page/embedding.md"))]
#![cfg_attr(all(feature = "io", feature = "test-util"), doc = include_str!("page/testing.md"))]
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | [`protocol`] | the pure state machine: no clock, no randomness, no I/O |
//! | the root | the embedding API: [`protocol`]'s `Step` and `Outcome` are the machine's, those here an embedder's |
//! | `driver` | the loop between machine and world |
//! | `volume` | markers, claims, records, epochs and the guard on a real directory |
//! | `process` | shims, output, signals, hand-off; all of `unsafe` |
//! | `settings` | flags, environment and plan file, checked as a whole |
//! | `lease` | the key in Redis that says who should try to lead |
//! | `needs` | what a plan waits for before anybody leads |
//! | `commands` | what the binary does (feature `cli`) |
//! | `frappe` | the preset for Frappe (feature `frappe`) |
//! | `test_util` | rehearsals of a plan in virtual time (feature `test-util`) |
//!
//! **Stability.** The root and `test_util`, with what their signatures name, are the embedding API, which follows semantic
//! versioning; `Trust` keeps its two variants, so it may be matched on. All else in the modules is the binary's parts and may change in any minor version of 0.x.
//!
//! Features: `cli`, `redis` and `frappe` (default), `io` (implied by each) for embedding programs, `test-util` for tests of a plan, and
//! nothing: the protocol alone.

/// What the README shows of the library.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "io")]
mod bootstrap;
#[cfg(feature = "cli")]
pub mod commands;
#[cfg(feature = "io")]
pub mod driver;
#[cfg(feature = "io")]
pub mod exit;
#[cfg(feature = "io")]
mod finding;
#[cfg(feature = "frappe")]
pub mod frappe;
#[cfg(feature = "io")]
pub mod lease;
#[cfg(feature = "io")]
pub mod needs;
#[cfg(feature = "io")]
mod preset;
#[cfg(feature = "io")]
pub mod process;
pub mod protocol;
#[cfg(feature = "io")]
pub mod settings;
#[cfg(feature = "test-util")]
pub mod test_util;
#[cfg(feature = "io")]
pub mod volume;

#[cfg(feature = "io")]
pub use bootstrap::{Bootstrap, BootstrapError, Outcome, Replica, RunError, Running, Step};
#[cfg(feature = "io")]
pub use driver::{StepContext, StepError, StepRecord, StepResult, Stopper};
#[cfg(feature = "io")]
pub use finding::Finding;
#[cfg(feature = "io")]
pub use preset::{LocalBrief, Preset, PresetBrief, PresetPlan, Presets, step_command};
#[cfg(feature = "io")]
pub use process::shim::shim_if_asked;
#[cfg(feature = "io")]
pub use protocol::Trust;
#[cfg(feature = "io")]
pub use settings::{Env, Fallback, Given, Mask, Notice, Problem, Setting};

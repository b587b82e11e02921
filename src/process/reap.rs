//! One place owns all waits.
//!
//! Whoever is PID 1 or a subreaper gets other people's orphans and must reap them. `waitpid(-1)` would do that and
//! would also take the exit status of a child that somebody else is waiting for. So every child of ours stands in one
//! table, from before it can end, and is waited for by its owner alone; [`reap_orphans`] takes the others. It peeks with
//! `WNOWAIT`, which leaves the status where it is; if the first in line is a child of ours, whose owner has not come
//! yet, the kernel would show the same one again and again, so then `/proc` tells who stands behind it.

use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::signal::unix::{SignalKind, signal};

use super::{sys, tree};

static OWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
static SUBREAPER: AtomicBool = AtomicBool::new(false);

fn own() -> MutexGuard<'static, BTreeSet<i32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes this process the one that orphans below it come to.
///
/// A leader needs this to find what is left of a step whose shim was killed. From then on [`reap_orphans`] has to be
/// called after every SIGCHLD (or [`reap_continuously`] be polled), and every child has to be started with
/// [`OwnChild::spawn`]. For the binary; an embedder's process is its own.
///
/// # Errors
///
/// If the kernel refuses (before 3.4).
pub fn become_subreaper() -> io::Result<()> {
    sys::set_subreaper(true)?;
    SUBREAPER.store(true, Ordering::Relaxed);
    Ok(())
}

/// Undoes [`become_subreaper`]. The flag would survive an exec, and [`hand_off`](super::hand_off) clears it as well.
///
/// # Errors
///
/// If the kernel refuses.
pub fn resign_subreaper() -> io::Result<()> {
    SUBREAPER.store(false, Ordering::Relaxed);
    sys::set_subreaper(false)
}

/// Whether orphans come to this process.
pub(crate) fn is_adopting() -> bool {
    SUBREAPER.load(Ordering::Relaxed) || tree::own_pid() == 1
}

/// The children of ours that somebody waits for.
pub(crate) fn own_children() -> BTreeSet<i32> {
    own().clone()
}

/// A child of ours, whose exit status nobody else takes.
#[derive(Debug)]
pub struct OwnChild {
    child: Child,
    pid: i32,
}

impl OwnChild {
    /// Starts `command`.
    ///
    /// # Errors
    ///
    /// Those of [`Command::spawn`].
    pub fn spawn(command: &mut Command) -> io::Result<OwnChild> {
        // Held while forking, so that nobody takes the child for an orphan before it is in the table.
        let mut own = own();
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        own.insert(pid);
        Ok(OwnChild { child, pid })
    }

    /// Its pid.
    pub fn id(&self) -> i32 {
        self.pid
    }

    /// The child, for its pipes. Waiting through it is allowed too.
    pub fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Takes its status if it has ended.
    ///
    /// # Errors
    ///
    /// Those of [`Child::try_wait`].
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until it ends.
    ///
    /// # Errors
    ///
    /// Those of [`Child::wait`].
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for OwnChild {
    /// The child goes on; without an owner it is reaped like an orphan.
    fn drop(&mut self) {
        own().remove(&self.pid);
    }
}

/// Reaps every orphan that has ended, and says how many. Does nothing unless orphans come to this process.
///
/// Called after every SIGCHLD.
pub fn reap_orphans() -> usize {
    if is_adopting() { reap_except(&own()) } else { 0 }
}

fn reap_except(own: &BTreeSet<i32>) -> usize {
    let mut reaped = 0;
    while let Some(pid) = sys::peek_ended() {
        if own.contains(&pid) {
            return reaped + reap_behind(own);
        }
        if !matches!(sys::wait_for(pid), sys::Waited::Ended(..)) {
            break;
        }
        reaped += 1;
    }
    reaped
}

/// The slow way, for when a child of ours stands first in line.
fn reap_behind(own: &BTreeSet<i32>) -> usize {
    let me = tree::own_pid();
    let orphans = tree::snapshot().into_iter().filter(|p| p.parent == me && p.is_dead() && !own.contains(&p.pid));
    orphans.filter(|orphan| matches!(sys::wait_for(orphan.pid), sys::Waited::Ended(..))).count()
}

/// Calls [`reap_orphans`] after every SIGCHLD, for ever: a branch for the leader's `select!`.
///
/// # Errors
///
/// If SIGCHLD cannot be listened to.
pub async fn reap_continuously() -> io::Result<std::convert::Infallible> {
    let mut ended = signal(SignalKind::child())?;
    loop {
        reap_orphans();
        ended.recv().await;
    }
}

//! Orders from the leader to a shim, without ever waiting for it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::shim::wire::Order;
use crate::protocol::Timestamp;

/// What still has to be told to the shim. Orders that do not fit into the socket wait here, at most one of a kind.
#[derive(Debug, Default)]
struct Outbox {
    /// What is half written, or next.
    bytes: Vec<u8>,
    stop: bool,
    kill: bool,
    deadline: Option<Order>,
}

impl Outbox {
    /// Puts the waiting orders behind what is half written, the strongest first.
    fn fill(&mut self) {
        let kill = std::mem::take(&mut self.kill).then_some(Order::Kill);
        let stop = std::mem::take(&mut self.stop).then_some(Order::Stop);
        let deadline = self.deadline.take();
        for order in [kill, stop, deadline].into_iter().flatten() {
            self.bytes.extend_from_slice(order.line().as_bytes());
        }
    }
}

/// The leader's end of a shim's socket.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) socket: UnixStream,
    /// Readable when the shim has ended; pins its pid.
    pub(crate) shim: OwnedFd,
    outbox: Mutex<Outbox>,
    /// Tells the reader of events that the outbox has something the socket did not take.
    pub(crate) refilled: Notify,
}

impl Channel {
    /// The end `socket` of the shim with this pid, which has to be told `task` first.
    pub(crate) fn open(socket: UnixStream, shim: i32, task: Vec<u8>) -> io::Result<Arc<Channel>> {
        let pid = Pid::from_raw(shim).ok_or(io::ErrorKind::InvalidInput)?;
        let channel = Channel {
            socket,
            shim: pidfd_open(pid, PidfdFlags::empty())?,
            outbox: Mutex::new(Outbox { bytes: task, ..Outbox::default() }),
            refilled: Notify::new(),
        };
        channel.flush();
        Ok(Arc::new(channel))
    }

    /// Writes as much as the socket takes. Whether anything is left.
    pub(crate) fn flush(&self) -> bool {
        let mut outbox = self.outbox();
        loop {
            if outbox.bytes.is_empty() {
                outbox.fill();
            }
            if outbox.bytes.is_empty() {
                return false;
            }
            match self.socket.try_write(&outbox.bytes) {
                Ok(written) => drop(outbox.bytes.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // The shim is gone; its end is seen elsewhere.
                Err(_) => outbox.bytes.clear(),
            }
        }
    }

    /// Whether the socket has yet to take something.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.outbox().bytes.is_empty()
    }

    /// Makes the shim see that nobody is interested any more: it stops its tree.
    pub(crate) fn hang_up(&self) {
        let _ = rustix::net::shutdown(self.socket.as_fd(), rustix::net::Shutdown::Both);
    }

    fn order(&self, put: impl FnOnce(&mut Outbox)) {
        put(&mut self.outbox());
        if self.flush() {
            self.refilled.notify_one();
        }
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives orders to one step's shim. None of its methods waits, whatever state the shim is in.
///
/// Cheap to clone; a clone that outlives the run does nothing.
#[derive(Clone, Debug)]
pub struct StepControl(pub(crate) Arc<Channel>);

impl StepControl {
    /// Stops the step: TERM to everything it has started, the grace of its [`StepSpec`](super::StepSpec), then KILL.
    pub fn stop(&self) {
        self.0.order(|outbox| outbox.stop = true);
        self.wake();
    }

    /// Stops the step without grace.
    pub fn kill(&self) {
        self.0.order(|outbox| outbox.kill = true);
        self.wake();
    }

    /// Tells the shim at which moment it has to stop the step by itself, instead of any told before; `None`: never.
    pub fn set_deadline(&self, deadline: Option<Timestamp>) {
        self.0.order(|outbox| outbox.deadline = Some(Order::Deadline(deadline.map(Timestamp::as_nanos))));
    }

    /// Gives orders into a socket, and no process but this one is behind it.
    #[cfg(test)]
    pub(crate) fn of_socket(socket: std::os::unix::net::UnixStream) -> StepControl {
        socket.set_nonblocking(true).expect("a socket of ours");
        let socket = UnixStream::from_std(socket).expect("a runtime with I/O");
        let channel = Channel::open(socket, super::tree::own_pid(), Vec::new());
        StepControl(channel.expect("this process lives"))
    }

    /// A shim that somebody has suspended must obey all the same.
    fn wake(&self) {
        let _ = pidfd_send_signal(self.0.shim.as_fd(), Signal::CONT);
    }
}

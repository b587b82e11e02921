//! The shim's end of the socket, its signals and its timer: everything it waits for.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{SendFlags, send};

use super::wire::{Inbox, Order, Report, Task};
use crate::process::boottime::BootTimer;
use crate::process::sys::{self, STOP_SIGNALS, SignalSet};
use crate::protocol::Timestamp;

/// What has asked for the end of the tree. Later ones are stronger.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Asked {
    /// Nothing.
    Nothing,
    /// The leader, its silence, or a person's signal: stop with grace.
    Stop,
    /// The leader: no grace.
    Kill,
}

/// Everything the shim waits for, and what it has heard so far.
pub(super) struct Link {
    socket: UnixStream,
    inbox: Inbox,
    signals: OwnedFd,
    timer: BootTimer,
    is_open: bool,
    /// The strongest order so far.
    pub(super) asked: Asked,
    /// The deadline the leader told last.
    pub(super) deadline: Option<Timestamp>,
}

impl Link {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Link> {
        let signals = SignalSet::of(&[&STOP_SIGNALS[..], &[libc::SIGCHLD]].concat());
        // The leader has seen to it; by hand nobody has. What we do not listen to waits for ever.
        SignalSet::of_shim().become_mask();
        Ok(Link {
            socket: UnixStream::from(socket),
            inbox: Inbox::default(),
            signals: signals.open()?,
            timer: BootTimer::new()?,
            is_open: true,
            asked: Asked::Nothing,
            deadline: None,
        })
    }

    /// Waits for the first line.
    pub(super) fn receive_task(&mut self) -> io::Result<Task> {
        self.socket.set_nonblocking(false)?;
        let line = loop {
            if let Some(line) = self.inbox.next_line() {
                break line;
            }
            let mut bytes = [0; 4096];
            match self.socket.read(&mut bytes)? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the leader is gone")),
                read => self.inbox.push(&bytes[..read]),
            }
        };
        self.socket.set_nonblocking(true)?;
        let task: Task = serde_json::from_str(&line)?;
        self.deadline = task.deadline_nanos.map(Timestamp::from_nanos);
        self.obey();
        Ok(task)
    }

    /// Tells the leader; one that is gone or does not listen is not waited for.
    pub(super) fn report(&self, report: &Report) {
        if let Ok(mut line) = serde_json::to_vec(report) {
            line.push(b'\n');
            let _ = send(&self.socket, &line, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        }
    }

    /// Sleeps until there is news, a child has ended or `moment` has come.
    pub(super) fn wait(&mut self, moment: Option<Timestamp>) -> io::Result<()> {
        self.timer.set(moment)?;
        let mut events = vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.timer, PollFlags::IN)];
        if self.is_open {
            events.push(PollFd::new(&self.socket, PollFlags::IN));
        }
        match poll(&mut events, None) {
            Err(rustix::io::Errno::INTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        self.look()
    }

    /// Takes in whatever is there, without waiting.
    pub(super) fn look(&mut self) -> io::Result<()> {
        loop {
            match sys::read_signal(self.signals.as_fd()) {
                Ok(libc::SIGCHLD) => {}
                Ok(_) => self.ask(Asked::Stop),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let mut bytes = [0; 4096];
        while self.is_open {
            match self.socket.read(&mut bytes) {
                Ok(0) => self.hang_up(),
                Ok(read) => self.inbox.push(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.hang_up(),
            }
        }
        self.obey();
        Ok(())
    }

    fn obey(&mut self) {
        while let Some(line) = self.inbox.next_line() {
            match Order::parse(&line) {
                Some(Order::Stop) => self.ask(Asked::Stop),
                Some(Order::Kill) => self.ask(Asked::Kill),
                Some(Order::Deadline(nanos)) => self.deadline = nanos.map(Timestamp::from_nanos),
                None => {}
            }
        }
    }

    fn hang_up(&mut self) {
        self.is_open = false;
        self.ask(Asked::Stop);
    }

    fn ask(&mut self, asked: Asked) {
        self.asked = self.asked.max(asked);
    }
}

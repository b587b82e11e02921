//! The few system calls that neither std nor rustix offers, each in a safe coat.
#![expect(unsafe_code, reason = "signal masks, dispositions and timers are only to be had through libc")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The signals that ask us to stop.
pub(crate) const STOP_SIGNALS: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP];

/// The highest signal number the kernel knows.
const HIGHEST_SIGNAL: i32 = 64;

/// A set of signals.
#[derive(Clone, Copy)]
pub(crate) struct SignalSet(libc::sigset_t);

impl SignalSet {
    /// No signal.
    pub(crate) fn empty() -> SignalSet {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the pointer is valid for writes of a `sigset_t`.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: `sigemptyset` has just initialised it.
        SignalSet(unsafe { set.assume_init() })
    }

    /// These signals.
    pub(crate) fn of(signals: &[i32]) -> SignalSet {
        let mut set = SignalSet::empty();
        for &signal in signals {
            // SAFETY: the set is initialised; a number that is no signal is refused with EINVAL.
            unsafe { libc::sigaddset(&raw mut set.0, signal) };
        }
        set
    }

    /// Every signal except these.
    pub(crate) fn all_but(signals: &[i32]) -> SignalSet {
        let all: Vec<i32> = (1..=HIGHEST_SIGNAL).filter(|signal| !signals.contains(signal)).collect();
        SignalSet::of(&all)
    }

    /// What a shim blocks from its first instruction to its last: nothing may end or suspend it but KILL and STOP.
    pub(crate) fn of_shim() -> SignalSet {
        SignalSet::all_but(&[libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT])
    }

    /// Blocks them in this thread, besides those that are blocked already.
    pub(crate) fn block(&self) {
        self.change(libc::SIG_BLOCK);
    }

    /// Unblocks them in this thread.
    pub(crate) fn unblock(&self) {
        self.change(libc::SIG_UNBLOCK);
    }

    /// Makes them this thread's whole mask. Async-signal-safe.
    pub(crate) fn become_mask(&self) {
        self.change(libc::SIG_SETMASK);
    }

    fn change(&self, how: i32) {
        // SAFETY: the set is initialised and the old mask is not asked for. It cannot fail with a valid `how`.
        unsafe { libc::pthread_sigmask(how, &raw const self.0, ptr::null_mut()) };
    }

    /// Waits until one of them, all blocked, is pending, and takes it.
    pub(crate) fn take(&self) -> i32 {
        loop {
            // SAFETY: the set is initialised, and the details may be left out.
            let signal = unsafe { libc::sigwaitinfo(&raw const self.0, ptr::null_mut()) };
            if signal > 0 {
                return signal;
            }
        }
    }

    /// A non-blocking descriptor from which they, all blocked, can be read.
    pub(crate) fn open(&self) -> io::Result<OwnedFd> {
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const self.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// The next signal from a descriptor of [`SignalSet::open`]; an error of kind `WouldBlock` when none is pending.
pub(crate) fn read_signal(fd: BorrowedFd<'_>) -> io::Result<i32> {
    const SIZE: usize = size_of::<libc::signalfd_siginfo>();
    let mut bytes = [0_u8; SIZE];
    // SAFETY: the buffer is valid for writes of its own length.
    let read = unsafe { libc::read(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), SIZE) };
    if read < 0 {
        return Err(io::Error::last_os_error());
    }
    // `ssi_signo` is the first field, a 32-bit number that is never large.
    let [a, b, c, d, ..] = bytes;
    Ok(i32::from_ne_bytes([a, b, c, d]))
}

/// Lets the runtime watch a descriptor until it is readable.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and the same descriptor as long as it lives, and the `AsyncFd` owns it.
    let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    Ok(watched?)
}

/// Every signal gets its default disposition. Async-signal-safe.
pub(crate) fn default_dispositions() {
    for signal in 1..=HIGHEST_SIGNAL {
        set_default(signal);
    }
}

/// This signal gets its default disposition. Async-signal-safe; numbers that cannot be changed are left alone.
pub(crate) fn set_default(signal: i32) {
    // SAFETY: the default disposition runs no code of ours; refused numbers give an error and nothing else.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// One of these that is pending is forgotten; then it has its default disposition.
pub(crate) fn discard(signal: i32) {
    // SAFETY: ignoring a signal runs no code of ours, and the kernel drops a pending instance.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
    set_default(signal);
}

/// From now on this signal ends the process with 128+n, unless it was ignored already.
///
/// An exit of our own, because the kernel does not let a default disposition end PID 1.
pub(crate) fn exit_on(signal: i32) {
    extern "C" fn leave(signal: libc::c_int) {
        // SAFETY: `_exit` is async-signal-safe and does not return.
        unsafe { libc::_exit(128 + signal) }
    }
    let handler: extern "C" fn(libc::c_int) = leave;
    // SAFETY: the handler has the signature that `signal` expects and calls only `_exit`.
    let before = unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    if before == libc::SIG_IGN {
        // SAFETY: puts back what was there.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Ends the process with `code` after this long, whatever it hangs in (unless the kernel itself cannot be interrupted).
pub(crate) fn exit_after(limit: std::time::Duration, code: i32) {
    use std::sync::atomic::{AtomicI32, Ordering};
    static CODE: AtomicI32 = AtomicI32::new(0);
    extern "C" fn leave(_: libc::c_int) {
        // SAFETY: `_exit` is async-signal-safe and does not return.
        unsafe { libc::_exit(CODE.load(Ordering::Relaxed)) }
    }
    CODE.store(code, Ordering::Relaxed);
    let handler: extern "C" fn(libc::c_int) = leave;
    // SAFETY: the handler has the signature that `signal` expects and calls only `_exit`.
    unsafe { libc::signal(libc::SIGALRM, handler as libc::sighandler_t) };
    let seconds = libc::c_uint::try_from(limit.as_secs()).unwrap_or(libc::c_uint::MAX);
    // SAFETY: sets a timer of this process.
    unsafe { libc::alarm(seconds) };
}

/// Stops the process's interval timers (`alarm` among them), which would survive an exec.
pub(crate) fn stop_timers() {
    let zero = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let never = libc::itimerval { it_interval: zero, it_value: zero };
    for which in [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF] {
        // SAFETY: the new value is valid for reads and the old one is not asked for.
        unsafe { libc::setitimer(which, &raw const never, ptr::null_mut()) };
    }
}

/// Marks every descriptor from `first` up close-on-exec. `false` if the kernel cannot (before 5.11, or forbidden).
/// Async-signal-safe.
pub(crate) fn close_range_on_exec(first: u32) -> bool {
    // SAFETY: only sets a flag on descriptors; it touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    result == 0
}

/// Marks one descriptor close-on-exec. One that is not open is not an error.
pub(crate) fn close_on_exec(fd: i32) {
    // SAFETY: only sets a flag on a descriptor; it touches no memory of ours.
    unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// Turns the calling process's child-subreaper flag on or off.
pub(crate) fn set_subreaper(on: bool) -> io::Result<()> {
    // SAFETY: takes a number and touches no memory of ours.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(on), 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends any signal, a real-time one too, to one process. Refuses the numbers that mean "everybody" or a group.
pub(crate) fn send(pid: i32, signal: i32) {
    if pid > 1 {
        // SAFETY: takes numbers only.
        unsafe { libc::kill(pid, signal) };
    }
}

/// What one non-blocking wait told.
pub(crate) enum Waited {
    /// This child ended, and is gone now: its pid and raw wait status.
    Ended(i32, i32),
    /// There are children, none of which has ended.
    Alive,
    /// There is no such child.
    NoChild,
}

/// Takes the status of any child that has ended, whatever kind of clone it is.
///
/// Only for processes all of whose children belong to one loop: a shim, a supervisor.
pub(crate) fn wait_any() -> Waited {
    wait(-1)
}

/// Takes the status of this child if it has ended.
pub(crate) fn wait_for(child: i32) -> Waited {
    wait(child)
}

fn wait(which: i32) -> Waited {
    loop {
        let mut status = 0;
        // SAFETY: the status is valid for writes.
        let pid = unsafe { libc::waitpid(which, &raw mut status, libc::WNOHANG | libc::__WALL) };
        match pid {
            0 => return Waited::Alive,
            1.. => return Waited::Ended(pid, status),
            _ if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            _ => return Waited::NoChild,
        }
    }
}

/// The pid of a child that has ended and waits to be reaped; it stays so. `None` if there is none.
pub(crate) fn peek_ended() -> Option<i32> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: `info` is valid for writes.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) };
    // SAFETY: all zeroes is a valid `siginfo_t`, and the kernel wrote nothing but valid fields over it.
    let info = unsafe { info.assume_init() };
    // SAFETY: `waitid` fills the fields of SIGCHLD, or leaves the zeroes.
    let pid = unsafe { info.si_pid() };
    (result == 0 && pid > 0).then_some(pid)
}

/// The exit code in a raw wait status; the number of the signal as `Err` if one ended the process.
pub(crate) fn code_or_signal(status: i32) -> Result<i32, i32> {
    if libc::WIFEXITED(status) { Ok(libc::WEXITSTATUS(status)) } else { Err(libc::WTERMSIG(status)) }
}

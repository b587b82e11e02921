//! `CLOCK_BOOTTIME`: the one clock that neither jumps nor stands still while the machine sleeps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};

use crate::protocol::Timestamp;

const NANOS: u64 = 1_000_000_000;

/// What time it is on this machine's boot-time clock.
pub fn now() -> Timestamp {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    Timestamp::from_nanos(seconds.saturating_mul(NANOS).saturating_add(nanos))
}

/// A descriptor that becomes readable at a moment of the boot-time clock.
///
/// `poll(2)` counts its time-out on a clock that stops while the machine sleeps; a lease does not.
#[derive(Debug)]
pub(crate) struct BootTimer(OwnedFd);

impl BootTimer {
    /// A timer that is not set.
    pub(crate) fn new() -> io::Result<BootTimer> {
        Ok(BootTimer(timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?))
    }

    /// Makes the descriptor readable from `moment` on, or never. Whatever was set before is forgotten.
    pub(crate) fn set(&self, moment: Option<Timestamp>) -> io::Result<()> {
        // All zeroes would disarm the timer: a moment in the past is one nanosecond after boot.
        let nanos = moment.map_or(0, |at| at.as_nanos().max(1));
        let it_value = Timespec {
            tv_sec: i64::try_from(nanos / NANOS).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(nanos % NANOS).unwrap_or(0),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value })?;
        Ok(())
    }
}

impl AsFd for BootTimer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    fn is_ready(timer: &BootTimer, wait: bool) -> bool {
        let limit = Timespec { tv_sec: if wait { 30 } else { 0 }, tv_nsec: 0 };
        poll(&mut [PollFd::new(timer, PollFlags::IN)], Some(&limit)).unwrap() == 1
    }

    #[test]
    fn the_timer_fires_at_its_moment_and_not_when_unset() {
        let timer = BootTimer::new().unwrap();
        assert!(!is_ready(&timer, false));
        timer.set(Some(Timestamp::ZERO)).unwrap();
        assert!(is_ready(&timer, true), "a moment in the past");
        timer.set(Some(now() + Duration::from_secs(3600))).unwrap();
        assert!(!is_ready(&timer, false));
        let moment = now() + Duration::from_millis(5);
        timer.set(Some(moment)).unwrap();
        assert!(is_ready(&timer, true) && now() >= moment);
        timer.set(None).unwrap();
        assert!(!is_ready(&timer, false));
    }
}

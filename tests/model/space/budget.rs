//! What may go wrong, and how often it still may.

/// Declares the kinds once, for the type and for the list.
macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident,)*) => {
        /// A kind of fault, each with a budget of its own.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub(crate) enum Fault { $($(#[$doc])* $fault,)* }

        pub(crate) const FAULTS: &[Fault] = &[$(Fault::$fault),*];
    };
}

faults! {
    /// SIGKILL of a replica.
    Crash,
    /// The tree of a killed leader's step takes as long as it likes to be gone, and keeps the guard.
    Orphan,
    /// A new life of a replica that was killed or has ended.
    Restart,
    /// SIGSTOP of one that has, or waits for, something others want, for as long as it likes.
    Freeze,
    /// SIGSTOP of the first replica (they are alike) while its step runs, for good or until a step of another runs.
    FreezeUntilReplaced,
    /// SIGTERM.
    Stop,
    /// A request never reaches Redis, or its answer never comes back.
    Lose,
    /// A request or its answer arrives later, when its replica has given it up.
    Delay,
    /// An answer arrives twice, the second time later.
    Double,
    /// FLUSHALL, or a restart without persistence.
    Wipe,
    /// A copy of the lease is made, and takes over later.
    FailOver,
    /// The lease ends early by a jump of the server's clock.
    Jump,
    /// Redis refuses everything, for as long as it likes.
    Outage,
    /// One operation on the volume (a beat, a look …) takes as long as it likes, and those behind it wait.
    Hang,
    /// An operation on the volume fails for good.
    Break,
    /// An operation on the volume finds it full.
    Full,
    /// An I/O through the guard's descriptor fails, though it is still held.
    GuardLost,
    /// The volume's server has dropped all locks: the documented exception to P1.
    LocksDropped,
    /// A person clears a failure.
    Retry,
}

/// What is left of each kind of fault.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Budget([u8; FAULTS.len()]);

impl Budget {
    pub(crate) fn of(faults: &[(Fault, u8)]) -> Budget {
        let mut budget = Budget::default();
        for &(fault, times) in faults {
            budget.0[fault as usize] = times;
        }
        budget
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.0[fault as usize] > 0
    }

    pub(crate) fn spend(&mut self, fault: Fault) {
        self.0[fault as usize] -= 1;
    }
}

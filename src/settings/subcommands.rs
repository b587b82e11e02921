//! The subcommands and what only they understand, in one table for the scanner and for `--help`.

/// What the binary is asked to do.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Subcommand {
    /// Lead or follow, then become the command.
    Run,
    /// Say whether the revision is ready.
    Ready,
    /// Show roles, steps and history.
    Status,
    /// Show what `run` would do now.
    Plan,
    /// Clear a failure.
    Retry,
    /// Mark one step as done by hand.
    Skip,
    /// Remove markers of one revision.
    Reset,
    /// Look for what keeps replicas from starting.
    Doctor,
    /// Three replicas on a temporary volume.
    Demo,
}

/// A flag that only some subcommands know.
#[derive(Debug)]
pub(super) struct Switch {
    pub(super) long: &'static str,
    pub(super) short: Option<char>,
    /// What `--help` calls its value, if it takes one.
    pub(super) value: Option<&'static str>,
    pub(super) required: bool,
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "read by `--help` alone"))]
    pub(super) help: &'static str,
}

/// One subcommand.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) subcommand: Subcommand,
    pub(super) name: &'static str,
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "read by `--help` alone"))]
    pub(super) about: &'static str,
    pub(super) switches: &'static [Switch],
    /// Whether a command follows after `--`.
    pub(super) command: Trailing,
    /// What `--help` says at its end.
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "read by `--help` alone"))]
    pub(super) after_help: &'static str,
}

/// Whether a command follows after `--`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trailing {
    Never,
    /// To be looked at.
    Optional,
    /// To become.
    Required,
}

const fn switch(long: &'static str, help: &'static str) -> Switch {
    Switch { long, short: None, value: None, required: false, help }
}

const fn entry(subcommand: Subcommand, name: &'static str, about: &'static str, switches: &'static [Switch]) -> Entry {
    Entry { subcommand, name, about, switches, command: Trailing::Never, after_help: "" }
}

/// What `doctor` ends with.
const DOCTORS_EXITS: &str = "\
Looks at settings, volume, Redis, programs and needs: a line each, ok, warn or fail, and below it the repair. Changes
nothing, takes no lease, and ends within ten seconds.

Exit codes: 0 if nothing has failed, else that of the first failure: 64 settings, 69 Redis, 70 this container,
74 the volume cannot be read or written, 75 something that the plan needs does not answer, 77 permission denied on
the volume, 78 a step has failed for good or could not log in, 126 a program cannot be executed, 127 it was not found.";

const FORCE: Switch = switch("force", "act though a step may still be at work; never without lease and guard");

/// All subcommands, in the order in which `--help` shows them.
pub(super) static SUBCOMMANDS: &[Entry] = &[
    Entry {
        command: Trailing::Required,
        ..entry(
            Subcommand::Run,
            "run",
            "do the work of this revision, or wait until it is done; then become the command",
            &[
                switch("no-wait", "become the command at once; never lead"),
                switch("supervise", "stay as the command's parent: forward signals, reap, exit with its code"),
            ],
        )
    },
    entry(
        Subcommand::Ready,
        "ready",
        "exit 0 if the revision is ready, else 1",
        &[Switch { short: Some('v'), ..switch("verbose", "say why") }],
    ),
    entry(
        Subcommand::Status,
        "status",
        "show who leads, and every step",
        &[
            switch("json", "for programs"),
            switch("watch", "go on until interrupted"),
            switch("history", "what happened so far"),
        ],
    ),
    entry(
        Subcommand::Plan,
        "plan",
        "show what `run` would do now, and why",
        &[switch("json", "for programs"), switch("schema", "print the JSON schema of plan files")],
    ),
    entry(Subcommand::Retry, "retry", "clear a failure and count attempts from zero", &[FORCE]),
    entry(
        Subcommand::Skip,
        "skip",
        "record that a person did a step by hand",
        &[Switch { value: Some("STEP"), required: true, ..switch("step", "the step to skip") }, FORCE],
    ),
    entry(
        Subcommand::Reset,
        "reset",
        "remove the markers of this revision, so that its steps run again",
        &[Switch { value: Some("STEP"), ..switch("step", "only this step") }, FORCE],
    ),
    Entry {
        command: Trailing::Optional,
        after_help: DOCTORS_EXITS,
        ..entry(
            Subcommand::Doctor,
            "doctor",
            "look for what keeps replicas from starting, and say how to repair it",
            &[switch("json", "for programs")],
        )
    },
    entry(
        Subcommand::Demo,
        "demo",
        "watch three replicas on a temporary volume while their leader is killed",
        &[
            switch("keep", "keep the temporary volume"),
            switch("no-redis", "let the guard alone elect, though a redis-server is installed"),
        ],
    ),
];

impl Subcommand {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    pub(super) fn entry(self) -> &'static Entry {
        let entry = SUBCOMMANDS.iter().find(|entry| entry.subcommand == self);
        entry.expect("the table holds every subcommand")
    }

    pub(super) fn find(name: &str) -> Option<Subcommand> {
        SUBCOMMANDS.iter().find(|entry| entry.name == name).map(|entry| entry.subcommand)
    }
}

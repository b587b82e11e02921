//! What has to become of each command where something odd stands in the place of a file of ours.
//!
//! Without anything said here, what is in the way is named and nothing is done (`Want::usual`). Whatever is not in the
//! way, or does not have to be named, stands in `EXCEPTIONS` with its reason.

use crate::places::Odd::{
    self, DanglingLink, Fifo, Foreign, LinkToDirectory, LinkToItself, LinkToSecret, Locked, OtherKind, Socket, Sparse,
};

/// What the binary is asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asked {
    Ready,
    Status,
    History,
    Doctor,
    Plan,
    Run,
    Retry,
    Reset,
    Skip,
}

use Asked::{Doctor, History, Plan, Ready, Reset, Retry, Run, Skip, Status};

/// These change nothing.
pub(crate) const LOOKING: [Asked; 5] = [Ready, Status, History, Doctor, Plan];
pub(crate) const ACTING: [Asked; 4] = [Run, Retry, Reset, Skip];

impl Asked {
    pub(crate) fn words(self) -> &'static [&'static str] {
        match self {
            Ready => &["ready", "-v"],
            Status => &["status"],
            History => &["status", "--history"],
            Doctor => &["doctor"],
            Plan => &["plan"],
            Run => &["run", "--", "/bin/sh", "-c", "echo command >>$RAN"],
            Retry => &["retry"],
            Reset => &["reset"],
            Skip => &["skip", "--step", "migrate"],
        }
    }
}

/// How a command has to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    pub(crate) code: i32,
    /// Whether the culprit has to be named. Else it may be.
    pub(crate) is_named: bool,
    /// The steps that have to have run, and no others, in this order; and then the command, if it was begun.
    pub(crate) ran: &'static str,
}

/// What `run` does where all is as it should be: one step is done, and the other one's leader has died.
pub(crate) const ALL: &str = "migrate command";

const fn named(code: i32) -> Want {
    Want { code, is_named: true, ran: "" }
}

const fn silent(code: i32) -> Want {
    Want { code, is_named: false, ran: "" }
}

const fn ran(ran: &'static str, want: Want) -> Want {
    Want { ran, ..want }
}

impl Want {
    /// Where all is as it should be.
    pub(crate) fn of_a_sound_volume(asked: Asked) -> Want {
        match asked {
            Ready => silent(1),
            Run => ran(ALL, silent(0)),
            _ => silent(0),
        }
    }

    /// Unless there is an exception: what no one can use is in the way. The probe looks at the ready marker alone, and
    /// the history at itself.
    fn usual(odd: Odd, asked: Asked) -> Want {
        match asked {
            Ready | History => Want::of_a_sound_volume(asked),
            _ if odd.wants_another_user() => named(77),
            _ => named(74),
        }
    }

    pub(crate) fn of(place: &str, odd: Odd, asked: Asked) -> Want {
        let exception = EXCEPTIONS.iter().find(|exception| exception.is_about(place, odd, asked));
        exception.map_or_else(|| Want::usual(odd, asked), |exception| exception.want)
    }
}

/// What is no file, or no directory, where one belongs.
const OTHERS: &[Odd] = &[LinkToSecret, DanglingLink, LinkToItself, LinkToDirectory, OtherKind, Fifo, Socket];
/// Files of which nobody learns anything.
const BLANK: &[Odd] = &[Sparse, Locked, Foreign];
const SHUT: &[Odd] = &[Locked, Foreign];
const ANY: &[Odd] =
    &[LinkToSecret, DanglingLink, LinkToItself, LinkToDirectory, OtherKind, Fifo, Socket, Sparse, Locked, Foreign];

const FOR_PEOPLE: &[Asked] = &[Status, Doctor, Plan];
const REPAIRS: &[Asked] = &[Retry, Reset, Skip];

/// Something that is not in the way, or need not be named. The first that is about a case holds.
struct Exception {
    place: &'static str,
    odds: &'static [Odd],
    asked: &'static [Asked],
    want: Want,
    because: &'static str,
}

impl Exception {
    fn is_about(&self, place: &str, odd: Odd, asked: Asked) -> bool {
        self.place == place && self.odds.contains(&odd) && self.asked.contains(&asked)
    }
}

const fn but(
    place: &'static str,
    odds: &'static [Odd],
    asked: &'static [Asked],
    want: Want,
    because: &'static str,
) -> Exception {
    Exception { place, odds, asked, want, because }
}

const READY: &str = ".ready_v1";
const FAILED: &str = ".failed_v1";
const DONE: &str = ".site_done_v1";
const IN_PROGRESS: &str = ".migrate_in_progress_v1";
const CLAIM: &str = ".bellwether/claims/migrate_v1.1";
const EPOCH: &str = ".bellwether/epochs/1";
const RECORD: &str = ".bellwether/steps/migrate.json";
const DATA: &str = ".bellwether/steps/migrate.data";
const HISTORY: &str = ".bellwether/history.jsonl";
const GUARD: &str = ".bellwether/guard.lock";
const ID: &str = ".bellwether/id";

const EXISTS: &str = "a marker counts by its existence";
const REPLACED: &str = "it is removed or replaced, whatever it holds";
const NAME: &str = "its name is all that is needed of it";
const UNUSED: &str = "who only looks needs nothing of it; doctor tells who wants to lead";

static EXCEPTIONS: &[Exception] = &[
    but(READY, OTHERS, &[Ready], named(1), "whoever asks why is told"),
    but(READY, BLANK, &[Ready, Status, Doctor, Plan], named(0), EXISTS),
    but(READY, BLANK, &[Run], ran("command", silent(0)), "a warm start reads nothing of it"),
    but(READY, BLANK, REPAIRS, silent(0), REPLACED),
    but(FAILED, &[Sparse], &[Status, Plan], named(0), EXISTS),
    but(FAILED, BLANK, &[Run], named(78), EXISTS),
    but(FAILED, &[Sparse], &[Doctor], named(78), EXISTS),
    but(FAILED, &[Sparse], REPAIRS, silent(0), REPLACED),
    but(DONE, BLANK, FOR_PEOPLE, named(0), EXISTS),
    but(DONE, &[Sparse], &[Run], ran(ALL, silent(0)), EXISTS),
    but(DONE, SHUT, &[Run], ran("migrate", named(77)), "before ready is announced it is synced, and so opened"),
    but(DONE, BLANK, REPAIRS, silent(0), REPLACED),
    but(IN_PROGRESS, BLANK, FOR_PEOPLE, named(0), EXISTS),
    but(IN_PROGRESS, BLANK, &[Run], ran(ALL, named(0)), EXISTS),
    but(IN_PROGRESS, BLANK, REPAIRS, silent(0), REPLACED),
    but(RECORD, BLANK, FOR_PEOPLE, named(0), "it is the step's last run that nobody knows of"),
    but(RECORD, BLANK, &[Run], ran(ALL, named(0)), "it is the step's last run that nobody knows of"),
    but(RECORD, BLANK, REPAIRS, silent(0), REPLACED),
    but(DATA, OTHERS, FOR_PEOPLE, named(0), "it is the step's own; only a run of it needs it"),
    but(DATA, BLANK, FOR_PEOPLE, silent(0), "it is the step's own, and private"),
    but(DATA, &[Sparse], &[Run], ran(ALL, silent(0)), "it is the step's own"),
    but(DATA, &[OtherKind], &[Retry, Reset], silent(0), "it is the step's own, and stays"),
    but(DATA, &[LinkToSecret, DanglingLink, LinkToItself, Fifo, Socket], REPAIRS, silent(0), REPLACED),
    but(DATA, BLANK, REPAIRS, silent(0), REPLACED),
    but(CLAIM, BLANK, FOR_PEOPLE, silent(0), NAME),
    but(CLAIM, BLANK, &[Run], ran(ALL, silent(0)), NAME),
    but(CLAIM, BLANK, REPAIRS, silent(0), NAME),
    but(EPOCH, ANY, FOR_PEOPLE, silent(0), NAME),
    but(EPOCH, ANY, &[Run], ran(ALL, silent(0)), NAME),
    but(EPOCH, ANY, REPAIRS, silent(0), NAME),
    but(GUARD, &[Sparse], FOR_PEOPLE, silent(0), "what it holds is a note about who took it"),
    but(GUARD, &[Sparse], &[Run], ran(ALL, silent(0)), "what it holds is a note about who took it"),
    but(GUARD, &[Sparse], REPAIRS, silent(0), "what it holds is a note about who took it"),
    but(HISTORY, OTHERS, &[History], named(74), "here it is needed"),
    but(HISTORY, SHUT, &[History], named(77), "here it is needed"),
    but(HISTORY, ANY, FOR_PEOPLE, silent(0), "nothing depends on it, and who asks for it is told"),
    but(HISTORY, ANY, &[Run], ran(ALL, silent(0)), "nothing depends on it, and who asks for it is told"),
    but(HISTORY, ANY, REPAIRS, silent(0), "nothing depends on it, and who asks for it is told"),
    but(ID, ANY, &[Status, Plan], silent(0), "only a lease needs it, and here is no Redis"),
    but(".bellwether", OTHERS, &[History], named(74), "the history stands in it"),
    but(".bellwether", SHUT, &[History], named(77), "the history stands in it"),
    but(".bellwether/log", ANY, &[Status, Plan], silent(0), UNUSED),
    but(".bellwether/tmp", ANY, &[Status, Plan], silent(0), UNUSED),
    but(".bellwether/steps", SHUT, &[Status, Plan], named(0), "records are private: others see the rest"),
];

/// An exception that no case is about, or that says what holds anyway, would only hide something one day.
#[test]
fn every_exception_is_one() {
    use crate::places::{ODDS, PLACES};

    for exception in EXCEPTIONS {
        let Exception { place, odds, asked, want, because } = exception;
        let known = PLACES.iter().find(|(name, _)| name == place);
        let (_, is_directory) = *known.unwrap_or_else(|| panic!("{place} is no place of ours"));
        assert!(!because.is_empty() && odds.iter().all(|odd| ODDS.contains(odd)));
        for &asked in *asked {
            let about = odds.iter().filter(|odd| odd.fits(is_directory));
            let mut first = about.filter(|&&odd| {
                let first = EXCEPTIONS.iter().find(|other| other.is_about(place, odd, asked));
                first.is_some_and(|first| std::ptr::eq(first, exception))
            });
            let odd = *first.next().unwrap_or_else(|| panic!("{asked:?} at {place}: others come before"));
            let usual = Want::usual(odd, asked);
            let (said, holds) = ((want.code, want.is_named, want.ran), (usual.code, usual.is_named, usual.ran));
            assert_ne!(said, holds, "{asked:?} at {place}: that is so anyway");
        }
    }
}

//! Every role by every event: where it leads, and what is asked for.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bellwether::protocol::{
    Action, Config, Doing, Election, Epoch, Event, Fault, Foreign, LastEnd, LeaseTimes, Machine, Occupant, OnFailure,
    Outcome, Plan, Policy, RecordView, Revision, Role, Stamp, Standing, StepEnd, StepId, Timestamp, Trust, View,
};

use crate::world::step;

const NOW: Timestamp = Timestamp::from_millis(5_000);
const S: StepId = StepId(0);

fn config() -> Config {
    let plan = Arc::new(Plan::new(vec![step("site", &[])]).unwrap());
    let wait = Duration::from_secs(120);
    let times = LeaseTimes::new(Duration::from_secs(12), None, Duration::from_secs(1), wait, Trust::Trusted).unwrap();
    let policy = Policy { on_failure: OnFailure::Hold, ..Policy::default() };
    Config::new(plan, Election::Lease(times), Trust::Trusted, policy).unwrap()
}

fn after(events: impl IntoIterator<Item = Event>) -> Machine {
    let mut machine = Machine::new(config());
    for event in events {
        let _ = machine.handle(NOW, event);
    }
    machine
}

fn newest() -> View {
    View { standing: Standing::Newest, ..View::blank(1) }
}

fn ready() -> View {
    View { ready: true, ..newest() }
}

fn failed() -> View {
    View { failed: true, ..newest() }
}

fn done() -> View {
    let mut view = newest();
    view.steps[0].done = true;
    view
}

/// Somebody of a later epoch has claimed the step.
fn claimed_later() -> View {
    let mut view = newest();
    let claims = vec![Epoch(9)];
    view.steps[0].occupant = Some(Occupant { claims, stamp: None, age: None, beat_every: None });
    view
}

/// A run has failed for good, and nobody has said so yet.
fn failed_for_good() -> View {
    let mut view = newest();
    view.steps[0].record = RecordView { attempts: 1, for_good: true, last_end: LastEnd::Bad, ..RecordView::BLANK };
    view
}

/// The events that lead from the start to each state, in the order of a boot.
fn states() -> Vec<(&'static str, Machine)> {
    let granted = Event::LeaseGranted { sent: NOW, epoch: Epoch(0) };
    let boot = [
        (
            "waiting for the lease",
            vec![Event::Started, Event::Looked(newest()), Event::VolumePrepared, Event::NeedsMet],
        ),
        ("waiting for the guard", vec![granted]),
        ("looking", vec![Event::GuardGranted]),
        ("allotting", vec![Event::Looked(newest())]),
        ("sweeping", vec![Event::EpochAllotted(Epoch(7))]),
        ("claiming the step", vec![Event::Swept]),
        ("counting", vec![Event::Claimed(S)]),
        ("running", vec![Event::Counted(S)]),
        ("committing", vec![Event::Ended(S, StepEnd::Exit(0))]),
        ("writing ready", vec![Event::Committed(S)]),
        ("ended", vec![Event::ReadyWritten]),
    ];
    let mut states = vec![("new", after([]))];
    let mut so_far = Vec::new();
    for (name, events) in boot {
        so_far.extend(events);
        states.push((name, after(so_far.clone())));
    }
    let running: Vec<Event> = so_far[..so_far.len() - 3].to_vec();
    let with = |more: &[Event]| after(running.iter().chain(more).cloned());
    states.push(("retracting", with(&[Event::Ended(S, StepEnd::Exit(1))])));
    states.push(("backing off", with(&[Event::Ended(S, StepEnd::Exit(1)), Event::Retracted(S)])));
    states.push(("retracting for good", with(&[Event::Ended(S, StepEnd::FOR_GOOD)])));
    states.push(("writing failed", with(&[Event::Ended(S, StepEnd::FOR_GOOD), Event::Retracted(S)])));
    states.push(("stopping", with(&[Event::StopRequested])));
    states.push(("holding", after([Event::Started, Event::Looked(failed())])));
    states
}

fn events() -> Vec<(&'static str, Event)> {
    let left = Duration::from_secs(3);
    vec![
        ("tick", Event::Tick),
        ("stop", Event::StopRequested),
        ("looked: nothing", Event::Looked(newest())),
        ("looked: done", Event::Looked(done())),
        ("looked: ready", Event::Looked(ready())),
        ("looked: failed", Event::Looked(failed())),
        ("looked: for good", Event::Looked(failed_for_good())),
        ("looked: later", Event::Looked(claimed_later())),
        ("prepared", Event::VolumePrepared),
        ("needs met", Event::NeedsMet),
        ("needs unmet", Event::NeedsUnmet),
        ("guard granted", Event::GuardGranted),
        ("guard lost", Event::GuardLost),
        ("appended", Event::RevisionAppended),
        ("allotted", Event::EpochAllotted(Epoch(8))),
        ("swept", Event::Swept),
        ("claimed", Event::Claimed(S)),
        ("claim lost", Event::ClaimLost(S)),
        ("counted", Event::Counted(S)),
        ("ended 0", Event::Ended(S, StepEnd::Exit(0))),
        ("ended 1", Event::Ended(S, StepEnd::Exit(1))),
        ("ended 78", Event::Ended(S, StepEnd::FOR_GOOD)),
        ("stopped", Event::Ended(S, StepEnd::Stopped)),
        ("beaten", Event::Beaten(S)),
        ("committed", Event::Committed(S)),
        ("commit lost", Event::CommitLost(S)),
        ("retracted", Event::Retracted(S)),
        ("retired", Event::Retired),
        ("retire lost", Event::RetireLost),
        ("ready written", Event::ReadyWritten),
        ("failed written", Event::FailedWritten),
        ("look broken", Event::VolumeFailed(Doing::Look, Fault::Broken)),
        ("claim full", Event::VolumeFailed(Doing::Claim(S), Fault::Full)),
        ("commit broken", Event::VolumeFailed(Doing::Commit(S), Fault::Broken)),
        ("granted", Event::LeaseGranted { sent: NOW, epoch: Epoch(0) }),
        ("denied", Event::LeaseDenied { sent: NOW, left }),
        ("not mine", Event::LeaseNotMine),
        ("unreachable", Event::LeaseUnreachable),
        ("announced", Event::Announced),
    ]
}

fn role(machine: &Machine) -> String {
    match machine.role() {
        Role::Ended(outcome) => format!("Ended({outcome:?})"),
        role => format!("{role:?}"),
    }
}

fn actions(machine: &mut Machine, event: Event) -> String {
    let actions = machine.handle(NOW, event);
    let names = actions.iter().filter(|action| !matches!(action, Action::Say(_) | Action::End(_)));
    let names: Vec<String> = names.map(|action| format!("{action:?}")).collect();
    let short = names.iter().map(|name| name.split([' ', '(']).next().unwrap_or_default());
    short.collect::<Vec<_>>().join(" ")
}

/// The whole table: a line for each state and event that changes anything or asks for anything.
fn table() -> String {
    let mut table = String::new();
    for (name, machine) in states() {
        writeln!(table, "{name}: {}", role(&machine)).unwrap();
        for (label, event) in events() {
            let mut next = machine.clone();
            let actions = actions(&mut next, event);
            if role(&next) != role(&machine) || !actions.is_empty() {
                let line = format!("    {label:16} → {:42} {actions}", role(&next));
                writeln!(table, "{}", line.trim_end()).unwrap();
            }
        }
    }
    table
}

#[test]
fn every_state_by_every_event() {
    insta::assert_snapshot!(table());
}

#[test]
fn every_role_is_in_the_table() {
    let names: BTreeSet<String> =
        states().iter().map(|(_, m)| format!("{:?}", m.role()).split('(').next().unwrap().to_owned()).collect();
    let all = ["Claiming", "Ended", "Following", "Holding", "Leading", "Winding"].map(str::to_owned);
    assert_eq!(names, BTreeSet::from(all));
}

#[test]
fn a_tick_at_a_time_when_nothing_is_due_changes_nothing() {
    for (name, machine) in states().into_iter().skip(1) {
        let mut ticked = machine.clone();
        assert!(ticked.handle(NOW, Event::Tick).is_empty(), "{name}");
        assert_eq!(ticked, machine, "{name}");
    }
}

#[test]
fn what_has_ended_stays_ended() {
    let mut machine = after([Event::Started, Event::Looked(ready())]);
    assert_eq!(machine.role(), &Role::Ended(Outcome::HandOff));
    let before = machine.clone();
    for (_, event) in events() {
        assert!(machine.handle(NOW, event).is_empty());
    }
    assert_eq!(machine, before);
    assert_eq!(machine.next_deadline(), None);
}

#[test]
fn an_epoch_is_allotted_above_every_claim_that_is_seen() {
    let mut machine = states().into_iter().find(|(name, _)| *name == "looking").unwrap().1;
    let actions = machine.handle(NOW, Event::Looked(claimed_later()));
    assert!(actions.iter().any(|action| *action == Action::AllotEpoch { above: Epoch(9) }), "{actions:?}");
}

#[test]
fn a_leader_that_reads_of_a_run_that_failed_for_good_starts_nothing() {
    let mut machine = states().into_iter().find(|(name, _)| *name == "looking").unwrap().1;
    for event in [Event::Looked(failed_for_good()), Event::EpochAllotted(Epoch(7))] {
        let _ = machine.handle(NOW, event);
    }
    let actions = machine.handle(NOW, Event::Swept);
    assert!(actions.iter().any(|action| *action == Action::WriteFailed(S)), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Claim { .. })), "{actions:?}");
}

/// A leader that has just asked for somebody else's stale work to be cleared.
fn clearing() -> Machine {
    let stamp = Some(Stamp { inode: 1, mtime: 1 });
    let occupant = Occupant { claims: vec![Epoch(3)], stamp, age: Some(Duration::from_secs(3600)), beat_every: None };
    let foreign = Foreign { step: "other".to_owned(), rev: Revision::parse("v0").unwrap(), occupant };
    let view = View { foreign: vec![foreign], ..newest() };
    let mut machine = states().into_iter().find(|(name, _)| *name == "looking").unwrap().1;
    for event in [Event::Looked(view), Event::EpochAllotted(Epoch(7))] {
        let _ = machine.handle(NOW, event);
    }
    let actions = machine.handle(NOW, Event::Swept);
    assert!(actions.iter().any(|action| matches!(action, Action::RetireForeign(_))), "{actions:?}");
    machine
}

#[test]
fn nothing_starts_when_what_was_called_silent_has_been_heard_of() {
    let starts = |actions: &bellwether::protocol::Actions| actions.iter().any(|a| matches!(a, Action::Claim { .. }));
    let actions = clearing().handle(NOW, Event::Retired);
    assert!(starts(&actions), "{actions:?}");

    let mut machine = clearing();
    let actions = machine.handle(NOW, Event::RetireLost);
    assert!(!starts(&actions) && actions.iter().any(|action| *action == Action::Look), "{actions:?}");
    assert!(!starts(&machine.handle(NOW, Event::Tick)));
    let actions = machine.handle(NOW, Event::Looked(newest()));
    assert!(starts(&actions), "{actions:?}");
}

#[test]
fn a_wide_plan_runs_64_steps_at_once() {
    let steps = (0..200).map(|n| step(&format!("s{n}"), &[])).collect();
    let plan = Arc::new(Plan::new(steps).unwrap());
    let mut machine = Machine::new(Config::new(plan, Election::Guard, Trust::Trusted, Policy::default()).unwrap());
    let view = View { standing: Standing::Newest, ..View::blank(200) };
    let boot =
        [Event::Started, Event::Looked(view.clone()), Event::VolumePrepared, Event::NeedsMet, Event::GuardGranted];
    for event in boot.into_iter().chain([Event::Looked(view), Event::EpochAllotted(Epoch(1))]) {
        let _ = machine.handle(NOW, event);
    }
    let claims = |actions: bellwether::protocol::Actions| {
        actions.iter().filter(|action| matches!(action, Action::Claim { .. })).count()
    };
    assert_eq!(claims(machine.handle(NOW, Event::Swept)), 64);
    for event in [Event::Claimed(S), Event::Counted(S), Event::Ended(S, StepEnd::Exit(0))] {
        assert_eq!(claims(machine.handle(NOW, event)), 0);
    }
    assert_eq!(claims(machine.handle(NOW, Event::Committed(S))), 1);
}

#[test]
fn a_third_request_to_stop_waits_for_the_volume_no_longer_but_for_the_steps() {
    let state = |name: &str| states().into_iter().find(|(other, _)| *other == name).unwrap().1;
    for (name, running) in [("sweeping", false), ("claiming the step", false), ("running", true)] {
        let mut machine = state(name);
        for _ in 0..3 {
            assert!(matches!(machine.role(), Role::Claiming(_) | Role::Leading | Role::Winding(_)), "{name}");
            let _ = machine.handle(NOW, Event::StopRequested);
        }
        assert_eq!(machine.role() == &Role::Ended(Outcome::Stopped), !running, "{name}");
        if running {
            let _ = machine.handle(NOW, Event::Ended(S, StepEnd::Stopped));
            assert_eq!(machine.role(), &Role::Ended(Outcome::Stopped));
        }
    }
}

//! Says when a promise is broken. It sees what is done, and nothing of what machines think.

use bellwether::protocol::{Revision, StepId, Timestamp};
use bellwether::test_util::world::Life;

use stateright::Property;

use super::Space;
use super::state::{NOW, State};

pub(crate) const P1: &str = "P1: one leader acts";
pub(crate) const P2: &str = "P2: ready is true";
pub(crate) const P3: &str = "P3: done is true";
pub(crate) const P4: &str = "P4: nobody serves early";
pub(crate) const P5: &str = "P5: a beating step is never taken over";
pub(crate) const P6: &str = "P6: a stopped leader leaves nothing in the way";
pub(crate) const P8: &str = "P8: nobody else's lease is made, prolonged or deleted";
pub(crate) const P9: &str = "P9: epochs only grow";
pub(crate) const P11: &str = "P11: failure is bounded";
/// What P1 stands on where the guard is not trusted, as long as Redis forgets nothing.
pub(crate) const COUNTED_ON: &str = "P1: nobody counts on a lease longer than Redis keeps it";
/// What P7 stands on when an answer is lost.
pub(crate) const AGAIN: &str = "P7: whoever asks again for its own lease gets it";

impl Space {
    /// P5: what is taken over, or cleared away, was silent for STEP_STALE_SECS when the successor last looked, or is so now.
    pub(crate) fn judge_takeover(
        &self,
        state: &mut State,
        index: usize,
        (rev, step): (&Revision, StepId),
        shown: Option<(Life, Timestamp)>,
    ) {
        let Some((writer, beaten)) = shown else { return };
        let was_silent = state.memory.silent.contains(&(index, rev.clone(), step));
        let silence = NOW.since(beaten);
        let is_anothers = writer != state.replicas[index].life && !self.locks_are_dropped();
        if is_anothers && !was_silent && silence < self.stale_after {
            state.break_promise(P5);
        }
    }

    /// Called at each look: what it shows to be silent. A claim whose marker is not written yet is silent since it was made.
    pub(crate) fn note_look(&self, state: &mut State, index: usize) {
        let life = state.replicas[index].life;
        for rev in &self.revs {
            for (place, step) in self.plan.iter() {
                let marker = state.volume.marker_of(step.name.as_str(), rev);
                let since = match marker {
                    Some((writer, beaten)) => Some(beaten).filter(|_| writer != life),
                    None => state.memory.bare.get(&(rev.clone(), place)).copied(),
                };
                let key = (index, rev.clone(), place);
                if since.is_some_and(|since| NOW.since(since) >= self.stale_after) {
                    state.memory.silent.insert(key);
                } else {
                    state.memory.silent.remove(&key);
                }
            }
        }
    }

    /// P11: a run begins, and counts until it is given back.
    pub(crate) fn count_run(&self, state: &mut State, rev: &Revision, step: StepId) {
        let spent = state.memory.spent.entry((rev.clone(), step)).or_default();
        *spent += 1;
        if *spent > self.plan.step(step).max_attempts {
            state.break_promise(P11);
        }
    }
}

/// It was stopped by us, or asked to be tried later: that is no failure.
pub(crate) fn uncount_run(state: &mut State, rev: &Revision, step: StepId) {
    if let Some(spent) = state.memory.spent.get_mut(&(rev.clone(), step)) {
        *spent = spent.saturating_sub(1);
    }
}

/// Every promise that the model can tell of.
pub(crate) fn properties() -> Vec<Property<Space>> {
    fn holds(state: &State, promise: &str) -> bool {
        state.broken != Some(promise)
    }
    vec![
        Property::always(P1, |_, state| holds(state, P1)),
        Property::always(P2, |space: &Space, state: &State| {
            let ready =
                |rev: &Revision| !state.volume.ready.contains(rev) || state.volume.is_all_done(&space.plan, rev);
            holds(state, P2) && space.revs.iter().all(ready)
        }),
        Property::always(P3, |_, state| holds(state, P3)),
        Property::always(P4, |_, state| holds(state, P4)),
        Property::always(P5, |_, state| holds(state, P5)),
        Property::always(P6, |_, state| holds(state, P6)),
        Property::always(P8, |_, state| holds(state, P8)),
        Property::always(P9, |_, state| holds(state, P9)),
        Property::always(P11, |_, state| holds(state, P11)),
        Property::always(COUNTED_ON, |space: &Space, state: &State| {
            space.redis_forgets()
                || state.replicas.iter().all(|replica| {
                    let until = replica.machine.lease_until().filter(|&until| replica.is_alive() && until > NOW);
                    until.is_none_or(|until| state.redis.until(NOW, replica.life).is_some_and(|kept| until <= kept))
                })
        }),
        Property::always(AGAIN, |_, state| holds(state, AGAIN)),
    ]
}

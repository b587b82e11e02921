//! What the model has found: each as the shortest story that shows it.

use std::sync::Arc;
use std::time::Duration;

use bellwether::protocol::{
    Action, Config, Election, Epoch, Event, LeaseTimes, Machine, Outcome, Plan, Policy, Standing, Timestamp, Trust,
    View,
};

use crate::world::step;

/// An announcement makes a follower ask while its first question still waits for a connection. The first is refused and
/// was sent after the second was decided upon; the second is granted. Whoever ends then has a lease to give back.
#[test]
fn a_follower_that_got_the_lease_by_its_second_question_gives_it_back_when_it_ends() {
    let secs = Duration::from_secs;
    let times = LeaseTimes::new(secs(12), None, secs(1), secs(120), Trust::Trusted).unwrap();
    let plan = Arc::new(Plan::new(vec![step("site", &[])]).unwrap());
    let config = Config::new(plan, Election::Lease(times), Trust::Trusted, Policy::default()).unwrap();
    let looked = || Event::Looked(View { standing: Standing::Newest, ..View::blank(1) });
    let at = |millis: u64| Timestamp::from_millis(5_000 + millis);
    let mut machine = Machine::new(config);
    let mut asked = 0;
    let mut hand = |millis: u64, event: Event| {
        let actions = machine.handle(at(millis), event);
        asked += actions.iter().filter(|action| **action == Action::AcquireLease).count();
        actions.into_iter().collect::<Vec<Action>>()
    };
    for event in [Event::Started, looked(), Event::VolumePrepared, Event::NeedsMet] {
        hand(0, event);
    }
    hand(100, Event::Announced);
    hand(101, looked());
    hand(200, Event::LeaseDenied { sent: at(150), left: secs(12) });
    let last = hand(300, Event::LeaseGranted { sent: at(250), epoch: Epoch(0) });
    assert!(last.contains(&Action::TakeGuard), "{last:?}");
    let last = hand(400, Event::StopRequested);
    assert_eq!(asked, 2);
    assert!(last.contains(&Action::ReleaseLease) && last.contains(&Action::End(Outcome::Stopped)), "{last:?}");
}

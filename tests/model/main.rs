//! The model.

mod space;

use space::INSTANCES;
use stateright::{Checker, Model};

#[test]
fn collect() {
    let filter = std::env::var("F").unwrap_or_default();
    for instance in INSTANCES.iter().filter(|i| i.name.contains(&filter)) {
        let begun = std::time::Instant::now();
        let checker = instance.space().checker().threads(2).target_state_count(std::env::var("N").map_or(3_000_000, |n| n.parse().unwrap())).spawn_bfs().join();
        println!("{:40} {:9} unique {:9} generated depth {} {:?}", instance.name, checker.unique_state_count(), checker.state_count(), checker.max_depth(), begun.elapsed());
        for (name, path) in checker.discoveries() {
            if space::TRANSITIONS.iter().any(|t| t.2 == name) { continue }
            println!("DISCOVERY {name}");
            for (_, act) in path.into_vec() { println!("   {act:?}"); }
        }
    }
    println!("{:#?}", space::UNKNOWN.lock().unwrap());
}

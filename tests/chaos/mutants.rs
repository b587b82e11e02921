//! Rounds with a fault in the binary itself, switched on by name as in the model: whether the referee finds it, where, and as what.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::sync::Mutex;

use bellwether::protocol::mutant;

use crate::campaign;
use crate::options::Options;

/// By which the binary is told, if it has been built with faults.
pub(crate) const VARIABLE: &str = "_BELLWETHER_MUTANT";

/// In the place of a name.
pub(crate) const NONE: &str = "-";

/// The name, if rounds can be played with that.
pub(crate) fn known(name: &str) -> Result<String, String> {
    if !cfg!(feature = "_mutants") {
        return Err(
            "--mutant: this was built without faults; `tests/run chaos --mutant NAME` builds it with them".to_owned()
        );
    }
    let names = mutant::ALL.map(|(name, _)| name);
    if names.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("--mutant: {name:?} is none of these: {}", names.join(", ")))
}

/// Plays rounds until one is broken, and says what the first one was.
pub(crate) fn hunt(name: &str, options: &Options) -> io::Result<bool> {
    let (found, played) = (Mutex::new(BTreeMap::new()), Mutex::new(0_u64));
    campaign::each(options, |seed, result, scratch| {
        *played.lock().expect("no other thread has panicked") += 1;
        let findings = match result {
            Ok(tally) => tally.findings,
            // Whatever that is, no breach was found.
            Err(problem) => {
                println!("round {seed}: {problem}");
                Vec::new()
            }
        };
        if options.tells_all {
            println!("{}", fs::read_to_string(scratch.round(seed).join("timeline")).unwrap_or_default());
        }
        let _ = fs::remove_dir_all(scratch.round(seed));
        if findings.is_empty() {
            return ControlFlow::Continue(());
        }
        found.lock().expect("no other thread has panicked").insert(seed, findings);
        ControlFlow::Break(())
    })?;
    let (found, played) = (found.into_inner(), played.into_inner());
    let (found, played) = (found.expect("no thread has panicked"), played.expect("no thread has panicked"));
    match found.first_key_value() {
        Some((seed, findings)) => {
            // An exit code that nothing explains is a breach, but says less than a promise.
            let first = findings.iter().find(|finding| finding.starts_with('P')).unwrap_or(&findings[0]);
            println!("{name}: found in round {seed}, of {played} played: {first}");
        }
        None => println!("{name}: not found in {played} rounds"),
    }
    Ok(!found.is_empty())
}

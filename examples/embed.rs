//! A program that does the one-off work of its release before it serves: `cargo run --example embed -- VOLUME REVISION`.
//! Start it as often as you like, at once or one after another: `migrate` and `assets` are done once for each revision.
#![expect(clippy::print_stdout, reason = "an example has something to show")]

use bellwether::{Bootstrap, Outcome, Step};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // First of all: each command runs under a small process, which is this program once more.
    bellwether::shim_if_asked();

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [volume, revision] = arguments.try_into().map_err(|_| "usage: embed VOLUME REVISION")?;
    let replica = Bootstrap::new(revision, volume)
        .step(Step::run("migrate", |context| async move {
            println!("migrating to {}", context.revision());
            Ok(())
        }))
        .step(Step::command("assets", ["sh", "-c", "date > \"$BELLWETHER_VOLUME/assets\""]).after("migrate"))
        .build()?;
    match replica.run_blocking()? {
        Outcome::Ready => println!("serving"),
        other => return Err(format!("not serving: {other:?}").into()),
    }
    Ok(())
}

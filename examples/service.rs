//! A server on a runtime of many threads that bootstraps itself and can be stopped meanwhile:
//! `cargo run --example service -- VOLUME REVISION COMMAND…`
#![expect(clippy::print_stdout, reason = "an example has something to show")]

use bellwether::{Bootstrap, Outcome, Step};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    bellwether::shim_if_asked();

    let mut arguments = std::env::args().skip(1);
    let (Some(volume), Some(revision)) = (arguments.next(), arguments.next()) else {
        return Err("usage: service VOLUME REVISION COMMAND…".into());
    };
    let bootstrap = Bootstrap::new(revision, volume).step(Step::command("build", arguments));
    let running = bootstrap.build()?.start()?;

    // Signals are the program's own business: the first one stops the steps, the second one kills them.
    let (stopper, mut terminate) = (running.stopper(), signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        while terminate.recv().await.is_some() {
            stopper.stop();
        }
    });

    match running.await? {
        Outcome::Ready => println!("serving"),
        Outcome::Stopped => println!("stopped before it was ready"),
        other => return Err(format!("not serving: {other:?}").into()),
    }
    Ok(())
}

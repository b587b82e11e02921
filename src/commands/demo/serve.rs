//! The real command of the demo's replicas: an HTTP server that says who it is.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::commands::{complain, print};
use crate::exit::Exit;
use crate::volume::UnixMillis;

/// Asks for the server; its replica's name follows.
pub(super) const ARGUMENT: &str = "__serve";
/// No client is waited for longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it prints when it serves.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Greeting {
    /// Where: address and port.
    pub(super) address: String,
    /// When it began, by its wall clock.
    pub(super) began: UnixMillis,
}

/// What it answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Answer {
    /// Its replica's name.
    pub(super) replica: String,
    /// The revision it serves.
    pub(super) rev: String,
    /// Its process id.
    pub(super) pid: i32,
}

/// Serves until whoever started it closes its standard input.
pub(super) fn serve(arguments: &[OsString]) -> Exit {
    let began = UnixMillis::wall_clock();
    let name = arguments.first().and_then(|name| name.to_str()).unwrap_or("?").to_owned();
    match try_serve(&name, began) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            complain(&format!("cannot serve: {error}"));
            Exit::Software
        }
    }
}

fn try_serve(name: &str, began: UnixMillis) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let greeting = Greeting { address: listener.local_addr()?.to_string(), began };
    print(&serde_json::to_string(&greeting)?);
    // Nobody is left to serve for when the demo is gone, however it went.
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(Exit::Ok.code())
    });
    let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    let rev = std::env::var("IMAGE_REV").unwrap_or_default();
    let answer = serde_json::to_string(&Answer { replica: name.to_owned(), rev, pid })?;
    for client in listener.incoming() {
        // A client that breaks off harms nobody.
        let _ = client.and_then(|client| respond(&client, &answer));
    }
    Ok(())
}

fn respond(mut client: &TcpStream, answer: &str) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(client.take(8192)).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let length = answer.len() + 1;
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{answer}\n"
    )
}

//! Acquiring, renewing and releasing the lease, against the same three scripts sent by themselves: `cargo bench --bench
//! cycle [ROUNDS]`. Ends with 1 if the budget is missed. Wants an otherwise idle machine.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "its output are the figures")]

#[expect(dead_code, reason = "what tests use")]
#[path = "../tests/redis_server/mod.rs"]
mod redis_server;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use bellwether::lease::{Answer, Holder, LeaseClient, LeaseSetup, Server};
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;
use uuid::Uuid;

use redis_server::RedisServer;

const TTL: Duration = Duration::from_secs(30);
const BUDGET: f64 = 1.3;
/// Both take turns, so that a machine that changes its pace changes it for both.
const TURNS: u32 = 20;

/// The lease's client.
struct Ours {
    client: LeaseClient,
    answers: UnboundedReceiver<Answer>,
}

impl Ours {
    fn start(redis: &RedisServer) -> Ours {
        let holder =
            Holder { token: Uuid::from_u128(1), host: "bench".to_owned(), pid: 1, rev: "v1".to_owned(), epoch: None };
        let server = Server::parse(&redis.url()).unwrap();
        let setup = LeaseSetup { server, scope: "ours".to_owned(), holder, ttl: TTL, request_limit: TTL };
        let (answer, answers) = unbounded_channel();
        let client = LeaseClient::start(setup, move |told| {
            if !matches!(told, Answer::Announced) {
                answer.send(told).unwrap();
            }
        });
        Ours { client, answers }
    }

    async fn granted(&mut self) {
        let answer = self.answers.recv().await.unwrap();
        assert!(matches!(answer, Answer::Granted { .. }), "{answer:?}");
    }

    async fn cycle(&mut self) {
        self.client.acquire();
        self.granted().await;
        self.client.renew();
        self.granted().await;
        // Not answered: whoever asks for the lease next waits for it.
        self.client.release();
    }
}

/// The scripts by their digests, on one connection.
struct Bare {
    connection: MultiplexedConnection,
    digests: [String; 3],
}

impl Bare {
    async fn start(redis: &RedisServer) -> Bare {
        let client = redis::Client::open(redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut digests = Vec::new();
        for text in [
            include_str!("../src/lease/scripts/acquire.lua"),
            include_str!("../src/lease/scripts/renew.lua"),
            include_str!("../src/lease/scripts/release.lua"),
        ] {
            digests.push(redis::cmd("SCRIPT").arg("LOAD").arg(text).query_async(&mut connection).await.unwrap());
        }
        Bare { connection, digests: digests.try_into().unwrap() }
    }

    async fn cycle(&mut self) {
        let (mark, value) = ("{\"token\":\"2\"", "{\"token\":\"2\",\"host\":\"bench\",\"pid\":1,\"rev\":\"v1\"}");
        for digest in &self.digests[..2] {
            let mut command = redis::cmd("EVALSHA");
            command.arg(digest).arg(2).arg("bellwether:{bare}:lease").arg("bellwether:{bare}:epoch");
            command.arg(mark).arg(value).arg(TTL.as_secs() * 1000).arg(0);
            let (ours, ..): (bool, Option<String>, i64) = command.query_async(&mut self.connection).await.unwrap();
            assert!(ours);
        }
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.digests[2]).arg(1).arg("bellwether:{bare}:lease");
        command.arg(mark).arg("bellwether:{bare}:events").arg("2");
        let (ours, ..): (bool, Option<String>, i64) = command.query_async(&mut self.connection).await.unwrap();
        assert!(ours);
    }
}

async fn measure(rounds: u32) -> [Duration; 2] {
    let redis = RedisServer::start();
    let (mut ours, mut bare) = (Ours::start(&redis), Bare::start(&redis).await);
    let mut spent = [Duration::ZERO; 2];
    for turn in 0..=TURNS {
        let begun = Instant::now();
        for _ in 0..rounds / TURNS {
            ours.cycle().await;
        }
        // The last release is over when this is granted.
        ours.client.acquire();
        ours.granted().await;
        let between = Instant::now();
        for _ in 0..rounds / TURNS {
            bare.cycle().await;
        }
        // The first turn warms up.
        if turn > 0 {
            spent[0] += between - begun;
            spent[1] += between.elapsed();
        }
    }
    spent
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    // Tests run benchmarks, too, and have better things to do.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let rounds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let [ours, bare] = runtime.block_on(measure(rounds)).map(|spent| spent.as_secs_f64() * 1e6 / f64::from(rounds));
    let ratio = ours / bare;
    let verdict = if ratio <= BUDGET { "ok" } else { "MISSED" };
    println!("| acquire, renew, release | µs | × bare | budget | |\n|---|---|---|---|---|");
    println!("| the lease's client | {ours:.0} | {ratio:.2} | ≤ {BUDGET} | {verdict} |");
    println!("| the scripts alone | {bare:.0} | 1 | | |");
    if ratio <= BUDGET { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

//! What a server answers that may be no Redis at all.

use std::time::Duration;

use bellwether::lease::{Answer, Failure, Holder, LeaseClient, LeaseSetup, Server, peek};
use bellwether::protocol::Epoch;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{TOKEN, is_message};

/// What mutations begin with: a mode, then what is answered to one reading after another, with 0xff between.
pub(crate) const SEEDS: &[&[u8]] = &[
    b"\x01+OK\r\n+PONG\r\n\xff*3\r\n:1\r\n$1\r\n7\r\n:0\r\n",
    b"\x01+OK\r\n+PONG\r\n\xff*3\r\n:0\r\n$105\r\n{\"token\":\"65432109-8765-4321-8765-432109876543\",\"host\":\"w\",\"pid\":7,\"rev\":\"v2\",\"epoch\":null}       \r\n:29000\r\n",
    b"\x01+OK\r\n+PONG\r\n\xff-NOSCRIPT no\r\n\xff*3\r\n:0\r\n$-1\r\n:-1\r\n",
    b"\x01+OK\r\n+PONG\r\n\xff$1\r\n7\r\n:29000\r\n$1\r\n9\r\n",
    b"\x01+OK\r\n+PONG\r\n\xff*3\r\n$9\r\nsubscribe\r\n$25\r\nbellwether:{flock}:events \r\n:1\r\n",
    b"\x01-WRONGPASS hunter2-of-the-abuse is wrong\r\n",
    b"\x01+OK\r\n-NOPERM no\r\n\xff-ERR Error running script: -READONLY no\r\n",
    b"\x01+OK\r\n+PONG\r\n\xff%1\r\n+a\r\n~1\r\n_\r\n>2\r\n+push\r\n(123\r\n",
    b"\x01HTTP/1.1 400 Bad Request\r\n\r\n",
];

/// A mode with this bit hangs up when all is said; else nothing more is ever heard.
const HANGS_UP: u8 = 1;
/// A mode with this bit says it byte by byte.
const STUTTERS: u8 = 2;

/// For one request of a client, when the server is silent in the end.
const LIMIT: Duration = Duration::from_secs(1);
/// For one when it hangs up: what takes longer hangs. Whatever else this machine has to do fits in as well.
const PATIENT: Duration = Duration::from_secs(20);
/// So long the server waits for a question before it gives its next answer: what is asked in one go may be answered in
/// several.
const PAUSE: Duration = Duration::from_millis(1);
/// Requests of one property: a look, and acquire, renew and release.
const REQUESTS: u32 = 4;
/// The runtime's timers have whole milliseconds.
const GRAIN: Duration = Duration::from_millis(20);

pub(crate) fn holds(input: &[u8]) {
    let Some((&mode, answers)) = input.split_first() else { return };
    let answers: Vec<Vec<u8>> = answers.split(|&byte| byte == 0xff).map(<[u8]>::to_vec).collect();
    let hangs_up = mode & HANGS_UP != 0;
    // A silent server costs no time in virtual time. A hang-up is heard in real time alone: the virtual one may go on to
    // the next timer while something waits to be read.
    let (limit, longest) = if hangs_up { (PATIENT, PATIENT) } else { (LIMIT, LIMIT * REQUESTS + GRAIN) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(!hangs_up).build();
    runtime.expect("a runtime").block_on(async {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a scratch directory");
        let server = serve(&dir, mode, answers);
        let began = Instant::now();
        if let Err(failure) = peek(&server.address, "flock", limit).await {
            is_a_failure(&failure, &server.address);
        }
        ask(&server.address, limit).await;
        let took = began.elapsed();
        assert!(took < longest, "{took:?} for what takes less than {longest:?}");
    });
}

struct Played {
    address: Server,
    _task: JoinSet<()>,
}

/// The server: says the same to whoever comes.
fn serve(dir: &TempDir, mode: u8, answers: Vec<Vec<u8>>) -> Played {
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).expect("a socket");
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut kept = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.spawn(play(stream, mode, answers.clone()));
        }
    });
    let address = Server::parse(&format!("unix://{}?user=u&pass={TOKEN}", path.display())).expect("a URL");
    Played { address, _task: task }
}

async fn play(mut stream: UnixStream, mode: u8, answers: Vec<Vec<u8>>) {
    for answer in answers {
        let _ = timeout(PAUSE, stream.read(&mut [0; 4096])).await;
        let size = if mode & STUTTERS == 0 { answer.len().max(1) } else { 1 };
        for chunk in answer.chunks(size) {
            let _ = stream.write_all(chunk).await;
            tokio::task::yield_now().await;
        }
    }
    if mode & HANGS_UP == 0 {
        std::future::pending::<()>().await;
    }
}

/// Every request is answered by what is known, and nothing is believed that was not said.
async fn ask(server: &Server, limit: Duration) {
    let token = Uuid::from_u128(7);
    let holder = Holder { token, host: "web".to_owned(), pid: 7, rev: "v1".to_owned(), epoch: None, ttl_ms: None };
    let (server, scope) = (server.clone(), "flock".to_owned());
    let setup = LeaseSetup { server: server.clone(), scope, holder, ttl: Duration::from_secs(9), request_limit: limit };
    let (tell, mut told) = unbounded_channel();
    let client = LeaseClient::start(setup, move |answer| {
        let _ = tell.send(answer);
    });
    client.acquire();
    let answer = next(&mut told, &server, limit).await;
    assert!(!matches!(answer, Answer::NotMine | Answer::NotReleased(_)), "{answer:?}");
    client.renew();
    let answer = next(&mut told, &server, limit).await;
    assert!(!matches!(answer, Answer::Denied { .. } | Answer::NotReleased(_)), "{answer:?}");
    client.release();
    if let Err(failure) = client.finish().await {
        is_a_failure(&failure, &server);
    }
}

/// The next answer to what was asked.
async fn next(told: &mut UnboundedReceiver<Answer>, server: &Server, limit: Duration) -> Answer {
    loop {
        let answer = timeout(limit * 2, told.recv()).await.expect("an answer in time").expect("the client lives");
        match &answer {
            Answer::Announced => continue,
            Answer::Deaf(failure) => {
                is_a_failure(failure, server);
                continue;
            }
            Answer::Unreachable(failure) | Answer::NotReleased(failure) => is_a_failure(failure, server),
            Answer::Granted { epoch, .. } => assert!(*epoch < Epoch(1 << 53), "{epoch}"),
            Answer::Denied { left, foreign, .. } => {
                assert!(foreign.is_none() || *left == Duration::from_secs(5));
                if let Some(failure) = foreign {
                    is_a_failure(failure, server);
                }
            }
            Answer::NotMine => {}
        }
        return answer;
    }
}

/// One sentence that says where, without the password.
fn is_a_failure(failure: &Failure, server: &Server) {
    let text = failure.to_string();
    is_message(&text, 1000);
    assert!(text.contains(&server.to_string()), "{text}");
}

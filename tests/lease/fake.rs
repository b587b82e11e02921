//! Servers that are no Redis, or one that real ones are not easily made to play.

use std::net::SocketAddr;

use bellwether::lease::{FailureClass, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::replica::{PATIENT, SHORT, start};

/// Answers each thing it is told with the next of `answers`; then hangs up.
async fn serve(answers: &'static [&'static [u8]]) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
            }
        }
    });
    (address, task)
}

async fn failure_from(answers: &'static [&'static [u8]]) -> bellwether::lease::Failure {
    let (address, _task) = serve(answers).await;
    let mut replica = start(1, Server::tcp(&address.ip().to_string(), address.port()), PATIENT);
    replica.failure().await
}

#[tokio::test]
async fn what_does_not_speak_redis_in_clear_is_said_so() {
    const TLS_ALERT: &[u8] = b"\x15\x03\x01\x00\x02\x02\x46";
    let table: [&[&[u8]]; 5] =
        [&[TLS_ALERT], &[], &[b"HTTP/1.1 400 Bad Request\r\n\r\n"], &[b"SSH-2.0-OpenSSH\r\n"], &[b"+PONG"]];
    for answers in table {
        let failure = failure_from(answers).await;
        assert_eq!(failure.class, FailureClass::NotRedis, "{failure}");
        assert!(failure.to_string().contains("does it want TLS"), "{failure}");
        assert!(!failure.to_string().contains(char::is_control), "{failure:?}");
    }
}

#[tokio::test]
async fn what_a_server_says_instead_of_answering_decides() {
    let table: [(&[&[u8]], FailureClass); 7] = [
        (&[b"-LOADING Redis is loading the dataset in memory\r\n"], FailureClass::Loading),
        (&[b"-ERR max number of clients reached\r\n"], FailureClass::TooManyClients),
        (&[b"-DENIED Redis is running in protected mode because ...\r\n"], FailureClass::Protected),
        (&[b"+PONG\r\n", b"-LOADING Redis is loading the dataset in memory\r\n"], FailureClass::Loading),
        (&[b"+PONG\r\n", b"-MOVED 42 10.0.0.1:6379\r\n"], FailureClass::Cluster),
        (&[b"+PONG\r\n", b"-NOSCRIPT No matching script.\r\n", b"-CLUSTERDOWN down\r\n"], FailureClass::Cluster),
        (&[b"+PONG\r\n"], FailureClass::Closed),
    ];
    for (answers, class) in table {
        let failure = failure_from(answers).await;
        assert_eq!(failure.class, class, "{failure}");
    }
}

#[tokio::test]
async fn a_password_that_is_repeated_is_not_shown() {
    let (address, _task) = serve(&[b"-WRONGPASS hunter2 is wrong\r\n"]).await;
    let server = Server::tcp("127.0.0.1", address.port()).with_password("hunter2");
    let failure = start(1, server, PATIENT).failure().await;
    assert_eq!(failure.class, FailureClass::WrongPassword);
    assert!(failure.to_string().contains("WRONGPASS *** is wrong"), "{failure}");
    assert!(!format!("{failure:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_server_that_accepts_and_is_silent_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::tcp("127.0.0.1", listener.local_addr().unwrap().port());
    let mut replica = start(1, server, SHORT);
    assert_eq!(replica.failure_class().await, FailureClass::Timeout);
    assert_eq!(replica.failure_class().await, FailureClass::Timeout);
}

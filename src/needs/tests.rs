use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::probe::try_once;
use super::wait::await_with;
use super::*;

fn need(text: &str) -> Need {
    Need::parse(text).expect(text)
}

/// An address where nobody listens.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn class_of(text: &str) -> Result<(), FailureClass> {
    try_once(&need(text)).await.map_err(|failure| failure.class)
}

#[test]
fn mistakes_name_the_part_that_is_wrong() {
    let table = [
        ("db:3306", NeedError::Scheme),
        ("ftp://db", NeedError::Scheme),
        ("https://db", NeedError::Tls("https")),
        ("tcp://db", NeedError::Port),
        ("tcp://db:x", NeedError::Port),
        ("tcp://db:0", NeedError::Port),
        ("tcp://:1", NeedError::Host),
        ("tcp://[::1:1", NeedError::Host),
        ("http://u:p@db/", NeedError::User),
        ("http://db/a b", NeedError::Path),
        ("file://relative", NeedError::Path),
        ("file:///a%00b", NeedError::Path),
    ];
    for (text, expected) in table {
        assert_eq!(Need::parse(text), Err(expected), "{text}");
    }
}

#[test]
#[cfg(feature = "redis")]
fn passwords_are_not_shown() {
    for (text, shown) in [
        ("redis://u:hunter2@db:1/2", "redis://u:***@db:1/2"),
        ("redis://:hunter2@db", "redis://:***@db"),
        ("redis://u:a:b@db", "redis://u:***@db"),
        ("redis://db", "redis://db"),
    ] {
        assert_eq!(need(text).to_string(), shown);
        assert_eq!(format!("{:?}", need(text)), format!("Need({shown})"));
    }
    assert_eq!(need("redis://u:p%40ss@db").password(), Some("p@ss"));
}

#[test]
#[cfg(not(feature = "redis"))]
fn redis_needs_the_feature() {
    assert_eq!(Need::parse("redis://db"), Err(NeedError::NoRedis));
}

#[tokio::test]
async fn a_port_is_met_when_somebody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(class_of(&format!("tcp://127.0.0.1:{port}")).await, Ok(()));
    assert_eq!(class_of(&format!("tcp://127.0.0.1:{}", free_port())).await, Err(FailureClass::Refused));
    // Too long for a name, so no network is asked.
    let host = "x".repeat(64);
    assert_eq!(class_of(&format!("tcp://{host}:1")).await, Err(FailureClass::UnknownHost));
}

#[tokio::test]
async fn a_file_is_met_when_it_exists() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}/a%20b", dir.path().display());
    assert_eq!(class_of(&url).await, Err(FailureClass::Missing));
    std::fs::write(dir.path().join("a b"), "").unwrap();
    assert_eq!(class_of(&url).await, Ok(()));
    assert_eq!(class_of(&format!("{url}/c")).await, Err(FailureClass::Unreadable));
}

/// What a server gets that answers one request with `answer`, and what we make of it.
async fn asked(answer: &str) -> (String, Result<(), FailureClass>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/health?x=1", listener.local_addr().unwrap());
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1024];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request[..length].to_vec()).unwrap()
    };
    tokio::join!(serve, class_of(&url))
}

#[tokio::test]
async fn http_is_met_by_success_and_redirection() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Ok(())),
        ("HTTP/1.0 204 No Content\r\n\r\n", Ok(())),
        ("HTTP/1.1 302 Found\r\n\r\n", Ok(())),
        ("HTTP/1.1 404 Not Found\r\n\r\n", Err(FailureClass::NotReady)),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Err(FailureClass::NotReady)),
        ("SSH-2.0-OpenSSH\r\n", Err(FailureClass::NotReady)),
        ("", Err(FailureClass::NotReady)),
        ("HTTP/1.1 ä", Err(FailureClass::NotReady)),
    ] {
        let (request, result) = asked(answer).await;
        assert_eq!(result, expected, "{answer}");
        assert!(request.starts_with("GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
        assert!(request.ends_with("\r\n\r\n"), "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_counts_as_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    assert_eq!(class_of(&url).await, Err(FailureClass::Timeout));
}

#[tokio::test(start_paused = true)]
async fn each_class_of_failure_is_told_once_and_every_30_seconds() {
    let needs = [need("tcp://db:1")];
    let told = RefCell::new(Vec::new());
    let tries = Cell::new(0);
    let begin = tokio::time::Instant::now();
    let result = await_with(
        &needs,
        None,
        |event| told.borrow_mut().push(event.to_string()),
        async |_: &Need| {
            tries.set(tries.get() + 1);
            match begin.elapsed().as_secs() {
                0..40 => Err(Failure::new(FailureClass::Refused, "refused")),
                40..50 => Err(Failure::new(FailureClass::Timeout, "timeout")),
                _ => Ok(()),
            }
        },
    );
    assert_eq!(result.await, Ok(()));
    assert_eq!(tries.get(), 14);
    insta::assert_snapshot!(told.into_inner().join("\n"), @r"
    waiting for tcp://db:1 for 0.0 s so far: refused
    waiting for tcp://db:1 for 32.5 s so far: refused
    waiting for tcp://db:1 for 42.5 s so far: timeout
    tcp://db:1 is there after 52.5 s
    ");
}

#[tokio::test(start_paused = true)]
async fn needs_are_waited_for_side_by_side_and_the_missing_are_listed() {
    let needs = [need("tcp://a:1"), need("tcp://b:2"), need("file:///c")];
    let begin = tokio::time::Instant::now();
    let limit = Some(Duration::from_secs(7));
    let result = await_with(
        &needs,
        limit,
        |_| {},
        async |need: &Need| match need.to_string().as_str() {
            "tcp://b:2" => Ok(()),
            "file:///c" => Err(Failure::new(FailureClass::Missing, "is not there")),
            _ => Err(Failure::new(FailureClass::Refused, "refused")),
        },
    );
    let error = result.await.unwrap_err();
    assert_eq!(begin.elapsed(), Duration::from_secs(7));
    insta::assert_snapshot!(error, @"after 7 s the plan still needs tcp://a:1 (refused), file:///c (is not there); BELLWETHER_NEEDS_WAIT_SECS says how long to wait");
}

#[tokio::test]
async fn no_needs_are_met_at_once() {
    assert_eq!(await_all(&[], Some(Duration::ZERO), |_| {}).await, Ok(()));
}

#[cfg(feature = "redis")]
mod redis_server {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A real server on a free port; killed when dropped.
    struct Server {
        child: Child,
        port: u16,
        _dir: tempfile::TempDir,
    }

    impl Server {
        fn start() -> Server {
            let dir = tempfile::tempdir().unwrap();
            let port = free_port();
            let child = Command::new("redis-server")
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--requirepass", "hunter2"])
                .current_dir(dir.path())
                .stdout(Stdio::null())
                .spawn()
                .expect("these tests need redis-server");
            Server { child, port, _dir: dir }
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }

    #[tokio::test]
    async fn redis_is_met_when_it_answers_ping() {
        let server = Server::start();
        let url = |user: &str| format!("redis://{user}127.0.0.1:{}/1", server.port);
        let met = await_all(&[need(&url(":hunter2@"))], Some(Duration::from_secs(20)), |_| {}).await;
        assert_eq!(met, Ok(()));
        assert_eq!(class_of(&url("default:hunter2@")).await, Ok(()));
        assert_eq!(class_of(&url("")).await, Err(FailureClass::Password));
        assert_eq!(class_of(&url(":wrong@")).await, Err(FailureClass::Password));
        assert_eq!(class_of(&url("nobody:hunter2@")).await, Err(FailureClass::Password));
    }

    #[tokio::test]
    async fn redis_that_is_not_there_is_told_apart() {
        let url = format!("redis://127.0.0.1:{}", free_port());
        assert_eq!(class_of(&url).await, Err(FailureClass::Refused));
    }
}

//! A real `redis-server` for tests: on a free TCP port and on a socket, in a directory of its own, killed when dropped.
//!
//! A test crate that does not use all of it puts `#[expect(dead_code, reason = "…")]` on its `mod redis_server`.

mod resp;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use resp::Conversation;

/// Longer than anything takes on the busiest machine.
const LIMIT: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(2);

/// One server. It keeps nothing on disk: a restarted one is empty.
pub(crate) struct RedisServer {
    dir: tempfile::TempDir,
    port: u16,
    args: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one, and waits until it answers.
    pub(crate) fn start() -> RedisServer {
        RedisServer::start_with(&[])
    }

    /// Starts one with further arguments, such as `--requirepass`.
    pub(crate) fn start_with(args: &[&str]) -> RedisServer {
        let args = args.iter().map(ToString::to_string).collect();
        let mut server = RedisServer { dir: tempfile::tempdir().unwrap(), port: 0, args, child: None };
        // Between our look and the server's somebody else may take the port.
        wait_for("a redis-server on a free port", || {
            server.port = free_port();
            server.try_start()
        });
        server
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// `redis://127.0.0.1:port`.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A conversation as the default user, with the password that it was started with.
    fn converse(&self) -> Conversation {
        let mut conversation = Conversation::open(&self.socket());
        let password = self.args.iter().skip_while(|arg| *arg != "--requirepass").nth(1);
        if let Some(password) = password {
            assert_eq!(conversation.ask(&["AUTH", password]), "OK");
        }
        conversation
    }

    /// Runs one command as the default user, on a connection of its own. An error begins with `-`, nothing is `(nil)`,
    /// a list has one line for each of its elements.
    pub(crate) fn cli(&self, command: &[&str]) -> String {
        self.converse().ask(command)
    }

    /// Sees every command from now on.
    pub(crate) fn monitor(&self) -> Monitor {
        let mut conversation = self.converse();
        assert_eq!(conversation.ask(&["MONITOR"]), "OK");
        Monitor { conversation, marks: 0 }
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again, empty, on the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        wait_for("redis-server on the port it had", || self.try_start());
    }

    /// Stops it with SIGSTOP: it accepts, but does not answer.
    pub(crate) fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
        let stat = format!("/proc/{}/stat", self.pid().as_raw_nonzero());
        wait_for("a frozen redis-server", || std::fs::read_to_string(&stat).unwrap().contains(") T ").then_some(()));
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("the server runs"))
    }

    /// Nothing if it does not get its port.
    fn try_start(&mut self) -> Option<()> {
        let socket = self.socket();
        // The one a killed server has left behind answers nobody.
        let _ = std::fs::remove_file(&socket);
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--unixsocket"])
            .arg(&socket)
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.dir.path())
            .args(&self.args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need redis-server");
        self.child = Some(child);
        // It listens on its port before it answers on its socket, or ends.
        let answers = wait_for("redis-server to answer or to end", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap()).is_some();
            if ended { Some(false) } else { is_answering(&socket).then_some(true) }
        });
        answers.then_some(())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sees every command a server is asked, as [`RedisServer::monitor`] says.
pub(crate) struct Monitor {
    conversation: Conversation,
    marks: usize,
}

impl Monitor {
    /// What has been asked until now, as the server writes it (`… [0 127.0.0.1:1234] "GET" "key"`; what scripts do is
    /// marked `[0 lua]`), since the last call.
    pub(crate) fn lines(&mut self, server: &RedisServer) -> Vec<String> {
        self.marks += 1;
        let mark = format!("mark {}", self.marks);
        assert_eq!(server.cli(&["ECHO", &mark]), mark);
        let mut lines = Vec::new();
        loop {
            let line = self.conversation.read();
            if line.ends_with(&format!(r#""ECHO" "{mark}""#)) {
                return lines;
            }
            lines.push(line);
        }
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whatever it answers: it may want a password.
fn is_answering(socket: &Path) -> bool {
    let answer = Conversation::try_open(socket).and_then(|mut conversation| conversation.try_ask(&["PING"]));
    answer.is_ok_and(|answer| !answer.starts_with("-LOADING"))
}

#[track_caller]
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LIMIT.as_millis() / TICK.as_millis() {
        if let Some(seen) = look() {
            return seen;
        }
        thread::sleep(TICK);
    }
    panic!("never seen: {what}");
}

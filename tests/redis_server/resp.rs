//! As much of Redis's protocol as a test needs to ask on its own.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::LIMIT;

/// One connection.
pub(super) struct Conversation(BufReader<UnixStream>);

impl Conversation {
    pub(super) fn open(socket: &Path) -> Conversation {
        Conversation::try_open(socket).expect("the server runs")
    }

    pub(super) fn try_open(socket: &Path) -> io::Result<Conversation> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Conversation(BufReader::new(stream)))
    }

    pub(super) fn ask(&mut self, command: &[&str]) -> String {
        self.try_ask(command).expect("the server answers")
    }

    pub(super) fn try_ask(&mut self, command: &[&str]) -> io::Result<String> {
        let mut request = format!("*{}\r\n", command.len());
        for word in command {
            write!(request, "${}\r\n{word}\r\n", word.len()).expect("a text takes everything");
        }
        self.0.get_mut().write_all(request.as_bytes())?;
        self.try_read()
    }

    pub(super) fn read(&mut self) -> String {
        self.try_read().expect("the server goes on")
    }

    fn try_read(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_at(1);
        let length = || rest.parse::<usize>().ok();
        match (kind, length()) {
            ("$", Some(length)) => {
                let mut text = vec![0; length + 2];
                self.0.read_exact(&mut text)?;
                Ok(String::from_utf8_lossy(&text[..length]).into_owned())
            }
            ("*", Some(length)) => {
                let elements: io::Result<Vec<String>> = (0..length).map(|_| self.try_read()).collect();
                Ok(elements?.join("\n"))
            }
            ("$" | "*", None) => Ok("(nil)".to_owned()),
            ("-", _) => Ok(line.to_owned()),
            _ => Ok(rest.to_owned()),
        }
    }
}

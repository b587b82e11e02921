//! The thread that writes log lines to stderr: a log that nobody reads must not stop the loop.
//!
//! A full pipe (a stalled log driver, Ctrl-S at a terminal) blocks whoever writes to it. That may be this thread, never
//! one that beats markers or hears signals. So lines wait here, bounded, and what comes on top is counted and dropped.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use crate::process;
use crate::settings::LogFormat;

/// Events that may wait for the reader of stderr.
const EVENTS: usize = 8192;

/// Their bytes: a step's lines may be long, and the memory of a container small.
const BYTES: usize = 4 << 20;

/// How long an end or a hand-off waits for a reader; one that never reads must not hold it up.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

static ACTIVE: OnceLock<LogWriter> = OnceLock::new();

/// The log of this process, once it has begun. A warm start has none, and no thread.
pub(super) fn active() -> Option<&'static LogWriter> {
    ACTIVE.get()
}

/// Begins the log of this process, on stderr.
pub(super) fn begin(format: LogFormat) -> LogWriter {
    ACTIVE.get_or_init(|| LogWriter::start(format, io::stderr())).clone()
}

/// What waits for the thread.
#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Vec<u8>>,
    /// In `events`.
    bytes: usize,
    /// Dropped since the last one that fitted.
    lost: u64,
    /// The thread has one in its hands.
    is_writing: bool,
    /// There is no thread (any more): whoever logs writes.
    is_closed: bool,
}

impl Queue {
    fn put(&mut self, event: Vec<u8>) {
        self.bytes += event.len();
        self.events.push_back(event);
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let event = self.events.pop_front()?;
        self.bytes -= event.len();
        Some(event)
    }

    fn has_room_for(&self, event: &[u8]) -> bool {
        self.events.len() < EVENTS && self.bytes + event.len() <= BYTES
    }

    fn is_busy(&self) -> bool {
        self.is_writing || !self.events.is_empty()
    }
}

#[derive(Debug)]
struct Shared {
    format: LogFormat,
    queue: Mutex<Queue>,
    /// Notified at every change that somebody waits for.
    changed: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Takes events without ever waiting for whoever reads them. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct LogWriter(Arc<Shared>);

impl LogWriter {
    /// Starts the thread. Where none can be had, events are written by those who log them.
    fn start(format: LogFormat, sink: impl Write + Send + 'static) -> LogWriter {
        let thread = Mutex::new(None);
        let writer = LogWriter(Arc::new(Shared { format, queue: Mutex::default(), changed: Condvar::new(), thread }));
        let worker = writer.clone();
        match thread::Builder::new().name("stderr".to_owned()).spawn(move || worker.work(sink)) {
            Ok(handle) => *lock(&writer.0.thread) = Some(handle),
            Err(_) => lock(&writer.0.queue).is_closed = true,
        }
        writer
    }

    /// How its events are written.
    pub(super) fn format(&self) -> LogFormat {
        self.0.format
    }

    /// Queues one event, whole lines, or drops and counts it.
    pub(super) fn push(&self, event: Vec<u8>) {
        let mut queue = lock(&self.0.queue);
        if queue.is_closed {
            drop(queue);
            let _ = io::stderr().write_all(&event);
        } else if queue.has_room_for(&event) {
            self.tell_lost(&mut queue);
            queue.put(event);
            self.0.changed.notify_all();
        } else {
            queue.lost += 1;
        }
    }

    /// Waits until everything queued is written, at most this long.
    pub(super) fn flush(&self, limit: Duration) {
        drop(self.wait(limit));
    }

    /// The same, and ends the thread if all is written: whoever logs later writes. For the hand-off.
    pub(super) fn close(&self, limit: Duration) {
        let mut queue = self.wait(limit);
        if queue.is_busy() {
            return;
        }
        queue.is_closed = true;
        drop(queue);
        self.0.changed.notify_all();
        if let Some(thread) = lock(&self.0.thread).take() {
            // It has nothing left to do, and a panic in it would have ended the process.
            let _ = thread.join();
        }
    }

    fn wait(&self, limit: Duration) -> MutexGuard<'_, Queue> {
        let mut queue = lock(&self.0.queue);
        self.tell_lost(&mut queue);
        self.0.changed.notify_all();
        let waited = self.0.changed.wait_timeout_while(queue, limit, |queue| queue.is_busy());
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn tell_lost(&self, queue: &mut Queue) {
        let lost = std::mem::take(&mut queue.lost);
        if lost > 0 {
            queue.put(notice(self.0.format, lost).into_bytes());
        }
    }

    /// The thread.
    fn work(&self, mut sink: impl Write) {
        process::block_all_signals();
        while let Some(event) = self.next() {
            // A reader that has gone away is no error.
            let _ = sink.write_all(&event);
        }
    }

    /// The next event, the one before being written. `None` at the end.
    fn next(&self) -> Option<Vec<u8>> {
        let mut queue = lock(&self.0.queue);
        queue.is_writing = false;
        self.0.changed.notify_all();
        let idle = |queue: &mut Queue| queue.events.is_empty() && !queue.is_closed;
        let mut queue = self.0.changed.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner);
        let event = queue.take();
        queue.is_writing = event.is_some();
        event
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The line that stands where lines are missing, in the shape of the others.
fn notice(format: LogFormat, lost: u64) -> String {
    let mut time = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let text = format!("{lost} log lines were lost: nobody has read stderr for a while");
    match format {
        LogFormat::Text => format!("{time}  WARN {text}\n"),
        LogFormat::Json => {
            let line = serde_json::json!({ "timestamp": time, "level": "WARN", "message": text, "lost": lost });
            format!("{line}\n")
        }
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event { writer: self, bytes: Vec::new() }
    }
}

/// Collects one event, and queues it when it is dropped.
#[derive(Debug)]
pub(super) struct Event<'a> {
    writer: &'a LogWriter,
    bytes: Vec<u8>,
}

impl Write for Event<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.writer.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, PipeReader, pipe};

    use super::*;

    /// Longer than anything takes on the busiest machine.
    const LONG: Duration = Duration::from_secs(60);

    fn start(format: LogFormat) -> (LogWriter, PipeReader) {
        let (reader, sink) = pipe().unwrap();
        (LogWriter::start(format, sink), reader)
    }

    /// Everything written until the thread has ended.
    fn read_all(log: LogWriter, reader: PipeReader) -> Vec<String> {
        let read = thread::spawn(move || BufReader::new(reader).lines().map(Result::unwrap).collect());
        log.close(LONG);
        drop(log);
        read.join().unwrap()
    }

    #[test]
    fn an_event_is_one_write_and_all_of_them_arrive_in_order() {
        let (log, reader) = start(LogFormat::Text);
        for n in 0..100 {
            let mut event = log.make_writer();
            event.write_all(b"line ").unwrap();
            writeln!(event, "{n}").unwrap();
        }
        let expected: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        assert_eq!(read_all(log, reader), expected);
    }

    #[test]
    fn whoever_logs_never_waits_and_what_is_lost_is_counted_where_it_is_missing() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let (log, mut reader) = start(format);
            let line = [b"x".repeat(99), b"\n".to_vec()].concat();
            // Of which a pipe takes few.
            (0..2 * EVENTS).for_each(|_| log.push(line.clone()));
            log.flush(Duration::from_millis(1));
            let lost = lock(&log.0.queue).events.back().cloned().unwrap();
            assert!(String::from_utf8(lost).unwrap().contains(" log lines were lost"), "a flush tells too");
            io::Read::read_exact(&mut reader, &mut vec![0; 1000 * line.len()]).unwrap();
            wait_for_room(&log);
            log.push(b"later\n".to_vec());
            let lines = read_all(log, reader);
            let (notices, kept): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.contains("log lines were lost"));
            assert_eq!(kept.last().unwrap().as_str(), "later");
            let lost: usize = notices.iter().map(|notice| count(format, notice)).sum();
            // A thousand were read before.
            assert!(lost > 0 && lost + 1000 + kept.len() == 2 * EVENTS + 1, "{lost} {}", kept.len());
        }
    }

    fn count(format: LogFormat, notice: &str) -> usize {
        let json = || serde_json::from_str::<serde_json::Value>(notice).unwrap()["message"].to_string();
        let text = if format == LogFormat::Json { json() } else { notice.to_owned() };
        let words: Vec<&str> = text.split(' ').map(|word| word.trim_start_matches('"')).collect();
        words[words.iter().position(|&word| word == "log").unwrap() - 1].parse().unwrap()
    }

    fn wait_for_room(log: &LogWriter) {
        let queue = lock(&log.0.queue);
        let full = |queue: &mut Queue| !queue.has_room_for(b"later\n");
        let (queue, waited) = log.0.changed.wait_timeout_while(queue, LONG, full).unwrap();
        drop(queue);
        assert!(!waited.timed_out());
    }

    #[test]
    fn long_lines_do_not_fill_the_memory() {
        let (log, _reader) = start(LogFormat::Text);
        (0..EVENTS / 2).for_each(|_| log.push(vec![b'x'; 16 << 10]));
        let queue = lock(&log.0.queue);
        assert!(queue.bytes <= BYTES && queue.lost > 0, "{} {}", queue.bytes, queue.lost);
    }

    #[test]
    fn a_reader_that_never_reads_holds_nobody_up() {
        let (log, _reader) = start(LogFormat::Text);
        (0..EVENTS).for_each(|_| log.push(b"x".repeat(100)));
        log.flush(Duration::from_millis(10));
        log.close(Duration::from_millis(10));
        assert!(!lock(&log.0.queue).is_closed, "the thread is still at it");
    }
}

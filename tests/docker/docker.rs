//! The engine, as its client sees it.

use std::ffi::OsStr;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::waiting::LIMIT;

/// The top of the project, which images are built from.
pub(crate) const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// What one call said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Both outputs, for messages and for what goes to either.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.all());
        self.stdout
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// `docker …` in the project, as people type it, on the engine of `tests/run docker`.
pub(crate) fn docker(arguments: &[&str]) -> Said {
    docker_in(Path::new(PROJECT), arguments, [])
}

/// The same elsewhere, with more in its environment.
pub(crate) fn docker_in<'a>(
    directory: &Path,
    arguments: &[&str],
    environment: impl IntoIterator<Item = (&'a str, &'a OsStr)>,
) -> Said {
    command(directory).args(arguments).envs(environment).output().unwrap().into()
}

/// To be told more before it is started.
pub(crate) fn command(directory: &Path) -> Command {
    assert!(std::env::var_os("DOCKER_HOST").is_some(), "run this by `tests/run docker`, which starts an engine");
    let mut command = Command::new(Path::new(PROJECT).join("tests/docker/bin/docker"));
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// What only this run of the tests has in its names. Process ids come again, on an engine that outlives the processes.
pub(crate) fn run_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| format!("{:016x}", RandomState::new().build_hasher().finish()))
}

/// A name that no other test uses. `tests/docker/clear` knows Compose projects by its form.
pub(crate) fn name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("bellwether-{what}-{}-{}", run_id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// What goes when its name is dropped: how the engine is told to remove it, before the name.
pub(crate) trait Removal {
    const WORDS: &'static [&'static str];
}

/// The name of something that the engine keeps until this is dropped.
#[derive(Debug)]
pub(crate) struct Kept<R: Removal>(String, PhantomData<R>);

impl<R: Removal> Kept<R> {
    /// It may be made later than its name.
    pub(crate) fn named(name: String) -> Kept<R> {
        Kept(name, PhantomData)
    }
}

impl<R: Removal> Deref for Kept<R> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<R: Removal> Drop for Kept<R> {
    fn drop(&mut self) {
        docker(&[R::WORDS, &[self]].concat());
    }
}

#[derive(Debug)]
pub(crate) enum OfImage {}

impl Removal for OfImage {
    const WORDS: &'static [&'static str] = &["rmi", "--force"];
}

/// The tag of an image.
pub(crate) type Image = Kept<OfImage>;

/// Builds a target of the Dockerfile; the tag is its own. What was built before is not built again.
#[track_caller]
pub(crate) fn build(target: &str, arguments: &[&str]) -> Image {
    let image = Image::named(format!("{}:test", name(target)));
    let words = [&["build", "--target", target, "--tag", &image], arguments, &["."]].concat();
    docker(&words).ok();
    image
}

/// A container that is removed with its volumes when this is dropped.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) name: String,
}

impl Container {
    /// `docker run --detach`.
    #[track_caller]
    pub(crate) fn start(what: &str, arguments: &[&str]) -> Container {
        let container = Container { name: name(what) };
        docker(&[&["run", "--detach", "--name", &container.name], arguments].concat()).ok();
        container
    }

    pub(crate) fn exec(&self, command: &[&str]) -> Said {
        docker(&[&["exec", &self.name], command].concat())
    }

    pub(crate) fn logs(&self) -> String {
        docker(&["logs", &self.name]).all()
    }

    /// Waits for its end, as long as for anything else: its exit code.
    #[track_caller]
    pub(crate) fn wait(&self) -> i32 {
        let limit = LIMIT.as_secs().to_string();
        let environment = [("BELLWETHER_TESTS_LIMIT", OsStr::new(&limit))];
        docker_in(Path::new(PROJECT), &["wait", &self.name], environment).ok().trim().parse().unwrap()
    }
}

/// Into the output of a test that fails.
#[expect(clippy::print_stderr, reason = "what explains a failure")]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tell(&format!("--- {}\n{}", self.name, self.logs()));
        }
        docker(&["rm", "--force", "--volumes", &self.name]);
    }
}

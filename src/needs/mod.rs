//! What a plan needs before its steps can run: servers that answer, files that exist.

mod parse;
mod probe;
mod wait;

use std::fmt;
use std::path::PathBuf;

pub use parse::NeedError;
pub use probe::{Failure, FailureClass};
#[cfg(feature = "cli")]
pub(crate) use wait::try_each;
pub use wait::{NeedEvent, NeedsError, await_all};

use crate::lease::Server;

/// One thing to wait for: `tcp://host:port`, `http://host[:port][/path]`, `redis://[user[:password]@]host[:port][/db]`
/// or `file:///path`.
///
/// Shown without passwords, by `Display` and by `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub struct Need {
    shown: String,
    target: Target,
    /// The settings that say where it is, in words.
    settings: Option<String>,
}

/// Where to knock.
#[derive(Clone, Eq, PartialEq)]
enum Target {
    Tcp(Address),
    Http {
        address: Address,
        path: String,
    },
    /// Never made without the feature `redis`: the parser refuses it.
    Redis(Server),
    File(PathBuf),
}

/// A host (a name or an IP address, without brackets) and a port.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Address {
    host: String,
    port: u16,
}

impl Need {
    /// Names the settings to look at where it is not met.
    #[must_use]
    pub fn set_by(self, settings: &str) -> Need {
        Need { settings: Some(settings.to_owned()), ..self }
    }

    /// The end of a sentence about its failure.
    pub(crate) fn hint(&self) -> String {
        self.settings.as_ref().map_or_else(String::new, |settings| format!("; look at {settings}"))
    }

    /// The password in it, if there is one: for [`Mask`](crate::settings::Mask).
    pub fn password(&self) -> Option<&str> {
        match &self.target {
            Target::Redis(server) => server.password(),
            _ => None,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Need({})", self.shown)
    }
}

#[cfg(test)]
mod tests;

//! Bench commands as values: what the steps run and what `bellwether plan` shows are the same.

use std::fmt;

/// One word of a command line.
#[derive(Clone, Eq, PartialEq)]
enum Word {
    Plain(String),
    Secret(String),
}

/// A bench command.
#[derive(Clone, Default, Eq, PartialEq)]
pub(super) struct Call {
    words: Vec<Word>,
    lock_wait_secs: Option<u32>,
}

impl Call {
    /// `bench WORDS…`
    pub(super) fn new(words: &[&str]) -> Call {
        Call::default().words(words)
    }

    /// `bench --site SITE WORDS…`
    pub(super) fn on(site: &str, words: &[&str]) -> Call {
        Call::new(&["--site", site]).words(words)
    }

    pub(super) fn words(mut self, words: &[&str]) -> Call {
        self.words.extend(words.iter().map(|&word| Word::Plain(word.to_owned())));
        self
    }

    /// An option whose value nobody may see.
    pub(super) fn secret(mut self, option: &str, value: &str) -> Call {
        self.words.extend([Word::Plain(option.to_owned()), Word::Secret(value.to_owned())]);
        self
    }

    /// No statement waits longer for a lock of the database.
    pub(super) fn lock_wait(mut self, seconds: u32) -> Call {
        self.lock_wait_secs = Some(seconds);
        self
    }

    /// What it says to bench, secrets and all: for its standard input, which nobody else reads.
    pub(super) fn request(&self) -> String {
        let argv: Vec<&str> = self.words.iter().map(|(Word::Plain(text) | Word::Secret(text))| text.as_str()).collect();
        serde_json::json!({"argv": argv, "lock_wait_secs": self.lock_wait_secs}).to_string()
    }
}

/// As a person would type it, with `***` for secrets.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bench")?;
        self.words.iter().try_for_each(|word| match word {
            Word::Plain(text) => write!(f, " {text}"),
            Word::Secret(_) => f.write_str(" ***"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_in_the_request_alone() {
        let call = Call::on("a.localhost", &["new-site"]).secret("--admin-password", "hunter2").lock_wait(30);
        assert_eq!(call.to_string(), "bench --site a.localhost new-site --admin-password ***");
        let expected =
            r#"{"argv":["--site","a.localhost","new-site","--admin-password","hunter2"],"lock_wait_secs":30}"#;
        assert_eq!(call.request(), expected);
    }
}

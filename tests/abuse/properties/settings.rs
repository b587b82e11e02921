//! The command line and the environment as a whole.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use bellwether::settings::{Glance, Known, LoadedPlan, Overlay, Scan, Settings, Warm, scan};
use bellwether::{Env, Notice, Presets, Problem};

use super::{TOKEN, is_message, is_password_alone, is_sentence};

/// A message may quote what was given, escaped.
const LONGEST_QUOTED: usize = 12;

/// What was given: words of the command line, and variables.
pub(crate) struct Given {
    words: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    length: usize,
    has_url_password_alone: bool,
}

impl Given {
    /// Records that NUL separates, which nobody can say to a program: `NAME=value` is a variable, all else a word.
    pub(crate) fn read(input: &[u8]) -> Given {
        let (mut words, mut variables) = (Vec::new(), Vec::new());
        for record in input.split(|&byte| byte == 0).filter(|record| !record.is_empty()) {
            let name = record.iter().position(|&byte| byte == b'=').filter(|&at| is_name(&record[..at]));
            match name {
                Some(at) => variables.push((record[..at].to_vec(), record[at + 1..].to_vec())),
                None => words.push(record.to_vec()),
            }
        }
        let text = String::from_utf8_lossy(input);
        Given {
            has_url_password_alone: is_password_alone(&text),
            words: words.into_iter().map(OsString::from_vec).collect(),
            variables: variables.into_iter().map(|(n, v)| (OsString::from_vec(n), OsString::from_vec(v))).collect(),
            length: input.len(),
        }
    }

    fn env(&self) -> Env {
        self.variables.iter().cloned().collect()
    }
}

fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

pub(crate) fn holds(input: &[u8]) {
    let given = Given::read(input);
    let said = Said { longest: 1000 + LONGEST_QUOTED * given.length, shows_all: !given.has_url_password_alone };
    let overlay = match scan(given.words.iter().cloned()) {
        Ok(Scan::Do(line)) => line.overlay,
        Ok(Scan::Help | Scan::Version) => Overlay::new(),
        Err(misuse) => {
            assert!(!misuse.problems.is_empty(), "refused without a reason");
            for problem in &misuse.problems {
                said.of_words(problem);
            }
            misuse.overlay
        }
    };
    let (env, presets) = (given.env(), Presets::default());
    match Settings::from(&env, &overlay, presets) {
        Ok((settings, notices)) => {
            for notice in &notices {
                said.notice(notice);
            }
            is_sound(&settings);
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in &problems {
                said.problem(problem);
            }
        }
    }
    if let Err(problems) = Glance::from(&env, &overlay, presets) {
        for problem in &problems {
            said.problem(problem);
        }
    }
    let warm = Warm::from(&overlay, |name| env.lookup(name).map(ToOwned::to_owned), presets);
    let known = Known::from(&env, &overlay, presets);
    assert_eq!(known.settings.is_some(), known.problems.is_empty());
    // Whatever is good for a boot is good for a probe, and they are about the same.
    if let Some(settings) = known.settings {
        let warm = warm.expect("a probe wants less than a boot");
        assert_eq!((warm.rev, warm.volume), (settings.rev, settings.volume));
    }
}

/// What may be said of it.
struct Said {
    longest: usize,
    /// The secret stands where nobody can know it for one.
    shows_all: bool,
}

impl Said {
    fn is_message(&self, text: &str) {
        if self.shows_all {
            is_sentence(text, self.longest);
        } else {
            is_message(text, self.longest);
        }
    }

    fn of_words(&self, problem: &Problem) {
        self.is_message(&problem.to_string());
    }

    fn problem(&self, problem: &Problem) {
        assert!(!problem.culprit().is_empty(), "nobody is the culprit: {problem}");
        self.is_message(&problem.to_string());
    }

    fn notice(&self, notice: &Notice) {
        assert!(!notice.variable().is_empty(), "no variable: {notice}");
        self.is_message(&notice.to_string());
    }
}

fn is_sound(settings: &Settings) {
    let Settings { volume, stale, backoff, redis, plan: LoadedPlan { commands, .. }, .. } = settings;
    assert!(volume.is_absolute() && stale.as_secs() >= 1 && !backoff.is_zero() && !commands.is_empty());
    if let Some(redis) = redis {
        assert!(!redis.wait.is_zero());
        let password = redis.server.password().unwrap_or_default();
        if password.contains(TOKEN) {
            assert!(!format!("{redis:?}").contains(TOKEN), "the secret is shown: {redis:?}");
            assert!(!settings.mask.mask(&format!("it was {password}.")).contains(TOKEN), "the mask does not know it");
        }
    }
}

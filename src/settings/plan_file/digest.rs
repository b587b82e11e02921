//! A short name for what a plan does.

use super::StepCommand;
use crate::protocol::Plan;
use crate::settings::mask::names_secret;

/// FNV-1a, 64 bits: stable over versions and machines, which `std`'s hasher does not promise.
struct Fnv(u64);

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// A text with its length, so that `ab`, `c` differs from `a`, `bc`.
    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.bytes(&(count as u64).to_le_bytes());
    }

    fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        let texts: Vec<&str> = texts.into_iter().collect();
        self.count(texts.len());
        for text in texts {
            self.text(text);
        }
    }
}

/// The digest of a plan's work. The order in which steps are written does not count, nor do values of variables whose
/// names sound secret: a digest is written to the volume, and a new password is no new work.
pub(super) fn of(plan: &Plan, commands: &[StepCommand]) -> String {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    let mut steps: Vec<_> = plan.iter().zip(commands).map(|((_, step), command)| (step, command)).collect();
    steps.sort_by_key(|(step, _)| step.name.clone());
    for (step, command) in steps {
        hash.texts([step.name.as_str(), step.in_progress.as_str(), step.done.as_str()]);
        let mut after: Vec<&str> = step.after.iter().map(|&id| plan.step(id).name.as_str()).collect();
        after.sort_unstable();
        hash.texts(after);
        hash.texts(command.run.iter().map(String::as_str));
        hash.texts(command.check.iter().flatten().map(String::as_str));
        let shown = |(name, value)| if names_secret(name) { [name, ""] } else { [name, value] };
        hash.texts(command.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).flat_map(shown));
        hash.texts(command.cwd.as_deref().and_then(|cwd| cwd.to_str()));
        hash.texts(command.user.as_deref());
    }
    format!("{:016x}", hash.0)
}

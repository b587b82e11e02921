//! The forecast for people.

use super::forecast::{Deed, Forecast, Step, Times};
use super::verdict::Verdict;
use crate::commands::words;

const HEADING: [&str; 4] = ["STEP", "ACTION", "WHY", "ATTEMPTS LEFT"];

pub(super) fn render(forecast: &Forecast) -> String {
    let election = &forecast.election;
    let trust = if election.is_trusted { "trusted" } else { "not trusted" };
    let mut lines = vec![
        format!("{}: {}", headline(forecast.verdict), forecast.reason),
        format!("revision {}", forecast.revision),
        format!("plan     {} (digest {})", forecast.plan, forecast.digest),
        format!("volume   {}", forecast.volume.display()),
    ];
    match &election.lease {
        None => lines.push(format!("election by the guard alone, {trust}: {}", election.reason)),
        Some(lease) => {
            lines.push(format!(
                "election by a lease in {}{}",
                lease.server,
                lease.times.as_ref().map_or_else(String::new, times)
            ));
            lines.push(format!("guard    {trust}: {}", election.reason));
        }
    }
    if !forecast.needs.is_empty() {
        let limit = forecast.needs_wait_secs.map_or("for ever".to_owned(), |secs| format!("for {}", words::secs(secs)));
        lines.push(format!("needs    {} (waited {limit})", forecast.needs.join(" ")));
    }
    let rows: Vec<[String; 4]> = forecast.steps.iter().map(row).collect();
    lines.push(String::new());
    lines.extend(words::table(HEADING, &rows));
    for step in &forecast.steps {
        lines.push(String::new());
        lines.extend(details(step));
    }
    if !forecast.problems.is_empty() {
        lines.push("\nproblems:".to_owned());
        lines.extend(forecast.problems.iter().map(|problem| format!("    {problem}")));
    }
    lines.join("\n")
}

fn headline(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::HandOff => "run would hand off to the command at once",
        Verdict::Lead => "run would lead",
        Verdict::Follow => "run would follow",
        Verdict::Wait => "run would wait",
        Verdict::Refuse => "run would refuse",
        Verdict::Unknown => "it cannot be told whether run would lead",
    }
}

fn times(times: &Times) -> String {
    let Times { ttl_secs, heartbeat_secs, grace_secs } = times;
    let [ttl, heartbeat, grace] = [ttl_secs, heartbeat_secs, grace_secs].map(|&secs| words::secs(secs));
    format!(": TTL {ttl}, heartbeat {heartbeat}, grace {grace}")
}

fn row(step: &Step) -> [String; 4] {
    let action = match step.action {
        Deed::Skip => "skip",
        Deed::Run => "run",
        Deed::Wait => "wait",
        Deed::TakeOver => "take over",
        Deed::Refuse => "refuse",
    };
    let left = format!("{} of {}", step.attempts_left, step.max_attempts);
    let left = if step.action == Deed::Skip { String::new() } else { left };
    [step.name.clone(), action.to_owned(), step.reason.clone(), left]
}

/// What the step is made of.
fn details(step: &Step) -> Vec<String> {
    let mut lines = vec![format!("{}:", step.name)];
    if step.does.is_empty() {
        lines.push(format!("    run      {}", command_line(&step.run)));
    }
    lines.extend(step.does.iter().map(|line| format!("    {line}")));
    lines.extend(step.check.as_ref().map(|check| format!("    check    {}", command_line(check))));
    lines.extend(step.env.iter().map(|(name, value)| format!("    env      {name}={}", quoted(value))));
    lines.extend(step.cwd.as_ref().map(|cwd| format!("    cwd      {}", cwd.display())));
    lines.extend(step.user.as_ref().map(|user| format!("    user     {user}")));
    lines.extend(
        Some(&step.after).filter(|after| !after.is_empty()).map(|after| format!("    after    {}", after.join(", "))),
    );
    lines.extend(step.timeout_secs.map(|secs| format!("    timeout  {}", words::secs(secs))));
    lines
}

fn command_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// As a shell would read it.
fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./=:,@%+*".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

//! The verdict: what the steps wrote, what is on the volume, who led.

use std::fs;
use std::io;
use std::time::Duration;

use super::journal::{self, Gone, Span};
use super::serve::Greeting;
use super::stage::{REV, Stage};
use super::timeline::{NAMES, Timeline, span};
use crate::commands::print;
use crate::exit::Exit;
use crate::volume::{HistoryKind, MarkerKind, UnixMillis};

/// What the play has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Who said to be the leader, and in which epoch.
    pub(super) leaders: Vec<(usize, u64)>,
    pub(super) kills: usize,
    pub(super) takeovers: usize,
    /// When the killed leader's steps had beaten last.
    pub(super) last_beats: Vec<(String, UnixMillis)>,
    pub(super) gone: Vec<Gone>,
    /// The commands that serve.
    pub(super) greetings: Vec<Greeting>,
    /// Who has answered, and whether replica, revision and pid were right.
    pub(super) answers: Vec<(usize, bool)>,
    pub(super) last_lines: Vec<String>,
}

impl Facts {
    /// What was seen, for somebody who wants to know what went wrong.
    pub(super) fn seen(&self) -> String {
        let mut text = vec![format!(
            "seen: {} leaders, {} kills, {} takeovers, {} commands that serve, {} answers; the last lines of the logs:",
            self.leaders.len(),
            self.kills,
            self.takeovers,
            self.greetings.len(),
            self.answers.len()
        )];
        text.extend(self.last_lines.iter().map(|line| format!("    {line}")));
        text.join("\n")
    }

    fn name_of(&self, epoch: u64) -> &'static str {
        self.leaders.iter().find(|leader| leader.1 == epoch).map_or("?", |&(who, _)| NAMES[who])
    }
}

/// Says what came of it, and whether it is as promised.
pub(super) fn tell(facts: &Facts, stage: &Stage, timeline: &Timeline) -> Exit {
    let spans = journal::spans(&stage.journal_path(), &facts.gone).unwrap_or_default();
    timeline.heading("What the steps wrote in their own journal");
    tell_runs(facts, stage, timeline, &spans);
    timeline.heading("What came of it");
    let verdicts = [
        judge_runs(&spans, facts),
        judge_order(&spans, stage),
        judge_leaders(facts, stage),
        judge_start(facts, stage),
        judge_answers(facts),
    ];
    for (is_good, text) in &verdicts {
        print(&format!("  {}  {text}", timeline.verdict(*is_good)));
    }
    timeline.heading("Markers in the volume");
    match markers(stage) {
        Ok(names) => print(&format!("  {}", names.join("  "))),
        Err(error) => print(&format!("  cannot be read: {error}")),
    }
    timeline.heading("Try next");
    tell_hints(stage);
    if verdicts.iter().all(|(is_good, _)| *is_good) { Exit::Ok } else { Exit::Software }
}

fn tell_runs(facts: &Facts, stage: &Stage, timeline: &Timeline, spans: &[Span]) {
    for (_, step) in stage.volume().plan().iter() {
        let runs: Vec<&Span> = spans.iter().filter(|span| span.step == step.name.as_str()).collect();
        let count = if runs.len() == 1 { "1 run ".to_owned() } else { format!("{} runs", runs.len()) };
        let told: Vec<String> = runs.iter().map(|run| tell_run(run, facts, timeline)).collect();
        print(&format!("  {:<12}  {count}  {}", step.name.as_str(), told.join(", then ")));
    }
}

fn tell_run(run: &Span, facts: &Facts, timeline: &Timeline) -> String {
    let (name, start) = (facts.name_of(run.epoch), timeline.at(run.start));
    match (run.finished, run.over) {
        (Some(end), _) => format!("{name}: {start:.1} to {:.1} s", timeline.at(end)),
        (None, Some(over)) => format!("{name}: from {start:.1} s, no end noted, gone at {:.1} s", timeline.at(over)),
        (None, None) => format!("{name}: from {start:.1} s, no end noted, never seen to be gone"),
    }
}

type Verdict = (bool, String);

fn judge_runs(spans: &[Span], facts: &Facts) -> Verdict {
    let apart = journal::is_never_two_at_once(spans) && !spans.is_empty();
    let mut text =
        if apart { "never two at once: no step beside itself, no two leaders' steps" } else { "two at once" }
            .to_owned();
    if let Some((one, two)) = journal::side_by_side(spans) {
        text = format!("{text}; {one} and {two} side by side, as planned");
    }
    (apart && facts.kills > 0, text)
}

fn judge_order(spans: &[Span], stage: &Stage) -> Verdict {
    let plan = stage.volume().plan();
    let is_kept = |(id, step): (_, &crate::protocol::Step)| {
        journal::is_after(spans, step.name.as_str(), &stage.predecessors(id))
            && spans.iter().filter(|span| span.step == step.name.as_str() && span.finished.is_some()).count() == 1
    };
    let kept = plan.iter().all(is_kept);
    let text = "every step finished exactly once, and began after those it has to wait for";
    (kept, if kept { text.to_owned() } else { format!("not so: {text}") })
}

/// Who led, by the replicas' logs and by the volume's history: they have to agree.
fn judge_leaders(facts: &Facts, stage: &Stage) -> Verdict {
    let history = stage.volume().history().unwrap_or_default();
    let epochs = |kind| history.iter().filter(move |event| event.event == kind).map(|event| event.epoch);
    let agreed = epochs(HistoryKind::Elected).eq(facts.leaders.iter().map(|leader| leader.1));
    let grows = facts.leaders.windows(2).all(|pair| pair[0].1 < pair[1].1);
    let taken = epochs(HistoryKind::TakenOver).count();
    let led: Vec<String> =
        facts.leaders.iter().map(|&(who, epoch)| format!("{} (epoch {epoch})", NAMES[who])).collect();
    let is_good = agreed && grows && taken > 0 && taken == facts.takeovers && facts.leaders.len() > 1;
    let claims = if taken == 1 { "1 step" } else { "some steps" };
    let text = format!("led: {}; {claims} taken over (logs and history.jsonl agree)", led.join(", then "));
    (is_good, if is_good { text } else { format!("led: {}; the history tells {taken} takeovers", led.join(", then ")) })
}

/// Nobody serves before the ready marker; and how soon after it the last one did.
fn judge_start(facts: &Facts, stage: &Stage) -> Verdict {
    let markers = stage.volume().markers().unwrap_or_default();
    let Some(ready) = markers.iter().find(|marker| marker.kind == MarkerKind::Ready) else {
        return (false, "there is no ready marker".to_owned());
    };
    let began: Vec<UnixMillis> = facts.greetings.iter().map(|greeting| greeting.began).collect();
    let is_good = began.iter().all(|&began| began >= ready.touched) && began.len() == NAMES.len();
    let last = began.iter().max().map_or(Duration::ZERO, |&last| ready.touched.until(last));
    let text = format!("from the ready marker to the first instruction of the last command: {}", span(last));
    (is_good, if is_good { format!("nobody served early; {text}") } else { "somebody served early".to_owned() })
}

fn judge_answers(facts: &Facts) -> Verdict {
    let right = facts.answers.iter().filter(|(_, is_right)| *is_right).count();
    let text = format!("{right} of {} commands answered over HTTP with the pid of their replica", NAMES.len());
    (right == NAMES.len(), text)
}

fn markers(stage: &Stage) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(stage.volume().root())?.collect::<Result<Vec<_>, _>>()?;
    let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(REV)).collect();
    names.sort();
    Ok(names)
}

fn tell_hints(stage: &Stage) {
    if stage.is_kept() {
        let (plan, volume) = (stage.plan_path(), stage.volume().root().display());
        let settings = format!("IMAGE_REV={REV} BELLWETHER_PLAN={} BELLWETHER_VOLUME={volume}", plan.display());
        print(&format!("  {settings} bellwether status --history"));
    } else {
        print("  bellwether demo --keep            keep the volume, and look at it with `bellwether status`");
    }
    print("  bellwether run -- YOUR-COMMAND    a plan, a volume, a revision, and any command");
    print("  README.md                         Compose, Kubernetes, and what is promised");
}

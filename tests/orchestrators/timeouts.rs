//! Times that must be in order, computed from the manifests; `examples/kubernetes/TIMEOUTS.md` shows the same numbers.

use std::time::Duration;

use bellwether::frappe::Frappe;
use bellwether::settings::{Overlay, Settings};
use bellwether::{Env, Presets};

use crate::manifests::{STACKS, Stack, Workload, list, number};
use crate::settings::{accepted, variables};
use crate::tools::text;

/// What the page names, in seconds.
#[derive(Debug, PartialEq)]
pub(crate) struct Times {
    /// Steps that come one after another, on the longest way through the plan.
    pub(crate) steps: usize,
    /// All pauses between the attempts of one step.
    pub(crate) pauses: f64,
    /// The longest time until a replica serves or has given up by itself.
    pub(crate) own: f64,
    pub(crate) startup: f64,
    pub(crate) progress: f64,
}

/// Exit 75 of a step: "not yet", for at most this long in sum.
const NOT_YET: f64 = 600.0;

impl Times {
    #[track_caller]
    pub(crate) fn of(stack: &Stack, workload: Workload<'_>) -> Times {
        let variables = variables(stack, workload);
        let settings = accepted(&variables);
        let setting = |name: &str, default: f64| variables.get(name).map_or(default, |value| value.parse().unwrap());
        let attempts = settings.plan.plan.iter().map(|(_, step)| step.max_attempts).max().unwrap();
        let run = settings.plan.plan.iter().map(|(_, step)| step.timeout.expect("a deadline").as_secs_f64());
        let run = run.fold(0.0, f64::max);
        let grace = settings.stop_grace.unwrap_or(Duration::from_secs(5)).as_secs_f64();
        let first = settings.backoff.as_secs_f64();
        let pauses = (0..attempts - 1).map(|nth| (first * 2_f64.powi(nth.cast_signed())).min(300.0)).sum();
        let steps = longest_way(&settings);
        #[expect(clippy::cast_precision_loss, reason = "a handful of steps")]
        let work =
            steps as f64 * (f64::from(attempts) * (run + grace + settings.stale.as_secs_f64()) + pauses + NOT_YET);
        let needs = settings.needs_wait.expect("a limit").as_secs_f64();
        let own = needs + setting("BELLWETHER_REDIS_WAIT_SECS", 120.0) + work;
        let probe = &workload.container()["startupProbe"];
        let startup = number(&probe["periodSeconds"]) * number(&probe["failureThreshold"]);
        Times { steps, pauses, own, startup, progress: number(&workload.spec()["progressDeadlineSeconds"]) }
    }
}

/// How many steps, at most, come one after another.
fn longest_way(settings: &Settings) -> usize {
    let plan = &settings.plan.plan;
    let mut lengths = vec![0; plan.len()];
    for _ in 0..plan.len() {
        for (id, step) in plan.iter() {
            lengths[id.0] = 1 + step.after.iter().map(|before| lengths[before.0]).max().unwrap_or(0);
        }
    }
    lengths.into_iter().max().unwrap()
}

#[test]
fn our_own_deadlines_end_before_the_startup_probe_and_that_before_the_rollouts() {
    for stack in &*STACKS {
        for workload in stack.replicas() {
            let times = Times::of(stack, workload);
            let name = format!("{}: {}: {times:?}", stack.overlay, workload.name());
            assert!(times.own < times.startup, "{name}");
            // A pod is scheduled and its image pulled before its probe begins to count.
            assert!(times.startup + 3600.0 <= times.progress, "{name}");
        }
    }
}

#[test]
fn a_step_without_a_deadline_is_noticed() {
    // `Times::of` ends at the expectation of a deadline; this is what it would see.
    let env: Env = [("IMAGE_REV", "v1"), ("BELLWETHER_PRESET", "frappe"), ("IS_LEADER", "0")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    let (settings, _) = Settings::from(&env, &Overlay::new(), Presets(&[&Frappe])).unwrap();
    assert!(settings.plan.plan.iter().all(|(_, step)| step.timeout.is_none()));
}

#[test]
fn probes_and_stops_have_the_time_they_need() {
    // What bench gives its own processes (section "Process commands" of the stack), and what we need to hand over.
    let least: [(&str, f64); 6] = [
        ("web", 40.0),
        ("worker-short", 360.0),
        ("worker-long", 1560.0),
        ("scheduler", 10.0),
        ("websocket", 5.0),
        ("frontend", 120.0),
    ];
    for stack in &*STACKS {
        for workload in stack.replicas() {
            let (name, container) = (workload.name(), workload.container());
            let (_, least) = least.iter().find(|(of, _)| *of == name).unwrap();
            let stop = Times::of(stack, workload);
            assert!(stop.own > 0.0);
            let hook = list(&container["lifecycle"]["preStop"]["exec"]["command"]);
            let hook = if hook.is_empty() { 0.0 } else { 5.0 };
            let hand_over = variables(stack, workload)["BELLWETHER_STOP_GRACE_SECS"].parse::<f64>().unwrap() + 1.5;
            let grace = number(&workload.pod()["terminationGracePeriodSeconds"]);
            assert!(grace >= hook + least.max(hand_over) + 5.0, "{name}: {grace}");
            // `ready` gives up by its own alarm after 3 s; a probe that is cut off before may survive and pile up.
            assert!(number(&container["startupProbe"]["timeoutSeconds"]) > 3.0, "{name}");
            let liveness = &container["livenessProbe"];
            if name == "web" {
                // gunicorn listens within a minute of the hand-off; nothing but a listener is asked for.
                assert!(
                    liveness["tcpSocket"].is_object() && liveness["exec"].is_null() && liveness["httpGet"].is_null()
                );
                assert!(number(&liveness["periodSeconds"]) * number(&liveness["failureThreshold"]) >= 120.0);
            } else {
                assert!(liveness.is_null(), "{name}");
            }
        }
    }
}

#[test]
fn the_page_shows_these_numbers() {
    let page = text("examples/kubernetes/TIMEOUTS.md");
    let stack = Stack::named("production");
    let web = stack.replicas().find(|workload| workload.name() == "web").unwrap();
    let times = Times::of(stack, web);
    let settings = stack.settings();
    for name in [
        "BELLWETHER_NEEDS_WAIT_SECS",
        "STEP_TIMEOUT_SECS",
        "STEP_MAX_ATTEMPTS",
        "STEP_STALE_SECS",
        "BELLWETHER_STOP_GRACE_SECS",
        "BELLWETHER_BACKOFF_SECS",
    ] {
        let row = format!("`{name}` | {} |", settings[name].as_str().unwrap());
        assert!(page.contains(&row), "{row}");
    }
    for row in [
        format!("own = {} s", times.own),
        format!("startup = {} s", times.startup),
        format!("progress = {} s", times.progress),
        format!("N = {}", times.steps),
        format!("P = {} s", times.pauses),
    ] {
        assert!(page.contains(&row), "{row}");
    }
    let minutes = times.own / 60.0;
    assert!(
        text("examples/nomad/README.md").contains(&format!("is {minutes} minutes with these settings")),
        "{minutes}"
    );
    let hours = format!("{} h {} min", (minutes / 60.0).floor(), minutes % 60.0);
    for page in ["examples/kubernetes/TIMEOUTS.md", "examples/swarm/README.md"] {
        assert!(text(page).contains(&hours), "{page}: {hours}");
    }
}

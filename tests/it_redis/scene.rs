//! Three replicas in the middle of a step, and a look into their Redis.

use serde_json::Value;

use crate::redis_server::RedisServer;
use crate::replica::{Launch, Replica};
use crate::stack::{Stack, Step};
use crate::wait::wait_until;

impl Stack {
    pub(crate) fn redis(&self) -> &RedisServer {
        &self.election.0
    }

    pub(crate) fn redis_mut(&mut self) -> &mut RedisServer {
        &mut self.election.0
    }

    /// The name of this election's lease in Redis. Somebody must have been elected before.
    pub(crate) fn lease_key(&self) -> String {
        format!("bellwether:{{{}}}:lease", self.read(".bellwether/id").trim())
    }

    /// The name of this election's channel.
    pub(crate) fn channel(&self) -> String {
        format!("bellwether:{{{}}}:events", self.read(".bellwether/id").trim())
    }

    /// Who has the lease, as the lease tells it.
    pub(crate) fn holder(&self) -> Option<Value> {
        serde_json::from_str(&self.redis().cli(&["GET", &self.lease_key()])).ok()
    }

    /// Waits until so many hear announcements.
    pub(crate) fn wait_listeners(&self, count: usize) {
        let listen = format!("\n{count}");
        wait_until("all who listen", || self.redis().cli(&["PUBSUB", "NUMSUB", &self.channel()]).ends_with(&listen));
    }

    /// How often the history tells this of a step.
    pub(crate) fn told(&self, event: &str, step: &str) -> usize {
        let history = self.read(".bellwether/history.jsonl");
        let lines = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["event"] == event && line["step"] == step).count()
    }
}

/// A leader in the middle of a step, and two who wait.
pub(crate) struct Scene {
    pub(crate) leader: Replica,
    pub(crate) followers: [Replica; 2],
}

impl Scene {
    /// Starts the leader, waits for its step to begin, and starts the others.
    pub(crate) fn start(stack: &Stack) -> Scene {
        Scene::start_each(stack, |launch| launch)
    }

    pub(crate) fn start_each<'a>(stack: &'a Stack, with: impl Fn(Launch<'a>) -> Launch<'a>) -> Scene {
        let start = || with(stack.replica()).env("BELLWETHER_LOG", "debug").start();
        let leader = start();
        stack.journal().wait("start", "migrate", 1);
        // Its lease tells the epoch by now, so Redis knows it as well.
        wait_until("a lease that tells the epoch", || stack.holder().is_some_and(|holder| holder["epoch"] == 1));
        let followers = [start(), start()];
        stack.wait_listeners(3);
        Scene { leader, followers }
    }

    pub(crate) fn all(&mut self) -> [&mut Replica; 3] {
        let [first, second] = &mut self.followers;
        [&mut self.leader, first, second]
    }

    /// Lets the step end: it ran once, was marked once, and all serve.
    pub(crate) fn assert_goes_well(mut self, stack: &Stack) {
        for step in ["migrate", "late"] {
            stack.open_gate(step);
        }
        for replica in self.all() {
            assert_eq!(replica.wait(), 0, "{}", replica.log());
        }
        let journal = stack.journal();
        for step in ["migrate", "late"] {
            assert_eq!((journal.count("start", step), journal.count("end", step)), (1, 1), "{step}");
            assert_eq!((stack.told("started", step), stack.told("done", step)), (1, 1), "{step}");
        }
        assert_eq!(journal.count("serve", "-"), 3);
        assert!(stack.has(".ready_v1") && stack.names(".bellwether/claims").is_empty());
        assert!(!stack.names(".").iter().any(|name| name.contains("in_progress")));
    }
}

/// What is left to do when the step is over shows that somebody goes on.
pub(crate) fn two_steps(stack: Stack) -> Stack {
    stack.step(Step::gated("migrate")).step(Step::gated("late").after(&["migrate"]))
}

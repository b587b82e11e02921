//! The boots that are struck. All of them have come through everything that a replica does on a volume.

use std::fs;

use rustix::process::Signal;

use crate::boot;
use crate::pool::wanted;
use crate::redis_server::RedisServer;
use crate::referee::Wreck;
use crate::replica::Replica;
use crate::stack::Stack;
use crate::trace::Traced;

/// What a replica ends with whose step has ended badly for the last time.
const STEP_FAILED: i32 = 78;

/// Asked to stop, and it has.
const TERMINATED: i32 = 143;

/// A kind of boot.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Scene {
    /// The first on its volume, led by the guard alone.
    Cold,
    /// After a leader that was killed in the first step.
    Takeover,
    /// It is asked to stop in the second step.
    Stop,
    /// The second step ends badly until it may no more.
    Failure,
    /// With a Redis.
    Redis,
}

impl Scene {
    const ALL: [Scene; 5] = [Scene::Cold, Scene::Takeover, Scene::Stop, Scene::Failure, Scene::Redis];

    /// All that are wanted.
    pub(crate) fn all() -> Vec<Scene> {
        let wanted = wanted().filter(|wanted| wanted != "all");
        let name = |scene: &Scene| format!("{scene:?}").to_lowercase();
        let scenes: Vec<Scene> = Scene::ALL
            .into_iter()
            .filter(|scene| wanted.as_ref().is_none_or(|wanted| *wanted == name(scene)))
            .collect();
        assert!(!scenes.is_empty(), "BELLWETHER_DURABILITY is 'all' or one of {:?}", Scene::ALL.each_ref().map(name));
        scenes
    }

    /// Of these the ones that need nothing but the volume.
    pub(crate) fn alone() -> Vec<Scene> {
        Scene::all().into_iter().filter(|scene| *scene != Scene::Redis).collect()
    }
}

/// A scene's stack.
pub(crate) struct Stage {
    pub(crate) scene: Scene,
    pub(crate) stack: Stack,
    /// It outlives the replicas, which are killed when the stack is dropped.
    _redis: Option<RedisServer>,
}

impl Stage {
    /// With an empty volume.
    pub(crate) fn bare(scene: Scene) -> Stage {
        let redis = (scene == Scene::Redis).then(RedisServer::start);
        let stack = match scene {
            Scene::Cold => boot::stack(),
            Scene::Takeover => boot::hung(),
            Scene::Stop => boot::lasting(),
            Scene::Failure => boot::failing(),
            Scene::Redis => boot::stack().env("BELLWETHER_REDIS_URL", &redis.as_ref().unwrap().url()),
        };
        Stage { scene, stack, _redis: redis }
    }

    pub(crate) fn set(scene: Scene) -> Stage {
        let stage = Stage::bare(scene);
        stage.prepare();
        stage
    }

    /// What comes before the boot.
    pub(crate) fn prepare(&self) {
        if self.scene == Scene::Takeover {
            let mut first = boot::launch(&self.stack).start();
            self.stack.journal().wait("start", "site", 1);
            first.kill_tree();
            fs::write(self.stack.scratch().join(boot::KILLED), "").unwrap();
        }
    }

    /// What befalls the boot in any case; asked again and again while it lasts. `told` is whether it has.
    pub(crate) fn meddle(&self, replica: &mut Replica, told: &mut bool) {
        if self.scene == Scene::Stop && !*told && self.stack.journal().count("start", "migrate") > 0 {
            *told = true;
            if replica.is_running() {
                replica.signal(Signal::TERM);
            }
        }
    }

    /// How it ends if nothing strikes.
    pub(crate) fn assert_unstruck(&self, traced: &mut Traced) {
        let code = traced.replica.wait();
        let expected = match self.scene {
            Scene::Cold | Scene::Takeover | Scene::Redis => 0,
            Scene::Stop => TERMINATED,
            Scene::Failure => STEP_FAILED,
        };
        assert_eq!(code, expected, "{:?}: {}", self.scene, traced.replica.log());
        let serves = self.stack.journal().count("serve", "-");
        assert_eq!((serves == 1, self.stack.has(".failed_v1")), (code == 0, code == STEP_FAILED), "{:?}", self.scene);
        let begun = self.stack.names(".").into_iter().filter(|name| name.contains("in_progress"));
        assert_eq!((begun.count(), self.stack.names(".bellwether/claims").len()), (0, 0), "P6: {:?}", self.scene);
    }

    /// Judges what a boot left that was struck; then whatever hindered it is mended, and the next replica goes on.
    pub(crate) fn assert_goes_on(&self) {
        let mut wreck = Wreck::look(&self.stack);
        if self.scene == Scene::Failure {
            wreck.assert_counted(&self.stack);
            boot::assert_ends(&self.stack, "v1", STEP_FAILED);
            // However often it is started again.
            boot::assert_ends(&self.stack, "v1", STEP_FAILED);
            let runs = self.stack.journal().count("start", "migrate");
            assert!(runs <= boot::FEW_ATTEMPTS, "P11: {runs} runs of migrate; before its restart {wreck:?}");
            wreck = Wreck::look(&self.stack);
        }
        fs::write(self.stack.scratch().join(boot::MENDED), "").unwrap();
        if self.scene == Scene::Failure {
            boot::retry(&self.stack);
        }
        wreck.assert_goes_on(&self.stack);
    }
}

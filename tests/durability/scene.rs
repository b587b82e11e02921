//! The boots that are struck. All of them have come through everything that a replica does on a volume.

use std::fs;

use rustix::process::Signal;

use crate::boot;
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
    pub(crate) const ALL: [Scene; 5] = [Scene::Cold, Scene::Takeover, Scene::Stop, Scene::Failure, Scene::Redis];

    /// Those that need nothing but the volume.
    pub(crate) const ALONE: [Scene; 4] = [Scene::Cold, Scene::Takeover, Scene::Stop, Scene::Failure];
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
            Scene::Cold | Scene::Takeover => boot::stack(),
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

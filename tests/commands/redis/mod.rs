//! The same commands where a lease in Redis elects.

mod doctor;
mod looks;
mod plans;
mod repairs;

use crate::redis_server::RedisServer;
use crate::scene::Scene;

/// What is elected for, so that the keys are known before anybody was here.
const SCOPE: &str = "shop";
const LEASE: &str = "bellwether:{shop}:lease";

fn scene(plan: &str, redis: &RedisServer) -> Scene {
    Scene::new(plan).with("BELLWETHER_REDIS_URL", &redis.url()).with("BELLWETHER_SCOPE", SCOPE)
}

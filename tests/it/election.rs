//! Who elects: here the guard alone. `tests/it_redis` runs the same scenarios with a Redis server of its own for each.

#[derive(Debug)]
pub(crate) struct Election;

impl Election {
    /// How often a patient test sees a waiting replica open the volume: a look is due every second.
    pub(crate) const LOOKS: usize = 4;

    pub(crate) fn start() -> Election {
        Election
    }

    /// What every replica is told.
    #[expect(clippy::unused_self, reason = "the other election has something to tell")]
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

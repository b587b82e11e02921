//! In place of the lease where this crate is built without Redis.

use uuid::Uuid;

use crate::commands::brief::Refusal;
use crate::protocol::{Election, Epoch, Trust};
use crate::settings::Settings;
use crate::volume::Volume;

/// Nobody has one.
#[derive(Debug)]
pub(super) enum HeldLease {}

#[expect(clippy::unnecessary_wraps, reason = "where there is a Redis, it may refuse")]
pub(super) fn take(_: &Settings, _: &Volume, _: &Election, _: Trust, _: Uuid) -> Result<Option<HeldLease>, Refusal> {
    Ok(None)
}

impl HeldLease {
    pub(super) fn epoch(&self) -> Epoch {
        match *self {}
    }

    pub(super) fn expect_valid(&self) -> Result<(), Refusal> {
        match *self {}
    }
}

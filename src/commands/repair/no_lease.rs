//! In place of the lease where this crate is built without Redis.

use std::convert::Infallible;

use uuid::Uuid;

use crate::commands::brief::Refusal;
use crate::protocol::Election;
use crate::settings::Settings;
use crate::volume::Volume;

pub(super) type HeldLease = Infallible;

pub(super) fn take(_: &Settings, _: &Volume, _: &Election, _: Uuid) -> Result<Option<HeldLease>, Refusal> {
    Ok(None)
}

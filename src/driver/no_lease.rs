//! In place of the lease where this crate is built without Redis: the guard alone elects.
#![expect(clippy::unused_self, clippy::unused_async, reason = "the lease's desk has something to look at and wait for")]

use tokio::sync::mpsc::UnboundedSender;

use super::Setup;
use super::message::Message;
use crate::protocol::{Action, Epoch};

/// Nobody to ask.
#[derive(Debug)]
pub(super) struct LeaseDesk;

impl LeaseDesk {
    pub(super) fn new(_: &Setup, _: UnboundedSender<Message>) -> LeaseDesk {
        LeaseDesk
    }

    pub(super) fn wants_scope(&self) -> bool {
        false
    }

    pub(super) fn open(&mut self, _: Option<&str>) {}

    pub(super) fn set_epoch(&self, _: Option<Epoch>) {}

    pub(super) fn perform(&self, action: &Action) {
        unreachable!("{action:?}: without Redis no machine asks for a lease")
    }

    pub(super) fn other(&self) -> Option<String> {
        None
    }

    pub(super) async fn finish(&mut self) -> Option<String> {
        None
    }
}

//! Whether anybody could have the lease.

use std::sync::Arc;

use crate::commands::lease::Lease;
use crate::commands::status::sketch;
use crate::exit::Exit;
use crate::finding::Finding;
use crate::settings::Known;
use crate::volume::{Replica, Volume};

/// A key that nobody gives back keeps everybody from leading. Needs the volume's id, so it is a look of its own.
pub(super) fn look(known: &Known, tell: &dyn Fn(Finding)) {
    let (Some(redis), Some(root), Some(rev)) = (&known.redis, &known.volume, &known.rev) else { return };
    let plan = Arc::new(sketch::of(root, rev));
    let volume = Volume::new(root.clone(), rev.clone(), plan, Replica::of_this_process());
    let lease = Lease::look(redis, &volume);
    // Without one it was not asked: no replica has been here yet.
    let Some(scope) = &lease.scope else { return };
    let seen = format!("{}{}", lease.words(), lease.left());
    let is_endless = lease.state == "held" && lease.left_secs.is_none();
    match lease.state {
        // Why has been told.
        "unknown" => {}
        state if state == "foreign" || is_endless => {
            let repair =
                "look at its key with redis-cli (GET 'bellwether:{SCOPE}:lease'), and delete it if nobody needs it";
            tell(Finding::fail("lease", seen, repair.replace("SCOPE", scope), Exit::Unavailable));
        }
        _ => tell(Finding::ok("lease", seen)),
    }
}

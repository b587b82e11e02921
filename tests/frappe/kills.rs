//! Whatever dies wherever, another replica brings the same about.

use crate::kill::Way::{Call, Container, Leader, Parent, Stop};
use crate::kill::{Death, survive};
use crate::stack::{Image, Stack};
use crate::state::Whole;

/// Quick, and with assets that need no bench.
fn stack() -> Stack {
    Stack::of(&Image { has_baked_assets: true, ..Image::default() }, &[]).quick().env("BELLWETHER_BACKUP", "1")
}

/// Every replica is of the same revision.
fn survives(deaths: &[Death]) {
    let stack = stack();
    survive(&stack, &["v1"], deaths);
    Whole::default().check(&stack);
}

/// A test for each line: who dies where, one after the other.
macro_rules! survived {
    ($($name:ident: $($phase:literal $way:ident),+;)+) => {$(
        #[test]
        fn $name() {
            survives(&[$(($phase, $way)),+]);
        }
    )+};
}

survived! {
    row_1: "new-site:dir" Container, "install-app:sync" Container, "backup:dump" Container;
    row_2: "new-site:lock" Container, "install-app:after_install" Container, "migrate:patches" Container;
    row_3: "new-site:config" Container, "drop-site:database" Container, "migrate:schema" Container;
    row_4: "new-site:database" Container, "drop-site:move" Container, "migrate:finish" Container;
    row_5: "new-site:schema" Container, "install-app:sync" Leader, "clear-cache:clear" Container;
    row_6: "new-site:administrator" Container, "install-app:after_install" Leader, "migrate:patches" Leader;
    row_7: "new-site:finish" Container, "install-app:sync" Stop, "migrate:schema" Stop;
    row_8: "new-site:database" Leader, "install-app:after_install" Stop, "clear-cache:clear" Stop;
    row_9: "new-site:dir" Stop, "drop-site:move" Stop;
}

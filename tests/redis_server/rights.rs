//! All that the sentence about missing rights asks for, of the user of the lease.

pub(crate) const NEEDED: [&str; 12] = [
    "~bellwether:*",
    "&bellwether:*",
    "+eval",
    "+evalsha",
    "+get",
    "+set",
    "+pttl",
    "+pexpire",
    "+del",
    "+publish",
    "+subscribe",
    "+select",
];

//! What a site is, as far as it can be seen, and what is to be done about it.

use crate::frappe::servers::{Found, Own};

/// What is found of a site, before anything is done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Facts {
    pub(super) has_directory: bool,
    pub(super) has_config: bool,
    pub(super) own: Own,
    /// `None`: the server does not let us look.
    pub(super) found: Option<Found>,
    /// Whether we were creating this very database.
    pub(super) is_ours: bool,
}

/// What is to be done about a site.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It is whole.
    Keep,
    Create,
    /// Ours, half-made: remove it by its own configuration, then create.
    Repair,
    /// Ours, half-made, and without its configuration: create over what is left.
    CreateOver,
    Refuse(Why),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Why {
    /// Neither whole nor ours.
    HalfMade,
    /// There is a database of the name, and no site.
    DatabaseAlone,
    /// There is a whole database, and a site's directory that does not say that it is its own.
    NoConfig,
    /// We cannot look.
    Unknown,
}

pub(super) fn judge(facts: &Facts) -> Verdict {
    let Facts { has_directory, has_config, own, found, is_ours } = facts;
    let is_whole = own.whole || found.as_ref().is_some_and(|found| found.whole);
    if *has_config && is_whole {
        return Verdict::Keep;
    }
    let Some(found) = found else { return Verdict::Refuse(Why::Unknown) };
    match (*has_directory, found.exists) {
        (false, false) => Verdict::Create,
        _ if *is_ours && !is_whole => {
            if *has_config {
                Verdict::Repair
            } else {
                Verdict::CreateOver
            }
        }
        (false, true) => Verdict::Refuse(Why::DatabaseAlone),
        (true, _) if is_whole => Verdict::Refuse(Why::NoConfig),
        (true, _) => Verdict::Refuse(Why::HalfMade),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(exists: bool, whole: bool) -> Found {
        Found { name: "_abc".to_owned(), exists, whole, sessions: 0 }
    }

    /// directory, config, own user's view, server's view, ours → verdict.
    #[test]
    fn what_is_found_decides_and_only_a_record_allows_a_repair() {
        let nothing = Own::default();
        let logged_in = Own { login: true, whole: false };
        let whole = Own { login: true, whole: true };
        let refuse = Verdict::Refuse;
        let table = [
            ((false, false), nothing, Some(found(false, false)), false, Verdict::Create),
            ((false, false), nothing, Some(found(false, false)), true, Verdict::Create),
            ((false, false), nothing, Some(found(true, false)), false, refuse(Why::DatabaseAlone)),
            ((false, false), nothing, Some(found(true, false)), true, Verdict::CreateOver),
            // A whole database without its site: never ours to touch, whatever the record says.
            ((false, false), nothing, Some(found(true, true)), true, refuse(Why::DatabaseAlone)),
            ((true, false), nothing, Some(found(true, true)), true, refuse(Why::NoConfig)),
            ((true, false), nothing, Some(found(false, false)), false, refuse(Why::HalfMade)),
            ((true, false), nothing, Some(found(false, false)), true, Verdict::CreateOver),
            ((true, true), nothing, Some(found(false, false)), true, Verdict::Repair),
            ((true, true), logged_in, Some(found(true, false)), true, Verdict::Repair),
            ((true, true), logged_in, Some(found(true, false)), false, refuse(Why::HalfMade)),
            ((true, true), whole, None, false, Verdict::Keep),
            ((true, true), whole, None, true, Verdict::Keep),
            ((true, true), nothing, Some(found(true, true)), true, Verdict::Keep),
            ((true, true), logged_in, None, true, refuse(Why::Unknown)),
            ((false, false), nothing, None, true, refuse(Why::Unknown)),
        ];
        for ((has_directory, has_config), own, found, is_ours, verdict) in table {
            let facts = Facts { has_directory, has_config, own, found, is_ours };
            assert_eq!(judge(&facts), verdict, "{facts:?}");
        }
    }
}

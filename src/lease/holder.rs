//! The lease's value: who has it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::protocol::Revision;
use crate::volume::Replica;

/// Who has the lease, as one line of JSON that begins with the token: the scripts compare nothing else.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Holder {
    /// Made anew by each replica that starts.
    pub token: Uuid,
    /// Its host's name.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Its revision.
    pub rev: String,
    /// The number of its leadership, once it has one.
    pub epoch: Option<u64>,
    /// For how many milliseconds it asks: longer than that nobody has to wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

impl Holder {
    /// This replica, before it has an epoch.
    pub fn of(replica: &Replica, rev: &Revision) -> Holder {
        let Replica { id, host, pid } = replica.clone();
        Holder { token: id, host, pid, rev: rev.to_string(), epoch: None, ttl_ms: None }
    }

    /// Understands a value. `None` if it is not one of ours.
    pub fn parse(value: &str) -> Option<Holder> {
        serde_json::from_str(value).ok()
    }

    /// How every value of this holder begins.
    pub fn mark(&self) -> String {
        format!(r#"{{"token":"{}""#, self.token)
    }

    /// The value to write.
    ///
    /// # Panics
    ///
    /// Never: texts and numbers are always JSON.
    pub fn value(&self) -> String {
        serde_json::to_string(self).expect("a holder is texts and numbers")
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {} pid {}, ", self.host, self.pid)?;
        match self.epoch {
            Some(epoch) => write!(f, "epoch {epoch}, revision {}", self.rev),
            None => write!(f, "revision {}", self.rev),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Holder {
        let token = Uuid::from_u128(0x6543_2109_8765_4321_8765_4321_0987_6543);
        Holder { token, host: "we\"b-1".to_owned(), pid: 7, rev: "v2".to_owned(), epoch: None, ttl_ms: None }
    }

    #[test]
    fn a_value_is_one_line_that_begins_with_the_token() {
        insta::assert_snapshot!(holder().value(), @r#"{"token":"65432109-8765-4321-8765-432109876543","host":"we\"b-1","pid":7,"rev":"v2","epoch":null}"#);
        let led = Holder { epoch: Some(12), ttl_ms: Some(22_500), ..holder() };
        assert!(led.value().ends_with(r#","epoch":12,"ttl_ms":22500}"#), "acquire.lua looks for it: {}", led.value());
        for holder in [holder(), led] {
            assert!(holder.value().starts_with(&holder.mark()));
            assert_eq!(Holder::parse(&holder.value()), Some(holder));
        }
    }

    #[test]
    fn what_is_not_in_our_form_is_no_holder() {
        for value in ["", "locked", "{}", r#"{"token":"x"}"#, r#"{"token":"65432109-8765-4321-8765-432109876543"}"#] {
            assert_eq!(Holder::parse(value), None, "{value}");
        }
        let more = holder().value().replace("null}", r#"3,"zone":"b"}"#);
        assert_eq!(Holder::parse(&more).and_then(|holder| holder.epoch), Some(3), "a later version may say more");
    }
}

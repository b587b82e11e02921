//! URLs of the lease's Redis and of what a plan needs.

use bellwether::lease::Server;
use bellwether::needs::Need;

use super::{TOKEN, is_message};

/// What mutations begin with.
pub(crate) const SEEDS: &[&str] = &[
    "redis://db:6379/0",
    "redis://u:hunter2-of-the-abuse@[::1]:6379/15",
    "unix:///run/redis.sock?db=3&user=u&pass=hunter2-of-the-abuse",
    "redis+unix:///run/r%20edis.sock",
    "rediss://u:hunter2-of-the-abuse@db",
    "redis+sentinel://u:hunter2-of-the-abuse@a,b,c/master",
    "tcp://db:3306",
    "http://u:hunter2-of-the-abuse@db:8080/x?y=z",
    "file:///srv/a%20b",
];

pub(crate) fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match Server::parse(&text) {
        Ok(server) => shows_the_place_alone(&text, &server),
        // It may follow the name of the setting, and no part of the value may follow.
        Err(error) => is_message(&error.to_string(), 200),
    }
    match Need::parse(&text) {
        Ok(need) if is_of_authority(&text) => {
            assert!(!format!("{need} {need:?}").contains(TOKEN), "the secret is shown: {need}");
        }
        Ok(_) => {}
        Err(error) => is_message(&error.to_string(), 200),
    }
}

/// Whether the secret is a password where passwords stand in a URL, and stands nowhere else.
fn is_of_authority(text: &str) -> bool {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user_info, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user = user_info.split_once(':').map_or(user_info, |(user, _)| user);
    ![user, host, path].iter().any(|part| part.contains(TOKEN))
}

fn shows_the_place_alone(text: &str, server: &Server) {
    let shown = server.to_string();
    assert_eq!(format!("{server:?}"), format!("Server({shown})"));
    if text.starts_with("redis://") && is_of_authority(text) {
        assert!(!shown.contains(TOKEN), "the secret is shown: {shown}");
    }
    // What is shown is a path as it is, not as a URL writes it.
    if !shown.starts_with("unix:") {
        let again = Server::parse(&shown).expect("what is shown is a URL");
        assert_eq!(again.to_string(), shown);
        let bare = server.clone().with_user("").with_password("");
        assert_eq!(again, bare, "the same place and database");
    }
}

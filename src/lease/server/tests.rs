use super::*;

#[test]
fn urls_are_taken_apart() {
    let tcp = Server::tcp;
    let unix = |path: &str| Server::at(Place::Unix(path.into()));
    let table = [
        ("redis://db", tcp("db", 6379)),
        ("redis://db:1/", tcp("db", 1)),
        ("redis://10.0.0.1:6380/15", tcp("10.0.0.1", 6380).with_db(15)),
        ("redis://[::1]", tcp("::1", 6379)),
        ("redis://[fd00::1]:7/2", tcp("fd00::1", 7).with_db(2)),
        ("redis://:hunter2@db", tcp("db", 6379).with_password("hunter2")),
        ("redis://u:a:b@db", tcp("db", 6379).with_user("u").with_password("a:b")),
        ("redis://u%40x:p%2Fs%25@db:1/0", tcp("db", 1).with_user("u@x").with_password("p/s%")),
        ("redis://:@db", tcp("db", 6379)),
        ("unix:///run/redis.sock", unix("/run/redis.sock")),
        ("redis+unix:///a%20b?db=3", unix("/a b").with_db(3)),
        ("unix:///s?user=u&pass=p%26q&db=0", unix("/s").with_user("u").with_password("p&q")),
    ];
    for (url, expected) in table {
        let server = Server::parse(url);
        assert!(server == Ok(expected), "{url} is {server:?}");
    }
}

#[test]
fn mistakes_name_the_part_that_is_wrong() {
    let table = [
        ("", ServerError::Form),
        ("db:6379", ServerError::Form),
        ("redis:db", ServerError::Form),
        ("mysql://db", ServerError::Form),
        ("rediss://db", ServerError::Tls),
        ("redis+sentinel://a,b/primary", ServerError::Sentinel),
        ("redis+cluster://a,b", ServerError::Cluster),
        ("valkey://db", ServerError::Valkey),
        ("http://db:6379", ServerError::Web("http")),
        ("redis://", ServerError::Host),
        ("redis://:hunter2", ServerError::Host),
        ("redis://a b", ServerError::Host),
        ("redis://[::1", ServerError::Host),
        ("redis://[db]", ServerError::Host),
        ("redis://db:", ServerError::Port),
        ("redis://db:0", ServerError::Port),
        ("redis://db:65536", ServerError::Port),
        ("redis://db:06379", ServerError::Port),
        ("redis://u:p:hunter2", ServerError::Port),
        ("redis://[::1]6379", ServerError::Port),
        ("redis://db/x", ServerError::Database),
        ("redis://db/0/1", ServerError::Database),
        ("redis://db/10000", ServerError::Database),
        ("redis://db?db=1", ServerError::Database),
        ("redis://u@db", ServerError::UserAlone),
        ("redis://u:@db", ServerError::UserAlone),
        ("redis://:p/w@db", ServerError::User),
        ("redis://:p@w@db", ServerError::User),
        ("redis://:p%FFw@db", ServerError::User),
        ("unix://relative", ServerError::Path),
        ("unix:///", ServerError::Path),
        ("unix:///a%00b", ServerError::Path),
        ("unix:///s?tls=1", ServerError::Option),
        ("unix:///s?db=x", ServerError::Database),
        ("unix:///s?user=u", ServerError::UserAlone),
    ];
    for (url, expected) in table {
        assert_eq!(Server::parse(url), Err(expected), "{url}");
    }
}

#[test]
fn a_server_is_shown_without_its_login() {
    for (url, shown) in [
        ("redis://somebody:hunter2@db", "redis://db:6379/0"),
        ("redis://:hunter2@[::1]:1/2", "redis://[::1]:1/2"),
        ("unix:///s?user=somebody&pass=hunter2", "unix:///s"),
        ("unix:///s?pass=hunter2&db=4", "unix:///s?db=4"),
    ] {
        let server = Server::parse(url).unwrap();
        assert_eq!(server.to_string(), shown);
        assert_eq!(format!("{server:?}"), format!("Server({shown})"));
        assert_eq!(server.password(), Some("hunter2"));
    }
}

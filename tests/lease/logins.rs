//! Users, passwords, databases, sockets, names.

use bellwether::lease::{Answer, Failure, FailureClass, LeaseSetup, Origin, Server};

use crate::redis_server::{RedisServer, free_port};
use crate::replica::{LEASE, PATIENT, Replica, SCOPE, TTL, holder, server_of, start};
use crate::rights::NEEDED;

fn at(server: Server) -> Replica {
    start(1, server, PATIENT)
}

async fn failure(server: Server) -> Failure {
    at(server).failure().await
}

/// Makes a user with these rights on top of none; its password is `p@ss/w`.
fn add_user(redis: &RedisServer, rights: &[&str]) -> Server {
    let rights = ["ACL", "SETUSER", "shepherd", "on", ">p@ss/w"].iter().chain(rights).copied();
    assert_eq!(redis.cli(&rights.collect::<Vec<_>>()), "OK");
    server_of(redis).with_user("shepherd").with_password("p@ss/w")
}

#[tokio::test]
async fn a_user_with_the_rights_that_are_asked_for_can_do_everything() {
    assert!(include_str!("../../README.md").contains(&format!("`{}`", NEEDED.join(" "))));
    let redis = RedisServer::start();
    add_user(&redis, &NEEDED);
    let url = format!("redis://shepherd:p%40ss%2Fw@127.0.0.1:{}", redis.port());
    // In another database, it has to SELECT.
    at(Server::parse(&format!("{url}/1")).unwrap()).acquired().await;
    let mut replica = at(Server::parse(&url).unwrap());
    replica.is_listening().await;
    replica.acquired().await;
    replica.acquired().await;
    replica.client.set_epoch(Some(bellwether::protocol::Epoch(1)));
    assert!(matches!(replica.renew().await, Answer::Granted { .. }));
    assert!(matches!(start(2, server_of(&redis), PATIENT).acquire().await, Answer::Denied { .. }));
    replica.release().await;
    assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
    assert!(!replica.has_heard());
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let redis = RedisServer::start();
    let refusal = failure(add_user(&redis, &["~*", "&*", "+@all", "-eval", "-evalsha"])).await;
    assert_eq!(refusal.class, FailureClass::NotPermitted);
    assert!(refusal.to_string().contains("'evalsha'"), "{refusal}");
    for rights in [["+@all", "-eval"], ["+@all", "-get"], ["+@all", "-set"], ["resetkeys", "~other"]] {
        add_user(&redis, &["reset"]);
        let server = add_user(&redis, &["~*", "&*", "+@all", rights[0], rights[1]]);
        assert_eq!(failure(server).await.class, FailureClass::NotPermitted, "{rights:?}");
    }
}

#[tokio::test]
async fn without_the_channel_requests_work_and_nothing_is_heard() {
    let redis = RedisServer::start();
    let mut replica = at(add_user(&redis, &["~*", "+@all", "resetchannels"]));
    let Answer::Deaf(failure) = replica.hears().await else { panic!() };
    assert_eq!(failure.class, FailureClass::NotPermitted);
    assert!(failure.to_string().contains("channel"), "{failure}");
    replica.acquired().await;
    replica.release().await;
    assert_eq!(redis.cli(&["EXISTS", LEASE]), "0", "released though not announced");
}

#[tokio::test]
async fn passwords_that_are_missing_wrong_or_not_wanted_are_told_apart() {
    let redis = RedisServer::start_with(&["--requirepass", "hunter2"]);
    at(server_of(&redis).with_password("hunter2")).acquired().await;
    at(server_of(&redis).with_user("default").with_password("hunter2")).acquired().await;
    let origin = Origin { password: "LOCK_REDIS_PASS".into(), ..Origin::default() };
    let missing = failure(server_of(&redis).with_origin(origin)).await;
    assert_eq!(missing.class, FailureClass::AuthRequired);
    assert!(missing.to_string().contains("LOCK_REDIS_PASS"), "{missing}");
    let wrong = failure(server_of(&redis).with_password("hunter3")).await;
    assert_eq!(wrong.class, FailureClass::WrongPassword);
    let nobody = failure(server_of(&redis).with_user("nobody").with_password("hunter2")).await;
    assert_eq!(nobody.class, FailureClass::WrongPassword);
    let open = RedisServer::start();
    let unwanted = failure(server_of(&open).with_password("hunter2")).await;
    assert_eq!(unwanted.class, FailureClass::NoPasswordSet);
    for failure in [missing, wrong, nobody, unwanted] {
        assert!(!format!("{failure} {failure:?}").contains("hunter"), "{failure}");
    }
}

#[tokio::test]
async fn the_lease_lives_in_its_database() {
    let redis = RedisServer::start();
    at(Server::parse(&format!("{}/3", redis.url())).unwrap()).acquired().await;
    assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
    assert!(redis.cli(&["INFO", "keyspace"]).contains("db3:keys=1"));
    let absent = failure(server_of(&redis).with_db(99)).await;
    assert_eq!(absent.class, FailureClass::NoSuchDatabase);
}

#[tokio::test]
async fn a_socket_does_as_well() {
    let redis = RedisServer::start();
    let url = format!("unix://{}?db=1", redis.socket().display());
    let mut replica = at(Server::parse(&url).unwrap());
    replica.is_listening().await;
    replica.acquired().await;
    assert!(redis.cli(&["INFO", "keyspace"]).contains("db1:keys=1"));
    let absent = failure(Server::parse("unix:///nowhere/redis.sock").unwrap()).await;
    assert_eq!(absent.class, FailureClass::NoSocket);
}

#[tokio::test]
async fn names_that_lead_nowhere_are_told_apart() {
    // Too long for a name, so no network is asked.
    let unknown = failure(Server::tcp(&"x".repeat(64), 6379)).await;
    assert_eq!(unknown.class, FailureClass::UnknownHost);
    let closed = failure(Server::tcp("127.0.0.1", free_port())).await;
    assert_eq!(closed.class, FailureClass::Refused);
    let redis = RedisServer::start();
    at(Server::tcp("localhost", redis.port())).acquired().await;
}

#[tokio::test]
async fn no_debug_output_shows_the_password() {
    let redis = RedisServer::start();
    let server = server_of(&redis).with_user("shepherd").with_password("hunter2");
    let setup = LeaseSetup {
        server: server.clone(),
        scope: SCOPE.to_owned(),
        holder: holder(1),
        ttl: TTL,
        request_limit: PATIENT,
    };
    let client = at(server.clone()).client;
    assert!(!format!("{server} {server:?} {setup:?} {client:?}").contains("hunter2"));
}

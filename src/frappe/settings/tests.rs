use super::*;

/// The environment of the official images' compose files, with what they leave to a person.
const OFFICIAL: &[(&str, &str)] = &[
    ("SITE", "erp.localhost"),
    ("DB_HOST", "db"),
    ("DB_PORT", "3306"),
    ("REDIS_CACHE", "redis-cache:6379"),
    ("REDIS_QUEUE", "redis-queue:6379"),
    ("SOCKETIO_PORT", "9000"),
    ("ADMIN_PASSWORD", "adm1n-secret"),
    ("DB_PASSWORD", "r00t-secret"),
];

/// What a production image of the field has.
const PRODUCTION: &[(&str, &str)] = &[
    ("SITES", "b.localhost, a.localhost"),
    ("DB_TYPE", "postgres"),
    ("DB_HOST", "pg"),
    ("DB_ROOT_USER", "admin"),
    ("DB_ROOT_PASS", "r00t"),
    ("ADMIN_PASS", "adm1n"),
    ("REDIS_HOST", "redis"),
    ("REDIS_PASS", "p@ss"),
    ("REDIS_CACHE_PORT", "6379"),
    ("REDIS_QUEUE_PORT", "6380"),
    ("REDIS_SOCKETIO_PORT", "6381"),
    ("APPS", "erpnext hrms"),
    ("LOCK_REDIS_HOST", "lock"),
];

fn read(base: &[(&str, &str)], changes: &[(&str, &str)], may_lead: bool) -> Result<Option<Settings>, String> {
    // A change to nothing takes a variable away.
    let env: Env = base.iter().chain(changes).copied().collect();
    let volume = Some(Path::new("/bench/sites"));
    let brief = PresetBrief { env: &env, volume, may_lead, step_timeout: None, step_attempts: 3 };
    Settings::from(&brief).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn settings(base: &[(&str, &str)], changes: &[(&str, &str)]) -> Settings {
    read(base, changes, true).unwrap().expect("nothing is missing")
}

fn refused(base: &[(&str, &str)], changes: &[(&str, &str)]) -> String {
    match read(base, changes, true) {
        Err(problems) => problems,
        Ok(_) => panic!("this should be refused: {changes:?}"),
    }
}

#[test]
fn the_environment_of_the_official_images_is_enough() {
    let settings = settings(OFFICIAL, &[]);
    assert_eq!(settings.sites, [SiteName::parse("erp.localhost").unwrap()]);
    let Settings { database, redises, apps, .. } = &settings;
    assert_eq!((database.kind, database.host.as_str(), database.port), (Kind::MariaDb, "db", 3306));
    assert_eq!((database.root_user.as_str(), database.root_password.as_deref()), ("root", Some("r00t-secret")));
    assert_eq!(
        (redises.cache.as_str(), redises.queue.as_str()),
        ("redis://redis-cache:6379", "redis://redis-queue:6379")
    );
    assert_eq!(redises.socketio, redises.queue);
    assert!(apps.all_of_image && apps.wanted.is_empty());
    assert_eq!((settings.admin_password.as_deref(), settings.assets), (Some("adm1n-secret"), Assets::Auto));
    assert_eq!((settings.bench_dir(), settings.socketio_port, settings.jobs), (Path::new("/bench"), 9000, 1));
    assert_eq!(settings.secrets(), ["r00t-secret", "adm1n-secret"]);
}

#[test]
fn the_environment_of_the_production_image_is_enough() {
    let settings = settings(PRODUCTION, &[]);
    let names: Vec<&str> = settings.sites.iter().map(SiteName::as_str).collect();
    assert_eq!(names, ["b.localhost", "a.localhost"]);
    let Settings { database, redises, apps, .. } = &settings;
    assert_eq!((database.kind, database.port, database.root_user.as_str()), (Kind::Postgres, 5432, "admin"));
    assert_eq!(redises.cache, "redis://:p%40ss@redis:6379");
    assert_eq!(
        (redises.queue.as_str(), redises.socketio.as_str()),
        ("redis://:p%40ss@redis:6380", "redis://:p%40ss@redis:6381")
    );
    assert_eq!(
        (apps.wanted.as_slice(), apps.all_of_image),
        (["erpnext".to_owned(), "hrms".to_owned()].as_slice(), false)
    );
}

#[test]
fn secrets_come_from_files_under_every_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "from-file\n").unwrap();
    let path = path.to_str().unwrap();
    let changes = [("DB_PASSWORD", ""), ("DB_PASSWORD_FILE", path), ("ADMIN_PASSWORD", ""), ("ADMIN_PASS_FILE", path)];
    let settings = settings(OFFICIAL, &changes);
    assert_eq!(settings.database.root_password.as_deref(), Some("from-file"));
    assert_eq!(settings.admin_password.as_deref(), Some("from-file"));
    insta::assert_snapshot!(refused(OFFICIAL, &[("DB_ROOT_PASS_FILE", path)]), @"DB_PASSWORD: disagrees with what DB_ROOT_PASS_FILE holds; unset one of them");
}

#[test]
fn everything_that_is_missing_is_told_at_once_to_who_may_lead() {
    insta::assert_snapshot!(refused(&[], &[]), @r"
    SITE: is not set; set it to the site's name, or SITES to several
    ADMIN_PASS: is not set; set it to the password of Administrator in a new site, or ADMIN_PASS_FILE to a file with that; or SKIP_INIT=1, which creates nothing
    DB_HOST: is not set; set it to the database server's host
    DB_ROOT_PASS: is not set; set it to the password of the user who creates databases, or DB_ROOT_PASS_FILE to a file with that; or SKIP_INIT=1, which creates nothing
    REDIS_CACHE: is not set; set it to the cache's host:port or URL, or set REDIS_HOST and REDIS_CACHE_PORT
    REDIS_QUEUE: is not set; set it to the queue's host:port or URL, or set REDIS_HOST and REDIS_QUEUE_PORT
    ");
    assert!(read(&[], &[], false).unwrap().is_none());
    assert!(refused(&[], &[("SKIP_INIT", "1")]).lines().count() == 4);
    assert!(settings(OFFICIAL, &[("SKIP_INIT", "1"), ("ADMIN_PASSWORD", ""), ("DB_PASSWORD", "")]).skip_init);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_to_everybody() {
    let changes = [
        ("SITE", "../etc"),
        ("DB_TYPE", "oracle"),
        ("DB_PORT", "0"),
        ("REDIS_CACHE", "redis-cache"),
        ("FRAPPE_REDIS_QUEUE", "redis://other:6379"),
        ("SOCKETIO_PORT", "x"),
        ("APPS", "hrms"),
        ("AUTO_APPS_DENYLIST", "hrms"),
        ("SKIP_INIT", "yes"),
        ("RUN_MIGRATIONS_ON_BOOT", "maybe"),
        ("BELLWETHER_ASSETS", "build"),
        ("REBUILD_ASSETS_ON_BOOT", "0"),
        ("BELLWETHER_SITE_JOBS", "0"),
        ("BELLWETHER_DRAIN_SECS", "1m"),
        ("ENABLE_SCHEDULER", "on"),
    ];
    insta::assert_snapshot!(refused(OFFICIAL, &changes), @r#"
    SITE: "../etc" is no name of a site; letters, digits, '.', '_' and '-' are allowed
    SKIP_INIT: "yes" is none of 0, 1
    DB_TYPE: "oracle" is none of mariadb, postgres
    DB_PORT: is no port; a number from 1 to 65535 is needed
    REDIS_CACHE: names no host:port such as redis:6379
    FRAPPE_REDIS_QUEUE: says another Redis than REDIS_QUEUE; unset one of them
    SOCKETIO_PORT: is no port; a number from 1 to 65535 is needed
    AUTO_APPS_DENYLIST: hrms is among APPS as well; remove it from one of them
    RUN_MIGRATIONS_ON_BOOT: "maybe" is none of leader, no
    BELLWETHER_DRAIN_SECS: "1m" is no number of seconds; write digits alone, such as 30 or 0.5
    BELLWETHER_ASSETS: disagrees with REBUILD_ASSETS_ON_BOOT; unset one of them
    BELLWETHER_SITE_JOBS: "0" is no number from 1 to 64
    ENABLE_SCHEDULER: "on" is none of 0, 1
    "#);
    assert_eq!(read(OFFICIAL, &changes, false).err().unwrap(), refused(OFFICIAL, &changes));
    insta::assert_snapshot!(refused(PRODUCTION, &[("REDIS_CACHE_PORT", "0")]), @"REDIS_CACHE_PORT: is no port; a number from 1 to 65535 is needed");
}

#[test]
fn what_is_said_twice_must_agree() {
    insta::assert_snapshot!(refused(OFFICIAL, &[("FRAPPE_DB_HOST", "other")]), @"DB_HOST: disagrees with FRAPPE_DB_HOST, which means the same; unset one of them");
    insta::assert_snapshot!(refused(OFFICIAL, &[("SITES", "a b")]), @"SITE: erp.localhost is none of SITES; unset one of them");
    insta::assert_snapshot!(refused(PRODUCTION, &[("REDIS_CACHE", "other:6379")]), @"REDIS_CACHE_PORT: says another Redis than REDIS_CACHE; unset one of them");
    insta::assert_snapshot!(refused(PRODUCTION, &[("DB_NAME", "x")]), @"DB_NAME: names one database, but there are several sites; unset it");
    let same =
        [("FRAPPE_DB_HOST", "db"), ("FRAPPE_REDIS_CACHE", "redis://redis-cache:6379"), ("SITES", "b erp.localhost")];
    let names: Vec<String> = settings(OFFICIAL, &same).sites.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["erp.localhost", "b"]);
}

#[test]
fn assets_are_asked_for_by_two_names() {
    let asked = |changes: &[(&str, &str)]| settings(OFFICIAL, changes).assets;
    assert_eq!(asked(&[("REBUILD_ASSETS_ON_BOOT", "1")]), Assets::Build);
    assert_eq!(asked(&[("REBUILD_ASSETS_ON_BOOT", "0")]), Assets::LinkOrSkip);
    assert_eq!(asked(&[("BELLWETHER_ASSETS", "auto"), ("REBUILD_ASSETS_ON_BOOT", "0")]), Assets::LinkOrSkip);
    assert_eq!(asked(&[("BELLWETHER_ASSETS", "link"), ("REBUILD_ASSETS_ON_BOOT", "auto")]), Assets::Link);
    let alone = |pairs: &'static [(&str, &str)]| {
        let lookup = move |name: &str| pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into());
        Settings::assets_alone(&lookup)
    };
    assert_eq!(alone(&[]), Some(Assets::Auto));
    assert_eq!(alone(&[("BELLWETHER_ASSETS", "skip")]), Some(Assets::Skip));
    assert_eq!(alone(&[("BELLWETHER_ASSETS", "what")]), None);
}

#[test]
fn a_database_is_called_so_that_bench_drops_no_other() {
    let said = |changes: &[(&str, &str)]| refused(PRODUCTION, &[&[("SITES", "a")], changes].concat());
    insta::assert_snapshot!(said(&[("DB_NAME", "ERP")]), @r#"DB_NAME: "ERP" is another name without quotes, as bench drops databases; write it in lower case"#);
    insta::assert_snapshot!(said(&[("DB_NAME", "postgres")]), @r#"DB_NAME: "postgres" is the server's own; choose another name"#);
    insta::assert_snapshot!(said(&[("DB_NAME", "admin")]), @"DB_NAME: is the name of DB_ROOT_USER as well; choose another name");
    assert_eq!(settings(OFFICIAL, &[("DB_NAME", "ERP")]).database.name.as_deref(), Some("ERP"));
}

#[test]
fn what_is_wrong_does_not_hide_what_is_missing() {
    let said =
        refused(OFFICIAL, &[("DB_PORT", "abc"), ("DB_PASSWORD", ""), ("APPS", "-x"), ("AUTO_INSTALL_NEW_APPS", "x")]);
    let culprits: Vec<&str> = said.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(culprits, ["DB_PORT", "APPS", "AUTO_INSTALL_NEW_APPS", "DB_ROOT_PASS"]);
}

use super::source::Given;
use super::*;

fn given(pairs: &[(&'static str, &str)]) -> Vec<Given> {
    pairs
        .iter()
        .map(|(setting, text)| Given { setting, text: (*text).to_owned(), origin: Origin::Environment })
        .collect()
}

fn load(pairs: &[(&'static str, &str)]) -> Result<(Config, Report), String> {
    Config::from_given(&given(pairs), Vec::new()).map_err(|problems| problems.to_string())
}

#[test]
fn every_default_is_itself_allowed_and_names_are_unique() {
    let (config, _) = load(&[]).unwrap();
    assert_eq!(config.listen, "127.0.0.1:8071");
    assert_eq!(config.store, StoreAddress::Sqlite("./posthaste-data/posthaste.db".into()));
    assert_eq!(config.schedule, Schedule::default());
    assert_eq!(config.public_url, "http://127.0.0.1:8071");
    assert_eq!(config.event_origin, "127.0.0.1");
    assert_eq!((config.https_only, config.retention_days), (true, 90));
    let names: std::collections::HashSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(names.len(), SETTINGS.len());
}

#[test]
fn defaults_follow_what_they_build_on() {
    let (config, _) = load(&[("LISTEN", "0.0.0.0:99"), ("DATA_DIR", "/srv/ph")]).unwrap();
    assert_eq!(config.store, StoreAddress::Sqlite("/srv/ph/posthaste.db".into()));
    assert_eq!(config.public_url, "http://127.0.0.1:99");
    let (config, _) = load(&[("PUBLIC_URL", "https://hooks.example.com/")]).unwrap();
    assert_eq!(config.event_origin, "hooks.example.com");
    assert_eq!(config.public_url, "https://hooks.example.com");
}

#[test]
fn every_wrong_value_is_refused_with_what_is_allowed() {
    let wrong = [
        ("LISTEN", "8071"),
        ("LISTEN", "host:port"),
        ("LISTEN", ":8071"),
        ("LISTEN", "::1:8071"),
        ("METRICS_LISTEN", ""),
        ("DATA_DIR", ""),
        ("STORE", "mysql://x"),
        ("STORE", "sqlite:"),
        ("STORE", "sqlite::memory:"),
        ("STORE", "postgres://"),
        ("JWT_SECRET", "short"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_ALGORITHM", "hs256"),
        ("JWT_PUBLIC_KEY", "file:/nowhere"),
        ("ENCRYPTION_KEY", ""),
        ("RETRY_SCHEDULE", "5,soon"),
        ("RETRY_SCHEDULE", "-5"),
        ("RETRY_SCHEDULE", "604801"),
        ("EGRESS_ALLOW", "10.0.0.0/33"),
        ("EGRESS_ALLOW", "localhost"),
        ("HTTPS_ONLY", "yes"),
        ("REQUEST_TIMEOUT_SECONDS", "0"),
        ("REQUEST_TIMEOUT_SECONDS", "31"),
        ("SIGNATURE_HEADERS", "none"),
        ("RETENTION_DAYS", "0"),
        ("RETENTION_DAYS", "1.5"),
        ("PUBLIC_URL", "ftp://x"),
        ("PUBLIC_URL", "https://u:p@x"),
        ("EVENT_ORIGIN", "two words"),
        ("OIDC_ISSUER", "id.example.com"),
        ("OIDC_ISSUER", "http://id.example.com"),
        ("OIDC_ISSUER", "http://localhost.example.com"),
        ("OIDC_ISSUER", "https://user:password@id.example.com"),
        ("OIDC_ISSUER", "https://id.example.com/?tenant=acme"),
        ("OIDC_ISSUER", "https://id.example.com/#"),
        ("OIDC_CLIENT_ID", ""),
        ("OIDC_CLIENT_SECRET", ""),
        ("OIDC_NAME", ""),
        ("OIDC_DOMAINS", "ada@acme.example"),
        ("OIDC_DOMAINS", "*.acme.example"),
        ("OIDC_ROLE", "root"),
        ("OIDC_CERTIFICATE_AUTHORITY", "a certificate"),
        ("TRUSTED_PROXIES", "proxy"),
        ("EMBED_ORIGINS", "app.example.com"),
        ("BRAND_NAME", ""),
        ("BRAND_COLOR", "blue"),
        ("BRAND_COLOR", "#12345"),
        ("BRAND_LOGO", "/nowhere"),
        ("BRAND_LOGO", "Cargo.toml"),
        ("THEME", "night"),
        ("LOG", "inof"),
        ("LOG", ""),
        ("LOG_FORMAT", "xml"),
    ];
    for (name, text) in wrong {
        let problem = load(&[(name, text)]).map(|_| ()).unwrap_err();
        assert!(problem.contains(&format!("POSTHASTE_{name}")), "{name}={text}: {problem}");
    }
}

#[test]
fn all_problems_come_at_once_and_show_no_secret() {
    let problems = load(&[
        ("STORE", "mysql://user:canary@db/x"),
        ("JWT_SECRET", "canary"),
        ("ENCRYPTION_KEY", "canary"),
        ("PUBLIC_URL", "https://user:canary@host/"),
        ("LOG_FORMAT", "xml"),
    ])
    .map(|_| ())
    .unwrap_err();
    assert_eq!(problems.lines().count(), 6, "{problems}");
    assert!(problems.starts_with("5 settings are wrong:"), "{problems}");
    assert!(problems.contains("POSTHASTE_LOG_FORMAT is \"xml\": must be text or json"), "{problems}");
    assert!(!problems.contains("canary"), "{problems}");
}

#[test]
fn an_asymmetric_algorithm_and_its_key_need_each_other() {
    // The public key of RFC 8410, section 10.1.
    let key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
               -----END PUBLIC KEY-----";
    assert!(load(&[("JWT_ALGORITHM", "EdDSA")]).is_err());
    assert!(load(&[("JWT_PUBLIC_KEY", key)]).is_err());
    assert!(load(&[("JWT_ALGORITHM", "RS256"), ("JWT_PUBLIC_KEY", key)]).is_err());
    assert!(load(&[("JWT_ALGORITHM", "EdDSA"), ("JWT_PUBLIC_KEY", key)]).is_ok());
    let both = [("JWT_ALGORITHM", "EdDSA"), ("JWT_PUBLIC_KEY", key), ("JWT_SECRET", "a secret nobody reads")];
    assert!(load(&both).map(|_| ()).unwrap_err().contains("leave the secret out"));
}

#[test]
fn nodes_that_share_a_store_are_given_their_secrets_and_the_stores_password_is_not_shown() {
    let url = "postgres://user:canary@db/x";
    let problems = load(&[("STORE", url)]).map(|_| ()).unwrap_err();
    assert!(problems.contains("POSTHASTE_JWT_SECRET must be set with a PostgreSQL store"), "{problems}");
    assert!(problems.contains("POSTHASTE_ENCRYPTION_KEY must be set with a PostgreSQL store"), "{problems}");
    let secret = "0123456789abcdef0123456789abcdef";
    let (config, report) =
        load(&[("STORE", url), ("JWT_SECRET", secret), ("ENCRYPTION_KEY", secret)]).unwrap();
    assert!(matches!(&config.store, StoreAddress::Postgres(text) if text.reveal() == url));
    assert!(!format!("{config:?}{report}").contains("canary"));
}

#[test]
fn an_empty_list_is_a_list() {
    let (config, _) = load(&[("RETRY_SCHEDULE", ""), ("EGRESS_ALLOW", " 10.1.2.3 , ::1/128 ")]).unwrap();
    assert!(config.schedule.seconds().is_empty());
    assert_eq!(config.egress_allow.len(), 2);
}

#[test]
fn the_report_lists_every_setting_and_hides_secrets() {
    let secret = "canary-canary-canary-canary-canary";
    let (config, report) = load(&[("JWT_SECRET", secret)]).unwrap();
    let text = report.to_string();
    for setting in SETTINGS {
        assert!(text.contains(&format!("{} = ", setting.variable())), "{}", setting.name);
    }
    assert!(text.contains("POSTHASTE_JWT_SECRET = (set)"), "{text}");
    assert!(!text.contains(secret) && !format!("{config:?}{report:?}").contains(secret));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn a_private_key_in_the_public_ones_place_is_told_alone_and_never_shown() {
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIcanary\n-----END PRIVATE KEY-----";
    for algorithm in ["EdDSA", "HS256"] {
        let told = load(&[("JWT_ALGORITHM", algorithm), ("JWT_PUBLIC_KEY", key)]).map(|_| ()).unwrap_err();
        assert_eq!(told.lines().count(), 2, "{told}");
        assert!(told.contains("POSTHASTE_JWT_PUBLIC_KEY holds a PRIVATE key"), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
    let junk = load(&[("JWT_ALGORITHM", "EdDSA"), ("JWT_PUBLIC_KEY", "canary")]).map(|_| ()).unwrap_err();
    assert!(!junk.contains("canary") && junk.lines().count() == 2, "{junk}");
}

#[test]
fn a_default_that_builds_on_a_wrong_setting_is_no_second_problem() {
    let told = load(&[("LISTEN", "nonsense")]).map(|_| ()).unwrap_err();
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains("POSTHASTE_LISTEN is \"nonsense\"") && !told.contains("PUBLIC_URL"), "{told}");
    assert!(
        load(&[("LISTEN", "nonsense"), ("PUBLIC_URL", "also")])
            .map(|_| ())
            .unwrap_err()
            .contains("PUBLIC_URL")
    );
}

#[test]
fn a_provider_is_set_up_whole_or_not_at_all() {
    let issuer = ("OIDC_ISSUER", "https://id.example.com/realms/acme/");
    let id = ("OIDC_CLIENT_ID", "posthaste");
    let told = |pairs: &[(&'static str, &str)]| load(pairs).map(|_| ()).unwrap_err();
    assert!(told(&[issuer]).contains("POSTHASTE_OIDC_CLIENT_ID is not: give the id"));
    for other in [
        id,
        ("OIDC_CLIENT_SECRET", "canary"),
        ("OIDC_NAME", "Acme ID"),
        ("OIDC_DOMAINS", "acme.example"),
        ("OIDC_ROLE", "viewer"),
    ] {
        let told = told(&[other]);
        assert!(
            told.contains(&format!("POSTHASTE_{} is set, but POSTHASTE_OIDC_ISSUER is not", other.0)),
            "{told}"
        );
        assert!(!told.contains("canary"), "{told}");
    }
    assert!(told(&[issuer, id, ("OIDC_ROLE", "member")]).contains("POSTHASTE_OIDC_DOMAINS is not"));
    // A wrong one is told alone.
    assert_eq!(told(&[("OIDC_ISSUER", "x"), id]).lines().count(), 2);
    let (config, report) = load(&[
        issuer,
        id,
        ("OIDC_CLIENT_SECRET", "canary"),
        ("OIDC_DOMAINS", "Acme.example, acme.test"),
        ("OIDC_ROLE", "member"),
    ])
    .unwrap();
    assert_eq!(config.oidc_issuer.as_deref(), Some(issuer.1), "to the letter");
    assert_eq!(
        (config.oidc_domains, config.oidc_role),
        (vec!["acme.example".into(), "acme.test".into()], Some(Role::Member))
    );
    assert!(!report.to_string().contains("canary"));
    for here in ["http://localhost:8080", "http://127.0.0.1:9/realm", "http://[::1]:9"] {
        assert!(load(&[("OIDC_ISSUER", here), id]).is_ok(), "{here}");
    }
}

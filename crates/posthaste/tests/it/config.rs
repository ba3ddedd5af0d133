//! Settings: refused by name when wrong, the environment wins, `posthaste config` prints them all.

use crate::binary::{Run, posthaste, run};
use std::fs;

/// The names that the documentation promises.
const NAMES: [&str; 16] = [
    "POSTHASTE_LISTEN",
    "POSTHASTE_DATA_DIR",
    "POSTHASTE_STORE",
    "POSTHASTE_JWT_SECRET",
    "POSTHASTE_ENCRYPTION_KEY",
    "POSTHASTE_RETRY_SCHEDULE",
    "POSTHASTE_EGRESS_ALLOW",
    "POSTHASTE_HTTPS_ONLY",
    "POSTHASTE_REQUEST_TIMEOUT_SECONDS",
    "POSTHASTE_SIGNATURE_HEADERS",
    "POSTHASTE_RETENTION_DAYS",
    "POSTHASTE_PUBLIC_URL",
    "POSTHASTE_EVENT_ORIGIN",
    "POSTHASTE_TRUSTED_PROXIES",
    "POSTHASTE_LOG",
    "POSTHASTE_LOG_FORMAT",
];

/// Runs `posthaste VERB` in a fresh folder with this settings file and these variables.
fn with(verb: &str, file: &str, variables: &[(&str, &str)]) -> (Run, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if !file.is_empty() {
        fs::write(folder.path().join("posthaste.toml"), file).expect("the settings file is written");
    }
    let mut command = posthaste(folder.path(), &[verb]);
    command.envs(variables.iter().copied());
    (run(command), folder)
}

#[test]
fn config_prints_every_setting_with_value_origin_default_and_meaning() {
    let (printed, _folder) = with("config", "retention_days = 30\n", &[("POSTHASTE_LOG", "debug")]);
    assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""));
    for name in NAMES {
        assert!(printed.out.contains(&format!("{name} = ")), "{name} is missing from\n{}", printed.out);
    }
    let retention = "POSTHASTE_RETENTION_DAYS = \"30\"\n    from posthaste.toml; default: 90\n    How long";
    assert!(printed.out.contains(retention), "{}", printed.out);
    assert!(printed.out.contains("POSTHASTE_LOG = \"debug\"\n    from the environment"), "{}", printed.out);
}

#[test]
fn the_environment_wins_over_the_file() {
    let (printed, _folder) = with(
        "config",
        "listen = \"127.0.0.1:1\"\nlog_format = \"json\"\n",
        &[("POSTHASTE_LISTEN", "127.0.0.1:2")],
    );
    assert!(
        printed.out.contains("POSTHASTE_LISTEN = \"127.0.0.1:2\"\n    from the environment"),
        "{}",
        printed.out
    );
    assert!(
        printed.out.contains("POSTHASTE_LOG_FORMAT = \"json\"\n    from posthaste.toml"),
        "{}",
        printed.out
    );
}

#[test]
fn a_list_in_the_file_is_a_list_and_a_named_file_must_exist() {
    let (printed, folder) = with("config", "retry_schedule = [1, 2]\negress_allow = [\"10.0.0.0/8\"]\n", &[]);
    assert!(printed.out.contains("POSTHASTE_RETRY_SCHEDULE = \"1,2\""), "{}", printed.out);
    assert!(printed.out.contains("POSTHASTE_EGRESS_ALLOW = \"10.0.0.0/8\""), "{}", printed.out);
    let missing = run(posthaste(folder.path(), &["config", "--config", "elsewhere.toml"]));
    assert_eq!(missing.code, Some(2));
    assert!(missing.err.contains("the settings file elsewhere.toml cannot be read"), "{}", missing.err);
}

#[test]
fn serve_refuses_to_start_and_names_every_wrong_and_unknown_setting_at_once() {
    let (refused, folder) = with(
        "serve",
        "retntion_days = 3\nlog_format = \"xml\"\n",
        &[("POSTHASTE_LISTNE", "127.0.0.1:1"), ("POSTHASTE_REQUEST_TIMEOUT_SECONDS", "60")],
    );
    assert_eq!(refused.code, Some(2));
    assert_eq!(
        refused.err,
        "posthaste: 4 settings are wrong:
  POSTHASTE_LISTNE in the environment is not a setting; did you mean POSTHASTE_LISTEN?
  retntion_days in posthaste.toml is not a setting; did you mean retention_days?
  POSTHASTE_REQUEST_TIMEOUT_SECONDS is \"60\": must be a whole number from 1 to 30
  log_format in posthaste.toml is \"xml\": must be text or json
"
    );
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "nothing was made");
}

#[test]
fn a_refusal_never_shows_a_secret() {
    let canary = "canary-7f3a";
    let file = format!("jwt_secret = \"{canary}\"\nencryption_key = \"{canary}\nlisten = 5\n");
    let (broken, _folder) = with("serve", &file, &[]);
    assert!(broken.err.contains("posthaste.toml cannot be read: line 2: "), "{}", broken.err);
    let (short, _folder) = with("config", "", &[("POSTHASTE_JWT_SECRET", canary)]);
    assert!(
        short.err.contains("POSTHASTE_JWT_SECRET has 11 characters and needs at least 16"),
        "{}",
        short.err
    );
    let (postgres, _folder) =
        with("serve", "", &[("POSTHASTE_STORE", "postgres://user:canary-7f3a@database/posthaste")]);
    assert!(
        postgres.err.contains("POSTHASTE_JWT_SECRET must be set with a PostgreSQL store"),
        "{}",
        postgres.err
    );
    for run in [broken, short, postgres] {
        assert_eq!(run.code, Some(2));
        assert!(!run.err.contains(canary) && !run.out.contains(canary), "{}", run.err);
    }
}

#[test]
fn a_token_needs_no_server_and_the_default_environment_is_always_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token =
        |arguments: &[&str]| run(posthaste(folder.path(), &[&["token", "create"], arguments].concat()));
    let subject = |run: Run| {
        use base64::Engine;
        assert_eq!(run.code, Some(0), "{}", run.err);
        let claims = run.out.trim().split('.').nth(1).expect("a JWT has three parts").to_owned();
        let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64url");
        let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON claims");
        (claims["sub"].clone(), claims["org"].clone())
    };
    assert_eq!(subject(token(&[])), subject(token(&["--expires-days", "1"])));
    assert_eq!(
        subject(token(&["--environment", "org_a", "--application", "app_b"])),
        ("app_b".into(), "org_a".into())
    );
    assert_eq!(token(&["--environment", "acme"]).code, Some(1));
    let long = token(&["--environment", &format!("org_{}", "x".repeat(300))]);
    assert_eq!((long.code, long.out.as_str()), (Some(1), ""), "a token that no server takes is not made");
    assert!(long.err.contains("name_chars_max"), "{}", long.err);
}

//! The list of settings. A setting is one entry here and nothing else: the file's key, the variable's name, the
//! checks, the help and `posthaste config` follow from it.
//!
//! Entries are read in this order, so a default may build on what stands above it.

use super::{Config, SecretText, look, value};

/// One setting.
pub(super) struct Setting {
    /// The name without its prefix: `POSTHASTE_` and this in the environment, this in lower case in the file.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub meaning: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    /// What holds when it is not set.
    pub fallback: Fallback,
    /// Reads the text into the config, or says what is allowed.
    pub put: fn(&mut Config, &str) -> Result<(), String>,
}

/// What holds for a setting that is not set.
pub(super) enum Fallback {
    /// This text.
    Text(&'static str),
    /// A text that follows from settings above, and how that is told.
    From(fn(&Config) -> String, &'static str),
    /// Nothing; the words tell what then happens.
    Absent(&'static str),
}

impl Setting {
    /// The name in the environment.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// The key in the file.
    pub(super) fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

/// What every variable's name begins with.
pub(super) const PREFIX: &str = "POSTHASTE_";

/// All settings.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "LISTEN",
        meaning: "Where the API listens, as host:port.",
        secret: false,
        fallback: Fallback::Text("127.0.0.1:8071"),
        put: |config, text| value::put(&mut config.listen, value::host_port(text)),
    },
    Setting {
        name: "METRICS_LISTEN",
        meaning: "A listener of its own for /metrics, as host:port.",
        secret: false,
        fallback: Fallback::Absent("/metrics on the main listener"),
        put: |config, text| value::put(&mut config.metrics_listen, value::host_port(text).map(Some)),
    },
    Setting {
        name: "DATA_DIR",
        meaning: "The folder of everything that is kept. It is made when missing, for this user alone.",
        secret: false,
        fallback: Fallback::Text("./posthaste-data"),
        put: |config, text| value::put(&mut config.data_dir, value::path(text)),
    },
    Setting {
        name: "STORE",
        meaning: "Where messages and their deliveries are stored: sqlite:PATH, or postgres://user:password@host/database, \
                  which any number of nodes may share.",
        secret: false,
        fallback: Fallback::From(value::store_in_data_dir, "sqlite:<data dir>/posthaste.db"),
        put: |config, text| value::put(&mut config.store, value::store(text)),
    },
    Setting {
        name: "JWT_SECRET",
        meaning: "The key that signs API tokens (HS256, HS384, HS512). 16 characters or more, 32 are better.",
        secret: true,
        fallback: Fallback::Absent("generated into <data dir>/jwt-secret"),
        put: |config, text| {
            value::put(&mut config.jwt_secret, value::secret(text, value::JWT_SECRET_CHARS_MIN).map(Some))
        },
    },
    Setting {
        name: "JWT_ALGORITHM",
        meaning: "The one algorithm whose tokens are taken: HS256, HS384, HS512, RS256, RS384, RS512 or EdDSA.",
        secret: false,
        fallback: Fallback::Text("HS256"),
        put: |config, text| value::put(&mut config.jwt_algorithm, value::algorithm(text)),
    },
    Setting {
        name: "JWT_PUBLIC_KEY",
        meaning: "For RS256, RS384, RS512 and EdDSA: the public key as PEM, or file:PATH of it. It only verifies: tokens \
                  are made where the private key is, and API keys through the API with such a token.",
        // A private key put here by mistake must not be shown.
        secret: true,
        fallback: Fallback::Absent("none"),
        put: |config, text| value::put(&mut config.jwt_public_key, value::public_key(text).map(Some)),
    },
    Setting {
        name: "ENCRYPTION_KEY",
        meaning: "The key that seals secrets at rest and makes ids unguessable. 32 characters or more. Keep a copy: \
                  without it the store cannot be read.",
        secret: true,
        fallback: Fallback::Absent("generated into <data dir>/encryption-key"),
        put: |config, text| {
            value::put(
                &mut config.encryption_key,
                value::secret(text, value::ENCRYPTION_KEY_CHARS_MIN).map(Some),
            )
        },
    },
    Setting {
        name: "ENCRYPTION_KEY_OLD",
        meaning: "The encryption key before POSTHASTE_ENCRYPTION_KEY, until `posthaste secrets rotate` has sealed everything \
                  with the new one.",
        secret: true,
        fallback: Fallback::Absent("there is none"),
        put: |config, text| {
            value::put(
                &mut config.encryption_key_old,
                value::secret(text, value::ENCRYPTION_KEY_CHARS_MIN).map(Some),
            )
        },
    },
    Setting {
        name: "RETRY_SCHEDULE",
        meaning: "Seconds between tries after the first has failed, separated by commas. Empty is a single try.",
        secret: false,
        fallback: Fallback::Text("5,300,1800,7200,18000,36000,36000"),
        put: |config, text| value::put(&mut config.schedule, value::schedule(text)),
    },
    Setting {
        name: "API_RATE_LIMIT",
        meaning: "Requests to the API that one credential may make in a second; more are answered with 429. 0 is no limit.",
        secret: false,
        fallback: Fallback::Text("0"),
        put: |config, text| value::put(&mut config.api_rate_limit, value::number(text, 0..=100_000)),
    },
    Setting {
        name: "EGRESS_ALLOW",
        meaning: "Subnets opened to delivery beside the public addresses, separated by commas (10.0.0.0/8). Cloud \
                  metadata services stay closed.",
        secret: false,
        fallback: Fallback::Text(""),
        put: |config, text| value::put(&mut config.egress_allow, value::subnets(text)),
    },
    Setting {
        name: "HTTPS_ONLY",
        meaning: "Whether public addresses are reached over https alone. Opened subnets may always use http.",
        secret: false,
        fallback: Fallback::Text("true"),
        put: |config, text| value::put(&mut config.https_only, value::boolean(text)),
    },
    Setting {
        name: "REQUEST_TIMEOUT_SECONDS",
        meaning: "How long one attempt may take, from the look-up of the name to the answer's last byte.",
        secret: false,
        fallback: Fallback::Text("15"),
        put: |config, text| value::put(&mut config.request_timeout, value::seconds(text, 1..=30)),
    },
    Setting {
        name: "SIGNATURE_HEADERS",
        meaning: "The signature headers of new environments: webhook, svix or both.",
        secret: false,
        fallback: Fallback::Text("webhook"),
        put: |config, text| value::put(&mut config.signature_headers, value::signature_headers(text)),
    },
    Setting {
        name: "RETENTION_DAYS",
        meaning: "How long messages and their attempts are kept, in days.",
        secret: false,
        fallback: Fallback::Text("90"),
        put: |config, text| value::put(&mut config.retention_days, value::number(text, 1..=3_650)),
    },
    Setting {
        name: "PUBLIC_URL",
        meaning: "The address under which clients know this instance.",
        secret: false,
        fallback: Fallback::From(value::url_of_listener, "http://<listen>"),
        put: |config, text| value::put(&mut config.public_url, value::public_url(text)),
    },
    Setting {
        name: "EVENT_ORIGIN",
        meaning: "The value of the X-Event-Origin header that deliveries carry.",
        secret: false,
        fallback: Fallback::From(value::host_of_public_url, "the host of the public URL"),
        put: |config, text| value::put(&mut config.event_origin, value::header_value(text)),
    },
    Setting {
        name: "SMTP_URL",
        meaning: "The mail server that e-mails about failing webhooks go through: smtps://user:password@host, or \
                  smtp://user:password@host:587 with STARTTLS (?tls=none does without, for a server on this machine).",
        secret: true,
        fallback: Fallback::Absent("no e-mails are sent"),
        put: |config, text| value::put(&mut config.smtp_url, value::mail_server(text).map(Some)),
    },
    Setting {
        name: "SMTP_CERTIFICATE_AUTHORITY",
        meaning: "Certificate authorities of the mail server beside the public ones, as PEM or file:PATH of it.",
        secret: false,
        fallback: Fallback::Absent("the public ones alone"),
        put: |config, text| {
            value::put(&mut config.smtp_certificate_authority, value::certificates(text).map(Some))
        },
    },
    Setting {
        name: "MAIL_FROM",
        meaning: "Whom e-mails come from: ops@example.com, or Acme <ops@example.com>.",
        secret: false,
        fallback: Fallback::From(value::sender_at_public_url, "posthaste@<host of the public URL>"),
        put: |config, text| value::put(&mut config.mail_from, value::sender(text)),
    },
    Setting {
        name: "OIDC_ISSUER",
        meaning: "The identity provider that people may log in by (OpenID Connect), to the letter as it names itself: \
                  https://id.example.com. It sends people back to <public URL>/oidc/callback.",
        secret: false,
        fallback: Fallback::Absent("nobody logs in by a provider"),
        put: |config, text| value::put(&mut config.oidc_issuer, value::issuer(text).map(Some)),
    },
    Setting {
        name: "OIDC_CLIENT_ID",
        meaning: "What the identity provider knows this server by.",
        secret: false,
        fallback: Fallback::Absent("none"),
        put: |config, text| value::put(&mut config.oidc_client_id, value::some_text(text).map(Some)),
    },
    Setting {
        name: "OIDC_CLIENT_SECRET",
        meaning: "What shows the identity provider that it is this server; none for a public client.",
        secret: true,
        fallback: Fallback::Absent("none"),
        put: |config, text| {
            value::put(&mut config.oidc_client_secret, value::some_text(text).map(SecretText::new).map(Some))
        },
    },
    Setting {
        name: "OIDC_NAME",
        meaning: "What people call the identity provider: the button says \"Log in with …\".",
        secret: false,
        fallback: Fallback::Absent("single sign-on"),
        put: |config, text| value::put(&mut config.oidc_name, value::called(text).map(Some)),
    },
    Setting {
        name: "OIDC_DOMAINS",
        meaning: "Domains of e-mail addresses, separated by commas: whoever has one at the identity provider and is no user yet \
                  becomes one by logging in. All others must be invited.",
        secret: false,
        fallback: Fallback::Text(""),
        put: |config, text| value::put(&mut config.oidc_domains, value::domains(text)),
    },
    Setting {
        name: "OIDC_ROLE",
        meaning: "The role of those on the whole instance: viewer, member, manager or administrator.",
        secret: false,
        fallback: Fallback::Absent("viewer"),
        put: |config, text| value::put(&mut config.oidc_role, value::role(text).map(Some)),
    },
    Setting {
        name: "OIDC_CERTIFICATE_AUTHORITY",
        meaning: "Certificate authorities of the identity provider beside the public ones, as PEM or file:PATH of it.",
        secret: false,
        fallback: Fallback::Absent("the public ones alone"),
        put: |config, text| {
            value::put(&mut config.oidc_certificate_authority, value::certificates(text).map(Some))
        },
    },
    Setting {
        name: "TRUSTED_PROXIES",
        meaning: "Subnets of proxies whose word about the client's address is believed, separated by commas.",
        secret: false,
        fallback: Fallback::Text(""),
        put: |config, text| value::put(&mut config.trusted_proxies, value::subnets(text)),
    },
    Setting {
        name: "SENDER_ADDRESSES",
        meaning: "The addresses that deliveries come from, as the console's docs tell them to receivers, separated by commas.",
        secret: false,
        fallback: Fallback::Text(""),
        put: |config, text| value::put(&mut config.sender_addresses, value::subnets(text)),
    },
    Setting {
        name: "EMBED_ORIGINS",
        meaning: "Origins of pages that may show the customers' portal within them, like https://app.example.com, \
                  separated by commas.",
        secret: false,
        fallback: Fallback::Text(""),
        put: |config, text| value::put(&mut config.embed_origins, value::origins(text)),
    },
    Setting {
        name: "BRAND_NAME",
        meaning: "What the console calls itself.",
        secret: false,
        fallback: Fallback::Text("Posthaste"),
        put: |config, text| value::put(&mut config.look.name, look::brand_name(text)),
    },
    Setting {
        name: "BRAND_LOGO",
        meaning: "The picture beside that name: a file of SVG, PNG or WebP, square, of 32 KiB at most.",
        secret: false,
        fallback: Fallback::Absent("an envelope"),
        put: |config, text| value::put(&mut config.look.logo, look::logo(text).map(Some)),
    },
    Setting {
        name: "BRAND_COLOR",
        meaning: "The colour of the console's links and buttons, like #1d56b8; made lighter or darker where it could not be read.",
        secret: false,
        fallback: Fallback::Absent("a blue"),
        put: |config, text| value::put(&mut config.look.colour, look::colour(text).map(Some)),
    },
    Setting {
        name: "THEME",
        meaning: "The console's theme: auto (as the browser wants it), light or dark.",
        secret: false,
        fallback: Fallback::Text("auto"),
        put: |config, text| value::put(&mut config.look.theme, look::theme(text)),
    },
    Setting {
        name: "PUBLIC_DOCS",
        meaning: "Whether anybody may read the console's docs for receivers, at /docs/org_…, the events included.",
        secret: false,
        fallback: Fallback::Text("false"),
        put: |config, text| value::put(&mut config.public_docs, value::boolean(text)),
    },
    Setting {
        name: "LOG",
        meaning: "What is logged: a level (error, warn, info, debug, trace), or target=level, separated by commas.",
        secret: false,
        fallback: Fallback::Text("info"),
        put: |config, text| value::put(&mut config.log, value::log_filter(text)),
    },
    Setting {
        name: "LOG_FORMAT",
        meaning: "How log lines are written: text or json.",
        secret: false,
        fallback: Fallback::Text("text"),
        put: |config, text| value::put(&mut config.log_format, value::log_format(text)),
    },
];

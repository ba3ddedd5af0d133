//! Every limit has a name. The API's refusals quote these.

/// A request's body, in bytes (2 MiB): more is 413 `payload_too_large`.
pub const REQUEST_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long a request's body may make no progress, in seconds: then the answer is 408 `request_timeout`.
pub const REQUEST_BODY_PAUSE_SECONDS_MAX: u64 = 30;
/// How long a body that nobody wants is read before the answer, in seconds.
pub const REQUEST_BODY_DRAIN_SECONDS_MAX: u64 = 5;
/// Nesting of a JSON body; deeper is refused as not JSON that we read.
pub const JSON_DEPTH_MAX: usize = 127;
/// An id, uid, event id, event type, group name or name for people, in characters.
pub const NAME_CHARS_MAX: usize = 256;
/// A channel or a tag, in characters.
pub const CHANNEL_CHARS_MAX: usize = 128;
/// A description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 4096;
/// Event types of one endpoint, or of one list's filter.
pub const EVENT_TYPES_MAX: usize = 1_000;
/// Wrong fields of one request that are told at once.
pub const PROBLEMS_MAX: usize = 100;
/// Channels of one message or endpoint.
pub const CHANNELS_MAX: usize = 10;
/// Tags of one message.
pub const TAGS_MAX: usize = 5;
/// Metadata, in bytes as JSON.
pub const METADATA_BYTES_MAX: usize = 4096;
/// One header value of an endpoint, in bytes.
pub const HEADER_VALUE_BYTES_MAX: usize = 4096;
/// One header name of an endpoint, in bytes.
pub const HEADER_NAME_BYTES_MAX: usize = 256;
/// Headers of one endpoint.
pub const HEADERS_MAX: usize = 64;
/// A URL, in bytes.
pub const URL_BYTES_MAX: usize = 65_536;
/// Old secrets that still sign beside an endpoint's current one.
pub const OLD_SECRETS_MAX: usize = 10;
/// How long a rotated secret goes on signing unless told otherwise, in seconds.
pub const SECRET_GRACE_SECONDS_DEFAULT: u32 = 86_400;
/// Longest overlap of a rotated secret, in seconds (7 days).
pub const SECRET_GRACE_SECONDS_MAX: u32 = 604_800;
/// Items of a page: default and most.
pub const PAGE_ITEMS_DEFAULT: u16 = 50;
/// Items of a page at most.
pub const PAGE_ITEMS_MAX: u16 = 250;
/// Payloads or schemas of a page, in bytes: the item that reaches this is the page's last.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Days that a payload may be asked to be kept.
pub const PAYLOAD_RETENTION_DAYS_MAX: i64 = 90;
/// How far back what failed is recovered, in days: `recover_days_max`.
pub const RECOVER_DAYS_MAX: i64 = 14;
/// Background tasks of an environment that may run at the same time: `tasks_running_max`.
pub const TASKS_RUNNING_MAX: usize = 100;
/// Messages that are looked through when it is counted what a background task would send: `messages_counted_max`.
pub const MESSAGES_COUNTED_MAX: u64 = 10_000;
/// `deliverAt`: at least a minute ahead, in milliseconds.
pub const DELIVER_AHEAD_MS_MIN: i64 = 60_000;
/// `deliverAt`: at most a day ahead, in milliseconds.
pub const DELIVER_AHEAD_MS_MAX: i64 = 86_400_000;
/// How long an explicit idempotency key and an event id are remembered, in milliseconds (24 h for event ids).
pub const EVENT_ID_MS: i64 = 24 * 3_600_000;
/// How long an explicit idempotency key replays, in milliseconds (12 h).
pub const IDEMPOTENCY_MS: i64 = 12 * 3_600_000;
/// How long an `auto_` idempotency key replays, in milliseconds: SDKs retry within seconds.
pub const IDEMPOTENCY_AUTO_MS: i64 = 120_000;
/// Bytes of a receiver's answer that are kept with the attempt.
pub const RESPONSE_STORED_BYTES_MAX: usize = 16 * 1024;
/// Deliveries of one endpoint that wait in memory; more are parked.
pub const ENDPOINT_QUEUE_MAX: u32 = 2_000;
/// Deliveries that wait in memory altogether; more are parked.
pub const QUEUE_MAX: usize = 40_000;
/// Payload bytes of messages that wait in memory for their first attempts (64 MiB); more are parked.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Payload bytes of one endpoint's deliveries that wait in memory (8 MiB); more are parked, so that one slow endpoint
/// with large payloads does not take the memory for all. One delivery always fits.
pub const ENDPOINT_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Payloads under this many bytes are not counted: [`QUEUE_MAX`] of them take at most 40 MB.
pub const QUEUE_BYTES_COUNTED_MIN: usize = 1024;
/// A first attempt that has queued so long is parked (PROTOCOL rule 15), in milliseconds.
pub const QUEUED_MS_MAX: i64 = 5_000;
/// Requests on the wire altogether.
pub const IN_FLIGHT_MAX: usize = 2_048;
/// Requests on the wire to one endpoint.
pub const ENDPOINT_IN_FLIGHT_MAX: u32 = 128;
/// Commands that one commit carries at most.
pub const COMMIT_COMMANDS_MAX: usize = 1_024;
/// Endpoints of one application.
pub const ENDPOINTS_PER_APPLICATION_MAX: usize = 10_000;
/// An endpoint's name, in characters.
pub const ENDPOINT_NAME_CHARS_MAX: usize = 128;
/// JSON paths of `fields`.
pub const FIELDS_MAX: usize = 100;
/// One JSON path of `fields`, in bytes.
pub const FIELD_BYTES_MAX: usize = 512;
/// A template, in bytes (64 KiB).
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// A transformation's code, in bytes (50 KiB).
pub const TRANSFORMATION_BYTES_MAX: usize = 51_200;
/// A filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 4096;
/// All options of an endpoint together, as JSON, in bytes (256 KiB).
pub const OPTIONS_BYTES_MAX: usize = 256 * 1024;
/// Event mappings of one endpoint.
pub const ROUTES_MAX: usize = 1_000;
/// Tries after the first one that an endpoint may ask for.
pub const MAX_ATTEMPTS_MAX: u8 = 25;
/// An endpoint's own deadline, in seconds.
pub const TIMEOUT_SECONDS_MAX: u8 = 30;
/// Signatures of one request beside each other.
pub const SIGNATURES_MAX: usize = 5;
/// A customer's own signing key, in characters.
pub const SIGNING_KEY_CHARS_MAX: usize = 256;
/// What stands before a signature in its header, in bytes.
pub const SIGNATURE_PREFIX_BYTES_MAX: usize = 128;
/// A password, token or other credential, in bytes.
pub const CREDENTIAL_BYTES_MAX: usize = 4096;
/// Certificates of one endpoint, in bytes of PEM (64 KiB).
pub const CERTIFICATES_BYTES_MAX: usize = 64 * 1024;
/// A message's context, in bytes of JSON (64 KiB).
pub const CONTEXT_BYTES_MAX: usize = 64 * 1024;
/// A shaped body, in bytes (4 MiB): templates and transformations can make much of little.
pub const SHAPED_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The query that a GET carries the event in, in bytes: common servers take no more.
pub const GET_QUERY_BYTES_MAX: usize = 8_000;
/// E-mail addresses that an application or an endpoint may name for notices: `notify_emails_max`.
pub const NOTIFY_EMAILS_MAX: usize = 20;
/// An e-mail address, in bytes (RFC 5321, section 4.5.3.1.3).
pub const EMAIL_BYTES_MAX: usize = 254;
/// Browsers of one application that are told by push: `push_subscriptions_max`.
pub const PUSH_SUBSCRIPTIONS_MAX: usize = 100;
/// A password, in characters at least.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// A password, in bytes at most: hashing takes time for each.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Users that one list shows: `users_max`.
pub const USERS_MAX: usize = 1_000;
/// Sessions of one user: the one that was not used for longest goes for another (`sessions_max`).
pub const SESSIONS_MAX: usize = 50;

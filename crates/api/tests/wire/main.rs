//! The API driven through its router, over a temporary store: each operation's good case, its exact errors, and that
//! what was refused left nothing behind.

mod application;
mod attempt;
mod endpoint;
mod endpoint_options;
mod environment;
mod event_type;
mod everywhere;
mod idempotency;
mod message;
mod notify;
mod openapi;
mod resend;
mod session;
mod task;
mod world;

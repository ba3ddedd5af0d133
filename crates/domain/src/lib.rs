//! The nouns and rules of Posthaste, pure: no async, no I/O, no `now()`.
//!
//! Time, randomness and ids are handed in, values come out. Everything that decides what a delivery becomes stands
//! here, so that it can be tested by tables; the layers above only carry the decision out.

pub mod api_key;
pub mod application;
pub mod attempt;
pub mod audit;
pub mod auth;
pub mod checkpoint;
pub mod clock;
pub mod confidential;
pub mod credentials;
pub mod delivery;
pub mod endpoint;
pub mod environment;
pub mod event_type;
pub mod format;
pub mod header;
pub mod health;
pub mod html;
pub mod id;
pub mod limit;
pub mod message;
pub mod name;
pub mod notice;
pub mod notify;
pub mod operational;
pub mod options;
pub mod options_check;
pub mod page;
pub mod portal;
pub mod retry;
pub mod role;
pub mod sign_in;
pub mod signature;
pub mod statistics;
pub mod task;
pub mod throttle;
pub mod totp;
pub mod user;
pub mod wire_id;
pub mod word;
pub mod wrong;

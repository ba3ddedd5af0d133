//! The end-to-end tests: the real binary, a real store, real sockets. One binary, a module a subject.
//!
//! `tidy` and `licences` read the tree instead: they hold what no compiler checks.

#[macro_use]
mod server;

mod bad_caller;
mod bad_input;
mod bad_url;
mod binary;
mod browser;
mod canary;
mod config;
mod console;
mod copy;
mod dev;
mod diagnose;
mod disk_full;
mod doctor;
mod endpoint_auth;
mod endpoint_body;
mod endpoint_delivery;
mod endpoint_page;
mod endpoint_property;
mod endpoint_trial;
mod failing;
mod fairness;
mod five_systems;
mod fsync;
mod key;
mod kill;
mod letters;
mod licences;
mod live;
mod nodes;
mod notices;
mod operational;
mod ordered;
mod receivers;
mod resend;
mod sandbox;
mod sdk;
mod secrets;
mod serve;
mod shim;
mod simulation;
mod story;
mod tidy;
mod timeline;
mod tls_receiver;
mod wrong_clock;

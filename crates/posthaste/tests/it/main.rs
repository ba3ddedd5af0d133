//! The end-to-end tests: the real binary, a real store, real sockets. One binary, a module a subject.
//!
//! `tidy` and `licences` read the tree instead: they hold what no compiler checks.

mod binary;
mod config;
mod dev;
mod key;
mod kill;
mod licences;
mod live;
mod serve;
mod simulation;
mod tidy;

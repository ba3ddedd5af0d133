//! The store's specification: what every engine does, one file a noun.
//!
//! A test here drives the contract alone, on a fresh database of each engine, with a manual clock.

#[macro_use]
mod each_engine;

mod attempt;
mod audit;
mod browser;
mod configuration;
mod copy;
mod delivery;
mod harness;
mod health;
mod identity;
mod message;
mod migration;
mod nodes;
mod notice;
mod notify;
mod ordered;
mod plans;
mod portal;
mod protocol;
mod prune;
mod rescue;
mod statistics;
mod task;
mod ticket;
mod tls;
mod trouble;
mod user;
mod user_races;

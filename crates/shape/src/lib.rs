//! From an event to a request: what a receiver gets is made here, and nowhere else.
//!
//! | part | duty |
//! |---|---|
//! | `recipe` | how one endpoint's requests are made, read once from its configuration: the order of everything below |
//! | `fields`, `template`, `event`, `slack` | which parts of the payload, and what is made of them |
//! | `tree`, `form`, `xml` | JSON that keeps how it was written, and the other encodings |
//! | `authenticate`, `sign` | headers of authentication, and the signatures over the final bytes |
//! | `filter` | whether an event is for an endpoint at all |
//! | `transformation`, `worker`, `sandbox` | the customer's JavaScript, in a process of its own |
//!
//! All of it is pure, but for the sandbox: values in, bytes out. Deliveries, dry runs and the documentation's examples use
//! the same code, so that what is shown is what is sent. Whatever a customer wrote (a template, a filter, a script) is
//! bounded in time and memory; what goes wrong with it comes back as a sentence for them.

mod authenticate;
mod cost;
mod event;
mod fields;
mod filter;
mod form;
mod recipe;
mod sandbox;
mod shaping;
mod sign;
mod slack;
mod template;
mod transformation;
mod tree;
mod worker;
mod xml;

pub use event::Event;
pub use fields::Fields;
pub use filter::{Filter, Seen, asking};
pub use recipe::{AGENT, Draft, Recipe, Request, Surroundings};
pub use sandbox::{Sandbox, WORKER};
pub use template::Template;
pub use transformation::{Call, Changed, SCRIPT_TIME_MAX, ScriptError, Webhook};
pub use tree::mended;
pub use worker::serve as serve_worker;

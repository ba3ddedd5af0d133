//! What every scenario is handed: the options, the receiver, the folder, and the ways to start a subject.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use testkit::{Cluster, Process};

use crate::Outcome;
use crate::load::Plan;
use crate::options::Options;
use crate::peer::{self, Receiver};
use crate::posthaste::{self, Posthaste};

/// Connections of the load, as the bar says.
pub(crate) const CONNECTIONS: usize = 32;
/// Size of a payload, as the bar says.
pub(crate) const PAYLOAD_BYTES: usize = 500;

/// One run.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) receiver: Receiver,
    /// Where stores are made and fdatasync is measured.
    pub(crate) dir: PathBuf,
    binary: Option<PathBuf>,
}

/// What is measured: a server process and how to load it.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// Its processes.
    pub(crate) pids: Vec<u32>,
    /// Its database, when that is a server of its own.
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) plan: Plan,
    /// Deliveries that each accepted message becomes.
    pub(crate) copies: u8,
}

impl Context {
    pub(crate) async fn new(options: Options) -> Outcome<Self> {
        let dir = match &options.dir {
            Some(dir) => dir.clone(),
            None => std::env::current_exe()?.parent().unwrap_or(Path::new(".")).to_owned(),
        };
        let binary = if options.floor_only { None } else { Some(posthaste::find_binary(&options)?) };
        Ok(Self { receiver: Receiver::start().await?, options, dir: std::path::absolute(dir)?, binary })
    }

    /// A floor, and how to load it at full speed.
    pub(crate) async fn floor(&self, copies: u8) -> Outcome<(Process, Subject)> {
        let (process, address) = peer::start_floor(&self.receiver, copies).await?;
        // The same headers as Posthaste gets, a token of the same size included; the floor looks at none of them.
        let plan = plan(address, "bench", &"x".repeat(240));
        let subject =
            Subject { name: "floor".into(), pids: vec![process.pid()], cluster: None, plan, copies };
        Ok((process, subject))
    }

    /// Posthaste on an empty store, with an application whose endpoints are this many lanes.
    pub(crate) async fn posthaste(&self, copies: u8) -> Outcome<(Posthaste, Subject)> {
        let posthaste = self.bare_posthaste(&[]).await?;
        let application = posthaste.application("bench").await?;
        for lane in 0..copies {
            posthaste.endpoint(&application, &self.receiver.lane(lane)).await?;
        }
        let subject = self.subject(&posthaste, &application, copies)?;
        Ok((posthaste, subject))
    }

    /// Posthaste on an empty store without any application. Settings of the command line win.
    pub(crate) async fn bare_posthaste(&self, settings: &[(&str, &str)]) -> Outcome<Posthaste> {
        let binary = self.binary.as_ref().ok_or("this scenario needs posthaste; leave --floor-only out")?;
        let mut all = own(settings);
        all.extend(self.options.env.iter().cloned());
        Posthaste::start(binary, &self.dir, (self.options.store, &all)).await
    }

    /// How to load that application at full speed.
    pub(crate) fn subject(&self, posthaste: &Posthaste, application: &str, copies: u8) -> Outcome<Subject> {
        let plan = plan(posthaste.address()?, application, posthaste.token());
        Ok(Subject {
            name: "posthaste".into(),
            pids: vec![posthaste.pid()?],
            cluster: posthaste.cluster(),
            plan,
            copies,
        })
    }
}

/// Settings as they are handed to a process.
pub(crate) fn own(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Where messages of an application are posted.
pub(crate) fn message_path(application: &str) -> String {
    format!("/api/v1/app/{application}/msg")
}

fn plan(address: std::net::SocketAddr, application: &str, token: &str) -> Plan {
    Plan {
        addresses: vec![address],
        paths: vec![message_path(application)],
        token: token.to_owned(),
        keys: true,
        connections: CONNECTIONS,
        per_second: None,
        messages_max: u64::MAX,
        first_number: 0,
        payload_bytes: PAYLOAD_BYTES,
    }
}

//! Encrypted connections to PostgreSQL: what `sslmode` and its files mean, against the real server.

use crate::harness::{START, shared_options};
use domain::clock::ManualClock;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::sync::Arc;
use store::postgres::Postgres;
use store::{Store, StoreError};
use testkit::Cluster;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this name and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// Opens and closes a store; what its connections are encrypted with.
fn open(cluster: &Cluster, address: &str) -> Result<String, StoreError> {
    let store = Postgres::open(address, shared_options(&Arc::new(ManualClock::new(START))))?;
    let sql = "SELECT string_agg(DISTINCT coalesce(version, 'none'), ' ') FROM pg_stat_ssl
               JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'posthaste%'";
    let versions = cluster.sql("test_0", sql);
    store.close();
    Ok(versions)
}

#[test]
fn connections_are_encrypted_and_the_server_is_checked_as_far_as_the_address_says() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let (certificate, key) = authority.issue("localhost");
    let cluster = Cluster::start_encrypted(&certificate, &key, &authority.0.pem());
    let by_address = cluster.database();
    let by_name = by_address.replace("127.0.0.1", "localhost");
    let root = file("root.pem", &authority.0.pem());
    let other_root = file("other.pem", &Authority::new().0.pem());
    let good = |address: String| assert_eq!(open(&cluster, &address).unwrap(), "TLSv1.3", "{address}");
    let refused = |address: String, why: &str| {
        let refusal = open(&cluster, &address).unwrap_err().to_string();
        assert!(refusal.contains(why), "{address}: {refusal}");
        // Nobody who asked for encryption is told to do without.
        assert!(!refusal.contains("sslmode=disable"), "{address}: {refusal}");
    };

    good(by_address.clone());
    good(format!("{by_address}?sslmode=require"));
    good(format!("{by_address}?sslmode=require&sslrootcert={root}"));
    good(format!("{by_address}?sslmode=verify-ca&sslrootcert={root}"));
    good(format!("{by_name}?sslmode=verify-full&sslrootcert={root}"));
    refused(format!("{by_address}?sslmode=disable"), "no encryption");
    refused(format!("{by_address}?sslmode=verify-full&sslrootcert={root}"), "not valid for name");
    refused(format!("{by_name}?sslmode=verify-full&sslrootcert={other_root}"), "invalid peer certificate");
    refused(format!("{by_name}?sslmode=require&sslrootcert={other_root}"), "invalid peer certificate");
    refused(format!("{by_name}?sslmode=verify-full"), "UnknownIssuer");

    // Somebody who is let in by a certificate.
    cluster.sql("test_0", "CREATE ROLE carol LOGIN SUPERUSER");
    let (certificate, key) = authority.issue("carol");
    let (certificate, key) = (file("carol.pem", &certificate), file("carol.key", &key));
    let as_carol = by_address.replace("postgres@", "carol@");
    refused(format!("{as_carol}?sslmode=require"), "certificate");
    good(format!("{as_carol}?sslmode=require&sslcert={certificate}&sslkey={key}"));
    let empty = file("empty.pem", "");
    refused(format!("{by_name}?sslmode=verify-full&sslrootcert={empty}"), "has no certificate");
}

#[test]
fn a_server_without_encryption_is_refused_where_it_is_required() {
    let cluster = Cluster::shared();
    let address = cluster.database();
    let refusal = open(cluster, &format!("{address}?sslmode=require")).unwrap_err().to_string();
    assert!(refusal.contains("does not support TLS"), "{refusal}");
}

//! The data folder: what is kept beside the store.
//!
//! | file | what it is |
//! |---|---|
//! | `posthaste.db` | the store, unless `POSTHASTE_STORE` puts it elsewhere |
//! | `jwt-secret`, `encryption-key` | generated secrets, for this user alone (mode 0600), when none are configured |
//! | `receiver` | where the receiver of `dev` listened last |
//! | `address` | where the live server listens, for the commands that run beside it; gone when it stops |

use crate::config::SecretText;
use aws_lc_rs::rand;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a generated secret: 256 bits.
const SECRET_BYTES: usize = 32;
/// The live server's address.
const ADDRESS: &str = "address";

/// An opened data folder.
#[derive(Clone, Debug)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// Opens the folder, making it for this user alone (mode 0700) when it is missing.
    ///
    /// # Errors
    /// A sentence that names the folder.
    pub fn open(path: &Path) -> Result<Self, String> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| format!("the data folder {} cannot be made: {error}", path.display()))?;
        let mode = fs::metadata(path).map_or(0, |about| about.permissions().mode());
        if mode & 0o077 != 0 {
            let shown = path.display();
            tracing::warn!(
                "other users may look into the data folder {shown}: `chmod 700 {shown}` closes it"
            );
        }
        Ok(Self(path.to_owned()))
    }

    /// The generated secret of this name; made on first use.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn secret(&self, name: &str) -> Result<SecretText, String> {
        let path = self.0.join(name);
        self.read_or_make(&path)
            .map_err(|error| format!("the secret {} cannot be read or made: {error}", path.display()))
    }

    /// Begins to replace a generated secret: the one that is there is kept under `old`, and a new one takes its place. Begun
    /// already, it stays as it is.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn replace(&self, name: &str, old: &str) -> Result<(), String> {
        let told = |error: io::Error| format!("{} cannot be replaced: {error}", self.0.join(name).display());
        let there = self.secret(name)?;
        match self.note(old) {
            // The new one is in its place.
            Some(kept) if kept != there.reveal() => return Ok(()),
            _ => self.write_whole(old, there.reveal()).map_err(told)?,
        }
        let mut random = [0; SECRET_BYTES];
        rand::fill(&mut random).map_err(|_| told(io::Error::other("the system gave no randomness")))?;
        self.write_whole(name, &hex::encode(random)).map_err(told)
    }

    /// Takes away what was kept.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn forget(&self, name: &str) -> Result<(), String> {
        let path = self.0.join(name);
        fs::remove_file(&path).map_err(|error| format!("{} cannot be removed: {error}", path.display()))
    }

    /// The file is the old one or the new one, whole and synced, whenever the power goes.
    fn write_whole(&self, name: &str, text: &str) -> io::Result<()> {
        let draft = self.0.join(format!("{name}.{}.draft", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, self.0.join(name))?;
        File::open(&self.0)?.sync_all()
    }

    /// Keeps a line of text under this name.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn keep(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.0.join(name);
        fs::write(&path, format!("{text}\n")).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The line kept under this name.
    #[must_use]
    pub fn note(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.0.join(name)).ok().map(|text| text.trim().to_owned())
    }

    /// Writes down where the live server listens.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn announce(&self, address: SocketAddr) -> Result<(), String> {
        self.keep(ADDRESS, &address.to_string())
    }

    /// Where the live server listens; none when none runs (or the last one was killed and its address is stale: then
    /// nobody answers there).
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.note(ADDRESS)?.parse().ok()
    }

    /// Takes the address back.
    pub fn withdraw(&self) {
        let _ = fs::remove_file(self.0.join(ADDRESS));
    }

    fn read_or_make(&self, path: &Path) -> io::Result<SecretText> {
        match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.make(path)?,
            read => return checked(&read?),
        }
        checked(&fs::read_to_string(path)?)
    }

    /// The file appears whole and synced or not at all, and of two processes that make it at once one wins: a link,
    /// unlike a rename, never replaces.
    fn make(&self, path: &Path) -> io::Result<()> {
        let mut random = [0; SECRET_BYTES];
        rand::fill(&mut random).map_err(|_| io::Error::other("the system gave no randomness"))?;
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(hex::encode(random).as_bytes())?;
        file.sync_all()?;
        let linked = fs::hard_link(&draft, path);
        fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => File::open(&self.0)?.sync_all(),
        }
    }
}

fn checked(text: &str) -> io::Result<SecretText> {
    match text.trim() {
        text if text.len() >= SECRET_BYTES => Ok(SecretText::new(text.to_owned())),
        _ => Err(io::Error::other("it is too short to be a secret of ours; restore it from a copy")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_for_this_user_alone_and_read_back_afterwards() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("data");
        let folder = DataFolder::open(&path).unwrap();
        let secret = folder.secret("jwt-secret").unwrap();
        assert_eq!(secret.reveal().len(), 64);
        assert_eq!(DataFolder::open(&path).unwrap().secret("jwt-secret").unwrap(), secret);
        assert_ne!(folder.secret("encryption-key").unwrap(), secret);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("jwt-secret"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 2, "no draft is left");
    }

    #[test]
    fn a_damaged_secret_is_refused_not_replaced() {
        let outer = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(outer.path()).unwrap();
        fs::write(outer.path().join("encryption-key"), "").unwrap();
        assert!(folder.secret("encryption-key").unwrap_err().contains("encryption-key"));
    }

    #[test]
    fn the_address_of_a_live_server_is_kept_until_it_is_withdrawn() {
        let outer = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(outer.path()).unwrap();
        let address = "127.0.0.1:8071".parse().unwrap();
        assert_eq!(folder.address(), None);
        folder.announce(address).unwrap();
        assert_eq!(folder.address(), Some(address));
        folder.withdraw();
        assert_eq!(folder.address(), None);
    }
}

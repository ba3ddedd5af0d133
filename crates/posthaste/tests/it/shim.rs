//! Small C libraries (`shim/*.c`) that are built here and preloaded into a server under test.

use crate::live::Home;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the library of this name into the home's folder.
pub(crate) fn build(home: &Home, name: &str) -> PathBuf {
    let library = home.folder().join(name).with_extension("so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/shim").join(name).with_extension("c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
    let built = compiler.arg(&library).arg(source).output();
    let built = built.expect("a C compiler (cc) is needed for this test");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

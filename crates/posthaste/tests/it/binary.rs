//! The binary under test, in a folder of its own and deaf to this machine's settings.

use std::path::Path;
use std::process::Command;

/// How one run of it ended.
pub(crate) struct Run {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

/// The binary with these arguments, run in `folder`.
pub(crate) fn posthaste(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("POSTHASTE_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).args(arguments);
    command
}

/// Runs it to its end.
pub(crate) fn run(mut command: Command) -> Run {
    let output = command.output().expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

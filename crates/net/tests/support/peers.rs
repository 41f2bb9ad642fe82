//! Programs of others at the other end.

use std::process::{Command, Stdio};

/// Whether the program is there. Where it is not, the test says so and passes, unless the program is
/// among those that `ASUPERSYNC_PEERS` demands (as `cargo xtask peers` does).
#[allow(unreachable_pub, reason = "shared by test files")]
pub fn installed(program: &str) -> bool {
    let silent = || Stdio::null();
    let mut command = Command::new(program);
    command.arg("--version").stdin(silent()).stdout(silent()).stderr(silent());
    if command.status().is_ok() {
        return true;
    }
    let demanded = std::env::var("ASUPERSYNC_PEERS").unwrap_or_default();
    assert!(
        !demanded.split(',').any(|name| name == program),
        "`{program}` is demanded and not installed"
    );
    eprintln!("SKIPPED: `{program}` is not installed");
    false
}

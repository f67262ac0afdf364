//! There is one sampler a process, and tests share theirs: each test that samples runs in a process of its own.

use std::process::Command;

const IN_CHILD: &str = "PERFWRIGHT_TEST_IN_CHILD";

/// Runs `body` in a fresh process of this test program, which must be called from the test named `name` (as
/// `cargo test` lists it).
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    if std::env::var(IN_CHILD).as_deref() == Ok(name) {
        body();
        println!("{name} ran");
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(IN_CHILD, name)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stdout.contains(&format!("{name} ran")),
        "{name}: {}\n{stdout}\n{stderr}",
        output.status
    );
}

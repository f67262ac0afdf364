//! Targets that no test runs on: their code at least compiles.

use std::path::Path;

use crate::{cargo, need, output_of, target};

/// Checks these packages for a target; its standard library is built from source where rustup has not
/// installed it.
#[track_caller]
fn check(triple: &str, packages: &[&str]) {
    let sysroot = need::sysroot().expect("rustc tells its sysroot");
    let installed = Path::new(&sysroot)
        .join("lib/rustlib")
        .join(triple)
        .join("lib")
        .exists();
    if !installed && !need::need(need::Tool::RustSrc) {
        return;
    }
    let mut command = cargo("check --quiet --locked --target");
    command.arg(triple).arg("--target-dir").arg(target("cross"));
    if !installed {
        command
            .arg("-Zbuild-std=std,panic_abort")
            .env("RUSTC_BOOTSTRAP", "1");
    }
    for package in packages {
        command.args(["--package", package]);
    }
    output_of(&mut command);
}

#[test]
fn pure_crates_build_for_wasm() {
    check(
        "wasm32-unknown-unknown",
        &[
            "perfwright-model",
            "perfwright-format",
            "perfwright-analyze",
            "perfwright-viewer",
        ],
    );
}

#[test]
fn embedded_crates_check_on_linux_aarch64() {
    check("aarch64-unknown-linux-gnu", &["perfwright"]);
}

#[test]
fn embedded_crates_check_on_linux_musl() {
    check("x86_64-unknown-linux-musl", &["perfwright"]);
}

#[test]
fn embedded_crates_check_on_macos() {
    check("aarch64-apple-darwin", &["perfwright"]);
}

#[test]
fn embedded_crates_check_on_windows() {
    check("x86_64-pc-windows-msvc", &["perfwright"]);
}

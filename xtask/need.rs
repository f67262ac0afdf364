// Included by the tests that need more than the Rust toolchain (`#[path]`), and by xtask itself.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "each of those who include this file uses a part of it"
)]

use std::{
    env,
    ffi::OsStr,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// The file to which skipped tests add a line each; `cargo xtask test` sets it and counts them.
pub const SKIPPED: &str = "PERFWRIGHT_SKIPPED_TESTS";

/// Something that a test needs beyond the Rust toolchain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    /// Go, whose `go tool pprof` is the second opinion on our profiles.
    Go,
    /// `addr2line`, the second opinion on our symbols, and `objcopy`, which parts a program from its debug file.
    Binutils,
    /// The sources of the standard library, from which it is built for targets that are not installed.
    RustSrc,
    /// Chromium, in which the viewer is tested.
    Chromium,
    /// `promtool`, the second opinion on our metrics.
    Promtool,
    /// `valgrind`, which counts instructions for the regression gate.
    Valgrind,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Tool; 6] = [
        Tool::Go,
        Tool::Binutils,
        Tool::RustSrc,
        Tool::Chromium,
        Tool::Promtool,
        Tool::Valgrind,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Go => "go",
            Tool::Binutils => "binutils",
            Tool::RustSrc => "rust-src",
            Tool::Chromium => "chromium",
            Tool::Promtool => "promtool",
            Tool::Valgrind => "valgrind",
        }
    }

    /// How a person installs it.
    pub fn install_command(self) -> &'static str {
        match self {
            Tool::Go => "apt-get install golang-go",
            Tool::Binutils => "apt-get install binutils",
            Tool::RustSrc => "rustup component add rust-src",
            Tool::Chromium => "apt-get install chromium",
            Tool::Valgrind => "apt-get install valgrind",
            Tool::Promtool => {
                "cargo xtask test --install (Debian's package prometheus, unpacked into target/tools)"
            }
        }
    }

    /// Whether it is here.
    pub fn is_present(self) -> bool {
        match self {
            Tool::Go => runs("go", "version"),
            Tool::Binutils => runs("addr2line", "--version"),
            Tool::Chromium => runs("chromium", "--version"),
            Tool::Promtool => runs(promtool(), "--version"),
            Tool::Valgrind => runs("valgrind", "--version"),
            Tool::RustSrc => sysroot().is_some_and(|sysroot| {
                Path::new(&sysroot)
                    .join("lib/rustlib/src/rust/library/Cargo.toml")
                    .exists()
            }),
        }
    }
}

/// Whether the calling test can run. If not, it is counted as skipped, and under CI it fails.
///
/// # Panics
/// If the tool is missing and `CI` is set.
pub fn need(tool: Tool) -> bool {
    if tool.is_present() {
        return true;
    }
    let missing = format!("needs {}: {}", tool.name(), tool.install_command());
    assert!(
        env::var_os("CI").is_none_or(|ci| ci.is_empty()),
        "{missing}"
    );
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("skipped: {test} {missing}");
    if let Some(path) = env::var_os(SKIPPED) {
        let file = OpenOptions::new().append(true).create(true).open(path);
        // One short write, so that lines of tests that run at once do not mix.
        let written =
            file.and_then(|mut file| file.write_all(format!("{test} {missing}\n").as_bytes()));
        written.expect("the list of skipped tests can be written");
    }
    false
}

/// `promtool`, installed or unpacked.
pub fn promtool() -> PathBuf {
    let unpacked = tools().map(|tools| tools.join("promtool"));
    let unpacked = unpacked.filter(|path| path.is_file() && !runs("promtool", "--version"));
    unpacked.unwrap_or_else(|| "promtool".into())
}

/// The folder of tools that are unpacked and not installed: `tools` in the folder that this program was built in.
pub fn tools() -> Option<PathBuf> {
    let this = env::current_exe().ok()?;
    // Cargo marks it.
    let target = this
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())?;
    Some(target.join("tools"))
}

fn runs(program: impl AsRef<OsStr>, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The folder of the toolchain in use.
pub fn sysroot() -> Option<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

//! Building the browser viewer: the crate in `wasm/` to WebAssembly, packed with its page into one HTML file.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{
    chores::{cargo, root, run},
    install,
    need::{Tool, sysroot},
};

const TARGET: &str = "wasm32-unknown-unknown";

/// Where the built file is kept, and beside it what it was built from.
const BUILT: &str = "crates/perfwright-viewer-html/src/viewer.html";
const INPUTS: &str = "crates/perfwright-viewer-html/src/viewer.inputs";

/// Files and folders that the built file is made of, besides dependencies and tools.
const SOURCES: [&str; 11] = [
    "crates/perfwright-analyze/Cargo.toml",
    "crates/perfwright-analyze/src",
    "crates/perfwright-format/Cargo.toml",
    "crates/perfwright-format/src",
    "crates/perfwright-model/Cargo.toml",
    "crates/perfwright-model/src",
    "wasm/Cargo.toml",
    "wasm/pack/Cargo.lock",
    "wasm/pack/src",
    "wasm/page",
    "wasm/src",
];

/// The largest file, in bytes; the packer knows the largest when it is gzipped.
const MAX_BYTES: usize = 450_000;

/// Arguments of `viewer`.
#[derive(Debug, Args)]
pub(crate) struct ViewerArgs {
    /// Only check that the committed file was built from what is here
    #[arg(long)]
    check: bool,
}

/// Builds the viewer, or checks that it is up to date.
pub(crate) fn viewer(args: &ViewerArgs) -> Result<()> {
    if args.check {
        return check();
    }
    provide_target()?;
    // Before the build: what changes meanwhile is not in it for sure.
    let inputs = inputs()?;
    let wasm = build()?;
    let built = root().join(BUILT);
    pack(&wasm, &built)?;
    let size = fs::metadata(&built)?.len() as usize;
    ensure!(
        size <= MAX_BYTES,
        "{BUILT} has {size} bytes, more than {MAX_BYTES}"
    );
    fs::write(root().join(INPUTS), written(&inputs))?;
    println!("wrote {BUILT}");
    Ok(())
}

/// Fails if the committed file was built from anything else than what is here.
pub(crate) fn check() -> Result<()> {
    let inputs = inputs()?;
    let known = fs::read_to_string(root().join(INPUTS)).context("the viewer was never built")?;
    if known == written(&inputs) {
        return Ok(());
    }
    let known: BTreeMap<&str, &str> = known
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .collect();
    let differs = |name: &&str| known.get(*name).copied() != inputs.get(*name).map(String::as_str);
    let names = known
        .keys()
        .copied()
        .chain(inputs.keys().map(String::as_str));
    let mut changed: Vec<&str> = names.filter(differs).collect();
    changed.sort_unstable();
    changed.dedup();
    bail!(
        "{BUILT} is out of date: {} changed; run `cargo xtask viewer` and commit both files",
        changed.join(", ")
    );
}

/// What the built file is made of, by name: a hash of each file, the versions of dependencies and tools.
fn inputs() -> Result<BTreeMap<String, String>> {
    let root = root();
    let mut inputs = BTreeMap::new();
    for source in SOURCES {
        for path in files(&root.join(source))? {
            let name = path
                .strip_prefix(&root)?
                .to_string_lossy()
                .replace('\\', "/");
            inputs.insert(name, hash(&fs::read(&path)?));
        }
    }
    for line in dependencies()?.lines() {
        // `name vX.Y.Z`; the path of a workspace crate is no input, its sources are.
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            inputs.insert(format!("crate {name} {version}"), "-".to_owned());
        }
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let profile = manifest
        .split("\n[")
        .filter(|part| part.starts_with("profile.viewer"));
    let profile = profile.collect::<String>();
    inputs.insert("profile.viewer".to_owned(), hash(profile.as_bytes()));
    inputs.insert("rustc".to_owned(), install::rustc_version()?);
    Ok(inputs)
}

fn written(inputs: &BTreeMap<String, String>) -> String {
    let lines = inputs
        .iter()
        .map(|(name, value)| format!("{name} {value}\n"));
    lines.collect()
}

/// The files of a folder and of its folders, or the file itself.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let entries = fs::read_dir(path).with_context(|| format!("read {}", path.display()))?;
    for entry in entries {
        found.extend(files(&entry?.path())?);
    }
    Ok(found)
}

/// FNV-1a: it tells a changed file from an unchanged one, and guards against nobody.
fn hash(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn dependencies() -> Result<String> {
    let mut tree = cargo("tree --locked --package perfwright-viewer --edges normal --prefix none");
    let output = tree.args(["--target", TARGET]).output()?;
    ensure!(
        output.status.success(),
        "cargo tree failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The standard library of the target, by rustup; where that can't download, it is built from source.
fn provide_target() -> Result<()> {
    if is_installed() {
        return Ok(());
    }
    eprintln!("installing the target {TARGET}: rustup target add {TARGET}");
    let added = run(Command::new("rustup").args(["target", "add", TARGET]));
    if added.is_err() && !Tool::RustSrc.is_present() {
        install::provide(Tool::RustSrc, &mut false)?;
    }
    Ok(())
}

fn is_installed() -> bool {
    sysroot().is_some_and(|sysroot| {
        let library = Path::new(&sysroot)
            .join("lib/rustlib")
            .join(TARGET)
            .join("lib");
        library.exists()
    })
}

/// Compiles the crate, and gives the module's path.
fn build() -> Result<PathBuf> {
    let mut build = cargo("build --locked --package perfwright-viewer --profile viewer");
    build
        .current_dir(root())
        .args(["--target", TARGET])
        // Instead of the workspace's: there are no frame pointers in WebAssembly to be kept.
        .env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            "-Ctarget-feature=+simd128",
        );
    if !is_installed() {
        build
            .arg("-Zbuild-std=std,panic_abort")
            .env("RUSTC_BOOTSTRAP", "1");
    }
    run(&mut build)?;
    let folder = target_folder().join(TARGET).join("viewer");
    Ok(folder.join("perfwright_viewer.wasm"))
}

fn pack(wasm: &Path, out: &Path) -> Result<()> {
    let mut packer =
        cargo("run --quiet --locked --manifest-path wasm/pack/Cargo.toml --target-dir");
    packer
        .current_dir(root())
        .arg(target_folder())
        .arg("--")
        .args([wasm, &root().join("wasm/page"), out]);
    run(&mut packer)
}

fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

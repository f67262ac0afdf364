//! What a user gets: the packages, and a program outside the workspace that embeds them.

use std::{fs, process::Command};

use crate::{cargo, output_of, root, target, target_directory};

/// The README's embedding examples: its Rust blocks, for the CPU and for the heap.
fn snippets() -> [String; 2] {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let blocks: Vec<String> = readme
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("the block ends").to_owned())
        .collect();
    blocks
        .try_into()
        .expect("README.md shows the CPU and the heap profiler")
}

/// Packs every published crate and unpacks it again; returns the folder with `NAME-VERSION` folders.
fn unpacked_packages() -> std::path::PathBuf {
    let build = target("package");
    // Only the packages: the program below is what proves that they build.
    output_of(
        cargo("package --quiet --workspace --no-verify --allow-dirty --target-dir").arg(&build),
    );
    let packages = build.join("package");
    for package in crate::tidy::published() {
        let name = format!("{package}-{}", env!("CARGO_PKG_VERSION"));
        let _ = fs::remove_dir_all(packages.join(&name));
        output_of(
            Command::new("tar")
                .arg("-xzf")
                .arg(packages.join(format!("{name}.crate")))
                .arg("-C")
                .arg(&packages),
        );
    }
    packages
}

#[test]
fn the_readme_snippets_build_and_run_outside_the_workspace() {
    let packages = unpacked_packages();
    let version = env!("CARGO_PKG_VERSION");
    let mut manifest = format!(
        "[workspace]\n[package]\nname = \"embedder\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n\
         [dependencies]\nperfwright = \"{version}\"\n[patch.crates-io]\n"
    );
    for package in crate::tidy::published() {
        let path = packages.join(format!("{package}-{version}"));
        manifest += &format!("{package} = {{ path = {path:?} }}\n");
    }
    let folder = target("embedder");
    fs::create_dir_all(folder.join("src/bin")).expect("a folder");
    fs::write(folder.join("Cargo.toml"), manifest).expect("a file");
    for (name, code) in ["cpu", "heap"].iter().zip(snippets()) {
        fs::write(folder.join(format!("src/bin/{name}.rs")), code).expect("a file");
    }
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("a file");

    for (name, kind) in [("cpu", "samples"), ("heap", "inuse_space")] {
        let _ = fs::remove_dir_all(folder.join("profile"));
        let mut build = cargo("run --quiet --target-dir");
        build
            .arg(target_directory())
            .args(["--bin", name])
            .current_dir(&folder);
        output_of(&mut build);
        let written = fs::read(folder.join(format!("profile/{name}.pb.gz")));
        let written = written.unwrap_or_else(|error| panic!("{name} wrote no profile: {error}"));
        let read = perfwright_format::read(&written, &Default::default()).expect("a profile");
        let at = read.profile.find_sample_type(kind).expect(kind);
        assert!(read.profile.total(at) > 0, "{name} was sampled");
    }
}

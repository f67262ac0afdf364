//! What a user gets: the packages, and a program outside the workspace that embeds them.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    thread,
    time::Duration,
};

use crate::{cargo, output_of, root, target, target_directory};

/// The README's embedding examples: its Rust blocks, for the CPU, for the heap, and for a service.
fn snippets() -> [String; 3] {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let blocks: Vec<String> = readme
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("the block ends").to_owned())
        .collect();
    blocks
        .try_into()
        .expect("README.md shows the CPU profiler, the heap profiler and a service")
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
                // Packed files all have one old date, by which cargo would take a changed crate for built.
                .arg("-xmzf")
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
         [dependencies]\nperfwright = {{ version = \"{version}\", features = [\"axum\", \"spans\"] }}\n\
         axum = \"0.8\"\ntokio = {{ version = \"1\", features = [\"full\"] }}\n[patch.crates-io]\n"
    );
    for package in crate::tidy::published() {
        let path = packages.join(format!("{package}-{version}"));
        manifest += &format!("{package} = {{ path = {path:?} }}\n");
    }
    let folder = target("embedder");
    fs::create_dir_all(folder.join("src/bin")).expect("a folder");
    fs::write(folder.join("Cargo.toml"), manifest).expect("a file");
    let ports = [free_port(), free_port()];
    for (name, code) in ["cpu", "heap", "service"].iter().zip(snippets()) {
        let code = code.replace(":6060", &format!(":{}", ports[0]));
        let code = code.replace(":8080", &format!(":{}", ports[1]));
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

    let mut service = cargo("run --quiet --bin service --target-dir");
    service.arg(target_directory()).current_dir(&folder);
    let mut service = Stop(service.spawn().expect("cargo starts"));
    while TcpStream::connect(("127.0.0.1", ports[1])).is_err() {
        let ended = service.0.try_wait().expect("its state");
        assert!(ended.is_none(), "the service ended: {ended:?}");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(get(ports[1], "/hello/you").ends_with("hello"));
    let metrics = get(ports[0], "/metrics");
    assert!(metrics.contains("/hello/{name}"), "{metrics}");
    let profile = get(ports[0], "/debug/pprof/profile?seconds=1");
    assert!(profile.starts_with("HTTP/1.1 200"), "{profile}");
}

/// Ends a child and what it started when the test ends, however it does.
struct Stop(Child);

impl Drop for Stop {
    fn drop(&mut self) {
        // `cargo run` becomes the program on Unix, so this is the program.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The answer to a request, lossily as text.
fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(head.as_bytes())
        .expect("it takes requests");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

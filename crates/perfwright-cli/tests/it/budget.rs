//! `budget check` as a process: interrupted while it measures, and beside a running service.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

fn project(file: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("perfwright.toml"),
        format!("version = 1\n{file}"),
    )
    .unwrap();
    folder
}

fn check(folder: &TempDir, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_cargo-perfwright"))
        .args(["budget", "check"])
        .args(arguments)
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until a file has a line, and gives it.
fn first_line(file: &Path) -> String {
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        if let Some((line, _)) = text.split_once('\n') {
            return line.to_owned();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process is there; one that nobody has waited for yet is not.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn an_interrupt_ends_the_command_and_leaves_nothing() {
    let folder = project(
        "[[command]]\nname = \"work\"\nrun = [\"sh\", \"-c\", \"echo $$ > pid.txt; sleep 600 & wait\"]\ncold = \"OUT\"\n\
         [[budget]]\nmetric = \"command\"\nselect = { command = \"work\" }\nlimits = [\"cold.time < 24h\"]\n",
    );
    let child = check(&folder, &["--measure"]);
    let pid = first_line(&folder.path().join("pid.txt"));
    assert!(is_running(&pid));
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("interrupted"),
        "{}",
        text(&output.stderr)
    );
    while is_running(&pid) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let left = fs::read_dir(folder.path().join("target/perfwright")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(
        left,
        ["commands"],
        "neither results nor the cold run's folder"
    );
}

/// A service whose pages are these, one after the other, and the last one ever after.
fn service(pages: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for at in 0.. {
            let Ok((mut stream, _)) = listener.accept() else {
                return;
            };
            let _ = stream.read(&mut [0; 4096]);
            let page = pages[at.min(pages.len() - 1)];
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{page}\n"
            );
        }
    });
    address
}

fn watched(pages: &'static [&'static str], limit: &str) -> Output {
    let folder = project(&format!(
        "[defaults]\non_breach = \"rerun:1\"\n\
         [[budget]]\nmetric = \"process.rss\"\nlimits = [\"{limit}\"]\n"
    ));
    let url = format!("http://{}/metrics", service(pages));
    check(
        &folder,
        &["--metrics", &url, "--for", "200ms", "--every", "100ms"],
    )
    .wait_with_output()
    .unwrap()
}

#[test]
fn a_breach_of_a_service_is_measured_again() {
    const HIGH: &str = "process_resident_memory_bytes 9000000";
    const LOW: &str = "process_resident_memory_bytes 1000000";
    let passing = watched(&[HIGH, LOW], "max < 5MB");
    let said = text(&passing.stdout);
    assert_eq!(passing.status.code(), Some(0), "{said}");
    assert!(
        said.contains("a breach at first, not in measurement 2"),
        "{said}"
    );
    let lasting = watched(&[HIGH], "max < 5MB");
    let said = text(&lasting.stdout);
    assert_eq!(lasting.status.code(), Some(3), "{said}");
    assert!(
        said.contains("a breach in each of 2 measurements"),
        "{said}"
    );
}

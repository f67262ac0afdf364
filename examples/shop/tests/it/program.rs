//! The program: arguments, signals, what it leaves behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use shop::db::Storage;
use shop::{Fix, Fixes};

use crate::shop::SMALL;

fn shop(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
    command.args(args);
    command
}

fn output(args: &[&str]) -> (Output, String) {
    let output = shop(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, stderr)
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

/// A running shop; dropped, it is killed.
struct Running {
    child: Child,
    addr: String,
}

impl Running {
    fn start(temporary: &Path, args: &[&str]) -> Self {
        let mut command = shop(&["--listen", "127.0.0.1:0"]);
        command
            .args(args)
            .env("TMPDIR", temporary)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let addr = line
            .trim_end()
            .strip_prefix("listening on http://")
            .expect(&line)
            .to_owned();
        Running { child, addr }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn stop(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &id])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_serves_until_sigterm_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let shop = Running::start(temporary.path(), &["--fix", "all"]);
    assert!(shop.get("/health").starts_with("HTTP/1.1 200 OK"));
    assert!(shop.get("/products/10000").contains("\"id\":10000"));
    assert_eq!(entries(temporary.path()), 1);
    assert_eq!(shop.stop("TERM"), Some(0));
    assert_eq!(entries(temporary.path()), 0);
}

#[tokio::test]
async fn it_serves_a_data_folder_until_sigint() {
    let (data, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let storage = Storage::open(Some(data.path()), SMALL, Fixes::none())
        .await
        .unwrap();
    storage.close().await.unwrap();
    let shop = Running::start(temporary.path(), &["--data", data.path().to_str().unwrap()]);
    let last = format!("/products/{}", SMALL.products);
    assert!(shop.get(&last).starts_with("HTTP/1.1 200 OK"));
    // A connection that sends nothing does not keep the shop from stopping.
    let _idle = TcpStream::connect(&shop.addr).unwrap();
    assert_eq!(shop.stop("INT"), Some(0));
    assert_eq!(entries(temporary.path()), 0);
    assert!(data.path().join("shop.db").exists());
}

#[test]
fn a_taken_port_is_an_error_that_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (output, stderr) = output(&["--listen", &addr]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains(&addr) && stderr.contains("choose another with --listen"),
        "{stderr}"
    );
}

#[test]
fn a_data_folder_that_cannot_be_written_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let data = file.path().join("below-a-file");
    let (output, stderr) = output(&["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("failed to create the data folder"),
        "{stderr}"
    );
}

#[test]
fn an_unknown_fix_is_answered_with_the_names() {
    let (output, stderr) = output(&["--fix", "n-plus-one", "--fix", "everything"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr.contains("everything") && stderr.contains("missing-index"),
        "{stderr}"
    );
}

#[test]
fn the_fixes_are_listed() {
    let (output, _) = output(&["--list-fixes"]);
    assert!(output.status.success());
    let listing = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = listing
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, Fix::ALL.map(Fix::name));
}

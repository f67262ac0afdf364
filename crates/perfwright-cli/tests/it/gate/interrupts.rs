//! Ctrl-C during a comparison: what is known is printed, and nothing is left behind.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::{Project, Run, command, library};

/// Says who runs, where the test waits for it. What `MARK` names is renamed into place, so that it is whole.
const SAY: &str = "let mark = std::env::var(\"MARK\").unwrap(); \
                   std::fs::write(format!(\"{mark}.part\"), std::process::id().to_string()).unwrap(); \
                   std::fs::rename(format!(\"{mark}.part\"), mark).unwrap(); ";
const HANG: &str = "loop { std::thread::sleep(std::time::Duration::MAX) }";

/// Interrupts the command once something in it has written the mark; gives who that was, too.
fn interrupted(project: &Project, args: &[&str]) -> (Run, String) {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let run = project.tidy(|| {
        let mut command = command(project.folder.path(), args);
        let child = command
            .env("MARK", &mark)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id().to_string();
        let waiting = std::thread::spawn(move || child.wait_with_output().unwrap());
        while !mark.exists() && !waiting.is_finished() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let kill = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        let output: Output = waiting.join().unwrap();
        assert!(kill.success(), "it ended before: {output:?}");
        output
    });
    (run, fs::read_to_string(&mark).unwrap())
}

/// Waits until a process is gone.
fn ends(pid: &str) {
    let stat = Path::new("/proc").join(pid).join("stat");
    // One that nobody has waited for yet is gone.
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interrupt_prints_what_is_decided_and_leaves_nothing() {
    let benches = ["steady", "hangs", "later"];
    let body = format!("if bench == 1 {{ {SAY} {HANG} }} 1_000");
    let project = Project::new(&library(&benches, &body, 2));
    project.write("src/lib.rs", &library(&benches, &body, 3));
    let args = ["--against", "main", "--judge", "time", "--timeout", "86400"];
    let (run, pid) = interrupted(&project, &args);
    let run = run.expect(4);
    ends(&pid);
    let out = run.out();
    for words in [
        "hangs: interrupted before the first look",
        "later: interrupted before it was measured",
        "2 can't tell, 1 same",
    ] {
        assert!(out.contains(words), "{words}: {out}{}", run.err());
    }
}

#[test]
fn an_interrupt_while_a_bench_is_measured_ends_it() {
    let body = format!("{SAY} 1_000");
    let project = Project::new(&library(&["steady"], &body, 2));
    project.write("src/lib.rs", &library(&["steady"], &body, 3));
    // So long that its first look never comes.
    let args = ["--against", "main", "--judge", "time", "--seconds", "86400"];
    let (run, pid) = interrupted(&project, &args);
    let run = run.expect(4);
    ends(&pid);
    let words = "steady: interrupted before the first look";
    assert!(run.out().contains(words), "{}{}", run.out(), run.err());
}

#[test]
fn an_interrupt_while_building_ends_all_that_cargo_started() {
    let project = Project::new(&library(&["steady"], "1_000", 2));
    project.write("build.rs", &format!("fn main() {{ {SAY} {HANG} }}"));
    project.commit("a build script that hangs");
    let (run, pid) = interrupted(&project, &["--against", "HEAD"]);
    let run = run.expect(1);
    ends(&pid);
    let words = "interrupted while building; nothing was measured";
    assert!(run.err().contains(words), "{}", run.err());
}

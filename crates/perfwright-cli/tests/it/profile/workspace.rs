//! A workspace in a temporary folder, and the command run in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A workspace with one program, `subject`.
pub(crate) struct Workspace {
    folder: tempfile::TempDir,
}

/// What a run of the command said.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command while it runs.
pub(crate) struct Running<'a>(&'a Child);

impl Workspace {
    /// Writes the workspace; `manifest` is added to its Cargo.toml.
    pub(crate) fn new(subject: &str, manifest: &str) -> Workspace {
        let workspace = Workspace {
            folder: tempfile::tempdir().unwrap(),
        };
        let package = "[package]\nname = \"subject\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                       [features]\na = []\nb = []\n[workspace]\n";
        workspace.write("Cargo.toml", &format!("{package}{manifest}"));
        fs::create_dir(workspace.path("src")).unwrap();
        workspace.write("src/main.rs", "fn main() {}\n");
        workspace.write_program(subject);
        workspace.write_cargo();
        workspace
    }

    /// The program: this test binary, as the subject.
    fn write_program(&self, subject: &str) {
        let test = std::env::current_exe().unwrap();
        let (test, starts) = (test.display(), self.path("starts"));
        self.write_script(
            "program",
            &format!(
                "echo $$ >> '{}'\nexport SUBJECT={subject} SUBJECT_ARGS=\"$*\"\n\
                 exec '{test}' --exact profile::subject::subject --nocapture\n",
                starts.display()
            ),
        );
    }

    /// A cargo that knows the program as built, and leaves everything else to the real one.
    fn write_cargo(&self) {
        let artifact = serde_json::json!({
            "reason": "compiler-artifact",
            "package_id": "path+file:///subject#0.1.0", "manifest_path": "/subject/Cargo.toml",
            "target": {"kind": ["bin"], "crate_types": ["bin"], "name": "subject",
                       "src_path": "/subject/src/main.rs", "edition": "2024"},
            "profile": {"opt_level": "3", "debuginfo": 1, "debug_assertions": false,
                        "overflow_checks": false, "test": false},
            "features": [], "filenames": [], "executable": self.path("program"), "fresh": true
        });
        let real = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let log = self.path("build-arguments");
        self.write_script(
            "cargo",
            &format!(
                "if [ \"$1\" != build ]; then exec '{real}' \"$@\"; fi\n\
                 echo \"$@\" > '{}'\ncat <<'END'\n{artifact}\nEND\n",
                log.display()
            ),
        );
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn write_script(&self, name: &str, text: &str) {
        self.write(name, &format!("#!/bin/sh\n{text}"));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs `cargo perfwright profile` to its end.
    pub(crate) fn profile(&self, args: &[&str]) -> Run {
        self.profile_and(args, |_| {})
    }

    /// The same, and does something to it meanwhile.
    pub(crate) fn profile_and(&self, args: &[&str], meanwhile: impl FnOnce(Running<'_>)) -> Run {
        let child = Command::new(env!("CARGO_BIN_EXE_cargo-perfwright"))
            .args(["perfwright", "profile"])
            .args(args)
            .current_dir(self.folder.path())
            .env("CARGO", self.path("cargo"))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        meanwhile(Running(&child));
        let output = child.wait_with_output().unwrap();
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Waits until the program is at work under a capture.
    pub(crate) fn wait_for_work(&self) {
        let root = self.path("target/perfwright");
        let works = |entry: fs::DirEntry| {
            let log = fs::read_to_string(entry.path().join("program.log"));
            log.is_ok_and(|log| log.contains("working on"))
        };
        loop {
            let mut entries = fs::read_dir(&root).into_iter().flatten().flatten();
            if entries.any(works) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn latest(&self, name: &str) -> String {
        String::from_utf8(self.latest_bytes(name)).unwrap()
    }

    pub(crate) fn latest_bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path("target/perfwright/latest").join(name)).unwrap()
    }

    pub(crate) fn latest_names(&self) -> Vec<String> {
        names(&self.path("target/perfwright/latest"))
    }

    pub(crate) fn report(&self) -> serde_json::Value {
        serde_json::from_str(&self.latest("report.json")).unwrap()
    }

    /// The folders of runs under their final names.
    pub(crate) fn finished_runs(&self) -> Vec<String> {
        let mut names = names(&self.path("target/perfwright"));
        names.retain(|name| !name.starts_with('.'));
        names
    }

    /// How often the program was started.
    pub(crate) fn starts(&self) -> usize {
        fs::read_to_string(self.path("starts"))
            .unwrap_or_default()
            .lines()
            .count()
    }

    /// The program's last process id.
    pub(crate) fn subject_pid(&self) -> String {
        let starts = fs::read_to_string(self.path("starts")).unwrap();
        starts.lines().last().unwrap().to_owned()
    }

    /// What cargo was asked to build.
    pub(crate) fn build_arguments(&self) -> String {
        fs::read_to_string(self.path("build-arguments")).unwrap_or_default()
    }
}

impl Run {
    /// Asserts that the command succeeded.
    pub(crate) fn expect_success(self) -> Run {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }
}

impl Running<'_> {
    /// What Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal(libc::SIGINT);
    }

    /// What nobody can handle.
    pub(crate) fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.0.id()).unwrap();
        // SAFETY: kill takes no pointers, and the child is not reaped yet, so the number is its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }
}

/// Whether a process runs; a zombie that nobody has reaped yet does not.
pub(crate) fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

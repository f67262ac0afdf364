//! Showing a page to the user.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::terminal::Terminal;

/// Opens an HTML file with whatever the system opens such files with; where that fails, says what to do.
pub(crate) fn open(file: &Path, terminal: &mut Terminal) {
    let program = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let mut command = Command::new(program);
    command
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if !command.status().is_ok_and(|status| status.success()) {
        terminal.note(format_args!("open {} in a browser", file.display()));
    }
}

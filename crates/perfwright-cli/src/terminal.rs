//! Where a command talks: results go to standard output, progress and remarks to standard error.
//!
//! A reader that goes away (`| head`) is no error: output after it is dropped silently, so that a
//! command still finishes what it was doing. Any other failure to write is kept and returned by
//! [`Terminal::finish`].

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Error;
use console::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::ColorChoice;

/// Width used where standard output is no terminal.
const WIDTH_WITHOUT_TERMINAL: usize = 120;
/// Verbs of progress lines are right-aligned to this column, as cargo's are.
const VERB_WIDTH: usize = 12;

impl ColorChoice {
    fn enabled(self, is_terminal: bool) -> bool {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                is_terminal && !dumb && !set("NO_COLOR")
            }
        }
    }
}

/// The styles of this program's output; plain text when colours are off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Paint {
    enabled: bool,
}

impl Paint {
    /// Styles that do colour, or that do nothing.
    pub(crate) fn new(enabled: bool) -> Paint {
        Paint { enabled }
    }

    /// Titles of sections and tables.
    pub(crate) fn heading(self, text: impl Display) -> String {
        self.apply(Style::new().bold(), text)
    }

    /// What matters least: units, paths, differences within the noise.
    pub(crate) fn dim(self, text: impl Display) -> String {
        self.apply(Style::new().dim(), text)
    }

    /// What went well, and what got faster.
    pub(crate) fn good(self, text: impl Display) -> String {
        self.apply(Style::new().green(), text)
    }

    /// What needs a look.
    pub(crate) fn caution(self, text: impl Display) -> String {
        self.apply(Style::new().yellow(), text)
    }

    /// What failed, and what got slower.
    pub(crate) fn bad(self, text: impl Display) -> String {
        self.apply(Style::new().red(), text)
    }

    /// Names of files and commands to use next.
    pub(crate) fn link(self, text: impl Display) -> String {
        self.apply(Style::new().cyan(), text)
    }

    fn verb(self, text: impl Display) -> String {
        self.apply(Style::new().green().bold(), text)
    }

    fn apply(self, style: Style, text: impl Display) -> String {
        style.force_styling(self.enabled).apply_to(text).to_string()
    }
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Spinners and bars that redraw themselves.
    Live,
    /// One line for each step.
    Lines,
    Silent,
}

/// Standard output and standard error of one command.
pub(crate) struct Terminal {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    out_paint: Paint,
    err_paint: Paint,
    out_is_terminal: bool,
    width: usize,
    progress: Progress,
    out_closed: bool,
    failure: Option<io::Error>,
}

impl Terminal {
    /// The process's own streams. Widths and colours follow what standard output is.
    pub(crate) fn from_process(color: ColorChoice) -> Terminal {
        let (out, err) = (io::stdout(), io::stderr());
        let width = console::Term::stdout()
            .size_checked()
            .map(|(_, columns)| usize::from(columns));
        Terminal {
            out_is_terminal: out.is_terminal(),
            out_paint: Paint::new(color.enabled(out.is_terminal())),
            err_paint: Paint::new(color.enabled(err.is_terminal())),
            width: width.unwrap_or(WIDTH_WITHOUT_TERMINAL).clamp(40, 200),
            progress: if err.is_terminal() {
                Progress::Live
            } else {
                Progress::Lines
            },
            out: Box::new(BufWriter::new(out)),
            err: Box::new(err),
            out_closed: false,
            failure: None,
        }
    }

    /// Streams that are kept in memory, without colours. `width` is in columns.
    #[cfg(test)]
    pub(crate) fn captured(width: usize) -> (Terminal, Captured) {
        let captured = Captured::default();
        let terminal = Terminal {
            out: Box::new(captured.out.clone()),
            err: Box::new(captured.err.clone()),
            out_is_terminal: false,
            out_paint: Paint::default(),
            err_paint: Paint::default(),
            width,
            progress: Progress::Lines,
            out_closed: false,
            failure: None,
        };
        (terminal, captured)
    }

    /// With `--json`, lines of progress are for terminals only: a script reads the rest.
    pub(crate) fn quiet_unless_live(&mut self) {
        if self.progress == Progress::Lines {
            self.progress = Progress::Silent;
        }
    }

    /// Columns of standard output.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Whether a person reads standard output, rather than a program or a file.
    pub(crate) fn out_is_terminal(&self) -> bool {
        self.out_is_terminal
    }

    /// Styles for standard output.
    pub(crate) fn paint(&self) -> Paint {
        self.out_paint
    }

    /// Writes to standard output.
    pub(crate) fn print(&mut self, text: impl Display) {
        self.write_out(|out| write!(out, "{text}"));
    }

    /// Writes a line to standard output.
    pub(crate) fn line(&mut self, text: impl Display) {
        self.write_out(|out| writeln!(out, "{text}"));
    }

    /// Writes bytes to standard output as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.write_out(|out| out.write_all(bytes));
    }

    /// Writes a remark to standard error: "note: ...".
    pub(crate) fn note(&mut self, text: impl Display) {
        let label = self.err_paint.link("note");
        self.remark(&label, text);
    }

    /// Writes a warning to standard error: "warning: ...".
    pub(crate) fn warn(&mut self, text: impl Display) {
        let label = self.err_paint.caution("warning");
        self.remark(&label, text);
    }

    /// Writes an error to standard error: "error: ...".
    pub(crate) fn error(&mut self, text: impl Display) {
        let label = self.err_paint.bad("error");
        self.remark(&label, text);
    }

    /// Writes a text of several lines to standard error, made for colours or for none.
    pub(crate) fn excerpt(&mut self, render: impl FnOnce(bool) -> String) {
        let text = render(self.err_paint.enabled);
        let _ = writeln!(self.err, "{text}");
    }

    /// Says on standard error what has been done, or begins: "    Building shop".
    pub(crate) fn status(&mut self, verb: &str, text: impl Display) {
        if self.progress != Progress::Silent {
            let line = status_line(self.err_paint, verb, text);
            // Nobody to tell is nothing to fail for.
            let _ = writeln!(self.err, "{line}");
        }
    }

    /// Begins something that takes a while; it shows until it is dropped.
    pub(crate) fn step(&mut self, verb: &'static str, text: impl Display) -> Step {
        let text = text.to_string();
        if self.progress != Progress::Live {
            self.status(verb, &text);
            return Step { bar: None };
        }
        let bar = ProgressBar::new_spinner().with_style(style("{prefix} {msg} {spinner}"));
        self.start(bar, verb, text)
    }

    /// Like [`Terminal::step`] for something whose length is known: a bar of `total` units.
    pub(crate) fn step_of(&mut self, verb: &'static str, text: impl Display, total: u64) -> Step {
        let text = text.to_string();
        if self.progress != Progress::Live {
            return self.step(verb, text);
        }
        let bar = ProgressBar::new(total).with_style(style("{prefix} [{bar:30}] {msg}"));
        self.start(bar, verb, text)
    }

    /// Says why a command failed, from the outermost reason to its cause, and gives its exit code.
    pub(crate) fn fail(&mut self, error: &Error) -> ExitCode {
        self.error(format_args!("failed to {error:#}"));
        ExitCode::FAILURE
    }

    /// Flushes, and returns the first failure to write other than a reader that went away.
    ///
    /// # Errors
    /// The error that writing to standard output gave, such as a full disk.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.write_out(|out| out.flush());
        self.failure.take().map_or(Ok(()), Err)
    }

    fn start(&self, bar: ProgressBar, verb: &str, text: String) -> Step {
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.set_prefix(padded_verb(self.err_paint, verb));
        bar.set_message(text);
        bar.enable_steady_tick(Duration::from_millis(100));
        Step { bar: Some(bar) }
    }

    fn remark(&mut self, label: &str, text: impl Display) {
        self.write_out(|out| out.flush());
        let _ = writeln!(self.err, "{label}: {text}");
    }

    fn write_out(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if self.out_closed {
            return;
        }
        if let Err(error) = write(&mut self.out) {
            self.out_closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.failure = Some(error);
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.write_out(|out| out.flush());
    }
}

/// Something that is under way and shown on standard error; it vanishes when dropped.
#[must_use = "a step is shown only while this value lives"]
pub(crate) struct Step {
    bar: Option<ProgressBar>,
}

impl Step {
    /// Replaces the text of the step.
    pub(crate) fn update(&self, text: impl Display) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_string());
        }
    }

    /// Moves the bar of a [`Terminal::step_of`].
    pub(crate) fn position(&self, position: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file, and a test draws each of them.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .progress_chars("━╸─")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

fn padded_verb(paint: Paint, verb: &str) -> String {
    let padding = " ".repeat(VERB_WIDTH.saturating_sub(verb.len()));
    format!("{padding}{}", paint.verb(verb))
}

fn status_line(paint: Paint, verb: &str, text: impl Display) -> String {
    format!("{} {text}", padded_verb(paint, verb))
}

/// What a [`Terminal::captured`] was told.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Captured {
    out: Sink,
    err: Sink,
}

#[cfg(test)]
impl Captured {
    /// What went to standard output so far.
    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    /// What went to standard error so far.
    pub(crate) fn err(&self) -> String {
        self.err.text()
    }
}

#[cfg(test)]
#[derive(Clone, Default)]
struct Sink(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Sink {
    fn bytes(&self) -> Vec<u8> {
        // A panic elsewhere leaves the bytes as they were: poisoning means nothing here.
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

#[cfg(test)]
impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn finish_of(kind: io::ErrorKind) -> io::Result<()> {
        let (mut terminal, _) = Terminal::captured(80);
        terminal.out = Box::new(Failing(kind));
        terminal.line("first");
        terminal.line("second");
        terminal.finish()
    }

    #[test]
    fn a_closed_pipe_is_silent_and_a_full_disk_is_not() {
        assert!(finish_of(io::ErrorKind::BrokenPipe).is_ok());
        let error = finish_of(io::ErrorKind::StorageFull).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn results_and_remarks_go_to_their_own_stream() {
        let (mut terminal, captured) = Terminal::captured(80);
        terminal.line("result");
        terminal.warn("careful");
        drop(terminal.step("Building", "shop"));
        assert_eq!(captured.out(), "result\n");
        assert_eq!(captured.err(), "warning: careful\n    Building shop\n");
    }

    #[test]
    fn json_silences_lines_of_progress_but_not_warnings() {
        let (mut terminal, captured) = Terminal::captured(80);
        terminal.quiet_unless_live();
        terminal.status("Building", "shop");
        terminal.warn("careful");
        assert_eq!(captured.err(), "warning: careful\n");
    }

    #[test]
    fn colours_can_be_forced_and_forbidden() {
        assert!(ColorChoice::Always.enabled(false));
        assert!(!ColorChoice::Never.enabled(true));
        assert!(!ColorChoice::Auto.enabled(false));
        assert_eq!(Paint::new(false).bad("x"), "x");
        assert_eq!(Paint::new(true).bad("x"), "\u{1b}[31mx\u{1b}[0m");
    }

    #[test]
    fn progress_templates_are_valid() {
        for template in ["{prefix} {msg} {spinner}", "{prefix} [{bar:30}] {msg}"] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}

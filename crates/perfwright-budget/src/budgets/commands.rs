//! Commands whose time and memory are budgeted, and what is measured again.

use toml::Spanned;

use super::{Budget, Budgets, reader::Reader};
use crate::{
    file::{self, Severity},
    metric::Metric,
    units::nearest,
};

/// How often a command runs, if the file does not say: the fewest that give an interval, and one more.
const REPEAT: u32 = 5;
const MAX_REPEAT: u32 = 1_000;
/// How long one run of a command may take, if the file does not say, in seconds.
const TIMEOUT: f64 = 600.0;
/// How often a breach is measured again, at most.
const MAX_RERUNS: u32 = 10;

/// A `[[command]]` of the file: what to run, and how.
#[derive(Clone, PartialEq, Debug)]
pub struct CommandSpec {
    /// Its name in the file.
    pub name: String,
    /// The program and its arguments. There is no shell.
    pub run: Vec<String>,
    /// The variable that names a new, empty folder for each cold run, and the same one again for the cached run after
    /// it. Without one all runs are of one kind.
    pub cold: Option<String>,
    /// How often it is measured.
    pub repeat: u32,
    /// After so many seconds a run is ended.
    pub timeout_seconds: f64,
}

impl Budgets {
    /// The commands that budgets ask for, in the order of the file.
    pub fn commands(&self) -> impl Iterator<Item = &CommandSpec> {
        let is_used = |command: &&CommandSpec| {
            let mut budgets = self
                .list
                .iter()
                .filter(|budget| budget.severity != Severity::Off);
            budgets.any(|budget| budget.select.command.as_ref() == Some(&command.name))
        };
        self.commands.iter().filter(is_used)
    }
}

impl Budget {
    /// The name of the command whose runs it is about, or that makes what it is about.
    pub fn command(&self) -> Option<&str> {
        self.select.command.as_deref()
    }

    /// How often a breach is measured again before it is believed.
    pub fn reruns(&self) -> u32 {
        self.reruns
    }
}

impl Reader<'_> {
    pub(super) fn commands(&mut self, raw: Vec<file::Command>) -> Vec<CommandSpec> {
        let mut commands: Vec<CommandSpec> = Vec::with_capacity(raw.len());
        for raw in raw {
            let name = raw.name.get_ref();
            // Its output goes into a file of this name.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || !name.chars().all(is_plain) {
                let help = "write letters, digits, `-` and `_`";
                self.problem(raw.name.span(), "a name that cannot be used", "", help);
            }
            if commands.iter().any(|other| other.name == *name) {
                let title = "two commands have one name";
                self.problem(raw.name.span(), title, "used before", "choose another");
            }
            commands.push(CommandSpec {
                run: self.words(&raw.run),
                cold: raw.cold.map(|cold| self.variable(&cold)),
                repeat: self.repeat(raw.repeat.as_ref()),
                timeout_seconds: (raw.timeout.as_ref())
                    .and_then(|timeout| self.duration(timeout))
                    .unwrap_or(TIMEOUT),
                name: raw.name.into_inner(),
            });
        }
        commands
    }

    /// The words of a command: a list as it is, a text at its spaces.
    fn words(&mut self, run: &Spanned<file::Words>) -> Vec<String> {
        let words: Vec<String> = match run.get_ref() {
            file::Words::List(words) => words.clone(),
            file::Words::Text(text) => {
                if text.contains(['"', '\'', '\\', '$', '|', '&', ';', '<', '>', '`']) {
                    let help = "write a list of words, or call a shell: [\"sh\", \"-c\", \"…\"]";
                    let title = "a command that only a shell understands";
                    self.problem(run.span(), title, "there is no shell", help);
                }
                text.split_whitespace().map(str::to_owned).collect()
            }
        };
        if words
            .first()
            .is_none_or(|program| program.trim().is_empty())
        {
            let help = "write a program and its arguments, such as `cargo build --locked`";
            self.problem(run.span(), "nothing to run", "no program", help);
        }
        words
    }

    fn variable(&mut self, cold: &Spanned<String>) -> String {
        let name = cold.get_ref();
        if name.is_empty() || name.contains(['=', '\0']) {
            let help =
                "write the variable that says where the build goes, such as CARGO_TARGET_DIR";
            self.problem(cold.span(), "not the name of a variable", "", help);
        }
        name.clone()
    }

    fn repeat(&mut self, given: Option<&Spanned<u32>>) -> u32 {
        let Some(given) = given else {
            return REPEAT;
        };
        if !(1..=MAX_REPEAT).contains(given.get_ref()) {
            let help = format!("write how often it is to run, 1 to {MAX_REPEAT}");
            self.problem(given.span(), "impossible number of runs", "", &help);
        }
        *given.get_ref()
    }

    /// How often a breach is measured again: `rerun:2`.
    pub(super) fn on_breach(
        &mut self,
        of_budget: Option<&Spanned<String>>,
        default: Option<&Spanned<String>>,
        metric: Metric,
    ) -> u32 {
        if let Some(given) = of_budget.filter(|_| !metric.can_be_measured_again()) {
            let label = format!("{} is the same every time", metric.name());
            self.problem(
                given.span(),
                "nothing to measure again",
                &label,
                "leave it out",
            );
        }
        let given = of_budget.or(default.filter(|_| metric.can_be_measured_again()));
        let Some(given) = given else {
            return 0;
        };
        let count = match given.get_ref().as_str() {
            "fail" => Some(0),
            text => (text.strip_prefix("rerun:"))
                .and_then(|count| count.parse().ok())
                .filter(|count| (1..=MAX_RERUNS).contains(count)),
        };
        count.unwrap_or_else(|| {
            let help = format!(
                "write \"fail\", or \"rerun:2\" to measure again, up to {MAX_RERUNS} times"
            );
            self.problem(given.span(), "not known what to do on a breach", "", &help);
            0
        })
    }

    /// Whether a budget's command is there, and has such runs as its limits ask for.
    pub(super) fn uses_command(
        &mut self,
        budget: &Budget,
        at: std::ops::Range<usize>,
        commands: &[CommandSpec],
    ) {
        let Some(name) = &budget.select.command else {
            return;
        };
        let Some(command) = commands.iter().find(|command| command.name == *name) else {
            let names = commands.iter().map(|command| command.name.as_str());
            let help = match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add\n[[command]]\nname = \"{name}\"\nrun = \"…\""),
            };
            self.problem(
                at,
                "unknown command",
                "the file has none of this name",
                &help,
            );
            return;
        };
        if budget.metric != Metric::Command {
            return;
        }
        for stat in budget.stats() {
            if stat.contains('.') != command.cold.is_some() {
                let (label, help) = match command.cold {
                    Some(_) => (
                        "it has cold and cached runs",
                        format!("write `cold.{stat}` or `cached.{stat}`"),
                    ),
                    None => (
                        "it has runs of one kind only",
                        "leave the prefix out, or give the command `cold = \"CARGO_TARGET_DIR\"`"
                            .to_owned(),
                    ),
                };
                self.problem(
                    at.clone(),
                    &format!("the command has no `{stat}`"),
                    label,
                    &help,
                );
            }
        }
    }
}

//! From arguments to verdicts: reads what there is, measures what is asked for, and measures breaches again.

use anyhow::{Context as _, Result};
use perfwright_budget::{
    Budget, Budgets, CommandSpec, Date, Measurements, Metric, Report, Sources, Verdict, judge,
};
use tokio::runtime::Builder;

use super::args::SourceArgs;
use super::commands::{Place, Saved};
use super::live::{self, Service, Watch};
use super::sources;
use crate::profile::interrupts::Interrupts;
use crate::terminal::Terminal;

/// A file's budgets, what they were held against, and the verdicts.
pub(super) struct Checked {
    pub(super) budgets: Budgets,
    pub(super) sources: Sources,
    pub(super) baseline: Option<sources::Baseline>,
    pub(super) report: Report,
}

impl Checked {
    /// `None` if the file is wrong, which has been said then. Commands are run only to measure.
    pub(super) fn new(
        args: &SourceArgs,
        purpose: Purpose,
        today: Date,
        terminal: &mut Terminal,
    ) -> Result<Option<Checked>> {
        let Some(budgets) = super::read(&args.file, terminal)? else {
            return Ok(None);
        };
        let profiles = purpose.profiles(&budgets);
        let mut sources = sources::current(args, &budgets, &profiles, terminal)?;
        let baseline = (args.baseline.as_ref())
            .map(|path| sources::baseline(path, &budgets, &profiles, terminal))
            .transpose()?;
        let check = Check {
            args,
            measure: purpose == Purpose::Measure,
            today,
            budgets: &budgets,
            baseline: baseline.as_ref().map(|baseline| &baseline.measurements),
        };
        let report = check.report(&mut sources, terminal)?;
        Ok(Some(Checked {
            budgets,
            sources,
            baseline,
            report,
        }))
    }
}

/// What verdicts are wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// To be told.
    Judge,
    /// The same, of commands that are run first.
    Measure,
    /// To be explained, by profiles that no budget may be about.
    Explain,
}

impl Purpose {
    fn profiles(self, budgets: &Budgets) -> Vec<&str> {
        let mut names = budgets.profiles();
        if self == Purpose::Explain {
            names.extend(["cpu", "heap"]);
            names.sort_unstable();
            names.dedup();
        }
        names
    }
}

impl Checked {
    /// Whether data are missing that a command of the file would give.
    pub(super) fn misses_a_command(&self) -> bool {
        let missing = self
            .report
            .rows
            .iter()
            .filter(|row| row.verdict == Verdict::Missing);
        let mut budgets =
            missing.filter_map(|row| self.budgets.iter().find(|budget| budget.id == row.budget));
        budgets.any(|budget| budget.command().is_some())
    }
}

struct Check<'a> {
    args: &'a SourceArgs,
    measure: bool,
    today: Date,
    budgets: &'a Budgets,
    baseline: Option<&'a Measurements>,
}

impl Check<'_> {
    fn report(&self, sources: &mut Sources, terminal: &mut Terminal) -> Result<Report> {
        let service = (self.args.metrics.as_deref())
            .filter(|metrics| live::is_url(metrics))
            .map(|url| Service::new(url, self.args.token.clone()))
            .transpose()?;
        let commands: Vec<&CommandSpec> = self.budgets.commands().collect();
        if !commands.is_empty() {
            self.add_saved(&commands, sources, terminal)?;
        }
        if service.is_none() && (!self.measure || commands.is_empty()) {
            return Ok(self.judge(sources));
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the command's own runtime")?;
        runtime.block_on(self.measured(service.as_ref(), &commands, sources, terminal))
    }

    fn judge(&self, sources: &Sources) -> Report {
        let measurements = sources.measure(self.budgets);
        judge(self.budgets, measurements, self.baseline, self.today)
    }

    /// Adds what was measured of the commands before.
    fn add_saved(
        &self,
        commands: &[&CommandSpec],
        sources: &mut Sources,
        terminal: &mut Terminal,
    ) -> Result<()> {
        let place = Place::new(&sources::root(self.args))?;
        let saved = match Saved::read(&place) {
            Ok(saved) => saved,
            Err(error) => {
                terminal.warn(format_args!("{error:#}"));
                return Ok(());
            }
        };
        let environment = sources::environment();
        for spec in commands {
            if let Some(runs) = saved.runs(spec, &environment) {
                sources.command(&spec.name, runs);
            }
        }
        Ok(())
    }

    /// Measures what can be measured, and breaches again.
    async fn measured(
        &self,
        service: Option<&Service>,
        commands: &[&CommandSpec],
        sources: &mut Sources,
        terminal: &mut Terminal,
    ) -> Result<Report> {
        let interrupts = Interrupts::listen()?;
        let commands = match self.measure {
            true => commands,
            false => &[],
        };
        self.run(commands, sources, &interrupts, terminal).await?;
        if let Some(service) = service {
            service
                .watch(self.watch(), sources, &interrupts, terminal)
                .await?;
        }
        let mut report = self.judge(sources);
        for measured in 1_u32.. {
            let again: Vec<&Budget> = (report.to_measure_again(self.budgets, measured).into_iter())
                .filter(|budget| self.is_measured(budget, service, commands))
                .collect();
            if again.is_empty() || interrupts.any() {
                break;
            }
            let ids: Vec<&str> = again.iter().map(|budget| budget.id.as_str()).collect();
            terminal.status(
                "Again",
                format_args!("{}: a breach is measured again", ids.join(", ")),
            );
            let is_of_again = |spec: &&&CommandSpec| {
                again
                    .iter()
                    .any(|budget| budget.command() == Some(&spec.name))
            };
            let of_again: Vec<&CommandSpec> =
                commands.iter().filter(is_of_again).copied().collect();
            self.run(&of_again, sources, &interrupts, terminal).await?;
            let is_live = |budget: &&Budget| budget.command().is_none();
            if let Some(service) = service.filter(|_| again.iter().any(is_live)) {
                service
                    .watch(self.watch(), sources, &interrupts, terminal)
                    .await?;
            }
            report.confirm(&self.judge(sources), &again, measured + 1);
        }
        Ok(report)
    }

    /// Whether this check measures what a budget is about.
    fn is_measured(
        &self,
        budget: &Budget,
        service: Option<&Service>,
        commands: &[&CommandSpec],
    ) -> bool {
        match budget.command() {
            Some(name) => commands.iter().any(|spec| spec.name == name),
            // What a load driver reported is not measured here.
            None => {
                let is_live = service.is_some() && self.args.load.is_none();
                is_live && budget.metric != Metric::Bench
            }
        }
    }

    fn watch(&self) -> Option<Watch> {
        let duration = self.args.duration?;
        Some(Watch {
            duration,
            every: self.args.every,
        })
    }

    /// Runs commands, and keeps what was measured of them.
    async fn run(
        &self,
        commands: &[&CommandSpec],
        sources: &mut Sources,
        interrupts: &Interrupts,
        terminal: &mut Terminal,
    ) -> Result<()> {
        if commands.is_empty() {
            return Ok(());
        }
        let place = Place::new(&sources::root(self.args))?;
        let measured = place
            .measure(commands, sources, interrupts, terminal)
            .await?;
        // One that cannot be read is written anew.
        let saved = Saved::read(&place).unwrap_or_default();
        let environment = sources::environment();
        saved.add(commands, &measured, &environment, &place, terminal)
    }
}

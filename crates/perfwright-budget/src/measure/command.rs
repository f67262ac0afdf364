//! How long commands run, and what they use.

use perfwright_stats::turns;

use super::{Data, Error, Reading, all_missing};
use crate::budgets::Select;

/// Fewer runs have no interval: with so few nobody knows how much they vary.
const FEWEST_RUNS: usize = 4;

/// The least that is told apart from nothing, in seconds and bytes.
const LEAST: f64 = 1e-9;
/// Of the bootstrap: the same runs give the same verdict.
const SEED: u64 = 1;

/// One run of a command.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CommandRun {
    /// From its start to its end.
    pub seconds: f64,
    /// CPU time of it and of what it waited for.
    pub cpu_seconds: f64,
    /// The most memory that it, or one of the processes it waited for, had in RAM.
    pub peak_bytes: f64,
}

/// All runs of a command.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CommandRuns {
    /// Of a command without cold runs.
    pub plain: Vec<CommandRun>,
    /// In a new folder.
    pub cold: Vec<CommandRun>,
    /// In the same folder again, nothing changed.
    pub cached: Vec<CommandRun>,
    /// What to know of them, such as when they were.
    pub note: Option<String>,
}

pub(super) fn measure(
    runs: Option<&Result<CommandRuns, String>>,
    select: &Select,
    stats: &[String],
) -> Vec<Reading> {
    let runs = match runs {
        Some(Ok(runs)) => runs,
        Some(Err(why)) => return all_missing(stats, why),
        None => {
            let name = select.command.as_deref().unwrap_or("");
            return all_missing(
                stats,
                &format!("the command {name} was not run and measured"),
            );
        }
    };
    let reading = |stat: &String| Reading::new("", stat, statistic(runs, stat));
    stats.iter().map(reading).collect()
}

/// `time`, `cold.cpu`, `cached.peak`.
fn statistic(runs: &CommandRuns, stat: &str) -> Result<Data, String> {
    let (of, quantity) = match stat.split_once('.') {
        Some(("cold", quantity)) => (&runs.cold, quantity),
        Some((_, quantity)) => (&runs.cached, quantity),
        None => (&runs.plain, stat),
    };
    let value = |run: &CommandRun| match quantity {
        "cpu" => run.cpu_seconds,
        "peak" => run.peak_bytes,
        _ => run.seconds,
    };
    let values: Vec<f64> = of.iter().map(value).collect();
    let mut data = median(&values)?;
    let few = match values.len() {
        1 => Some("of 1 run: how much it varies is not known".to_owned()),
        count if count < FEWEST_RUNS => {
            Some(format!("of {count} runs: how much they vary is not known"))
        }
        _ => None,
    };
    let words: Vec<String> = few.into_iter().chain(runs.note.clone()).collect();
    data.note = Some(words.join("; ")).filter(|note| !note.is_empty());
    Ok(data)
}

/// The median of repeated measurements, with the bootstrap's error of it.
fn median(values: &[f64]) -> Result<Data, String> {
    if values.is_empty() {
        return Err("the command did not run".to_owned());
    }
    // What took no time at all has no logarithm.
    let logs = values.iter().map(|value| vec![value.max(LEAST).ln()]);
    let effect = turns::median(&logs.collect::<Vec<_>>(), SEED);
    let error = match values.len() < FEWEST_RUNS {
        true => Error::None,
        false => Error::Repeated {
            log_deviation: effect.error,
            runs: values.len() as f64,
        },
    };
    Ok(Data {
        error,
        ..Data::exact(effect.ratio())
    })
}

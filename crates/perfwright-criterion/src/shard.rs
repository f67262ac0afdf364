//! Benches dealt out to several machines, so that all are done at about the same time.
//!
//! Every machine is given the same list of benches and the same record of how long each took, and works out its own
//! part: nobody has to talk to anybody.
//!
//! ```
//! use perfwright_criterion::shard::{Durations, Shard};
//!
//! let mut durations = Durations::default();
//! durations.insert("parse/large", 9_000_000_000);
//! durations.insert("parse/small", 5_000_000_000);
//! durations.insert("print", 3_000_000_000);
//! let benches = ["parse/large", "parse/small", "print", "new one"];
//!
//! let first: Shard = "1/2".parse()?;
//! assert_eq!(first.of(&benches, &durations), ["parse/large", "print"]);
//! let second: Shard = "2/2".parse()?;
//! assert_eq!(second.of(&benches, &durations), ["parse/small", "new one"]);
//! # Ok::<(), perfwright_criterion::shard::ShardError>(())
//! ```
//!
//! The longest bench goes first, each to the shard that has least so far. One that the record does not know is
//! taken to be as long as the others are on average. (pytest-split does the same for tests.)

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::saved::{self, Error};

/// The version of a file of durations.
const VERSION: u32 = 1;
/// The greatest file of durations: some 100,000 benches.
const MAX_BYTES: u64 = 16 << 20;

/// Which part of how many: `2/5`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// From 0.
    index: usize,
    count: usize,
}

/// Words that are no shard. Fits "failed to {error}".
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardError(String);

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "understand the shard {:?}: give its number, from 1, and how many there are, such as 2/5",
            self.0
        )
    }
}

impl std::error::Error for ShardError {}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Shard, ShardError> {
        let parse = || {
            let (number, count) = text.split_once('/')?;
            let number: usize = number.trim().parse().ok()?;
            let count: usize = count.trim().parse().ok()?;
            (1..=count).contains(&number).then(|| Shard {
                index: number - 1,
                count,
            })
        };
        parse().ok_or_else(|| ShardError(text.to_owned()))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

impl Shard {
    /// The benches of this shard, in the order given.
    pub fn of<'a>(&self, benches: &[&'a str], durations: &Durations) -> Vec<&'a str> {
        let shards = assign(benches, durations, self.count);
        let own = benches
            .iter()
            .zip(shards)
            .filter(|(_, shard)| *shard == self.index);
        own.map(|(bench, _)| *bench).collect()
    }
}

/// The shard of each bench, from 0.
fn assign(benches: &[&str], durations: &Durations, count: usize) -> Vec<usize> {
    let known = benches
        .iter()
        .filter_map(|bench| durations.nanos.get(*bench));
    let (sum, known) = known.fold((0_u128, 0_u128), |(sum, count), &nanos| {
        (sum + u128::from(nanos), count + 1)
    });
    // Without a record all are alike.
    let mean = sum.checked_div(known).unwrap_or(1);
    let length = |bench: &str| {
        durations
            .nanos
            .get(bench)
            .map_or(mean, |&nanos| nanos.into())
    };
    let mut order: Vec<usize> = (0..benches.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(length(benches[at])), benches[at], at));
    let mut loads = vec![0_u128; count];
    let mut shards = vec![0; benches.len()];
    for at in order {
        // Of equals the first.
        let least = (0..count).min_by_key(|&shard| loads[shard]).unwrap_or(0);
        loads[least] += length(benches[at]).max(1);
        shards[at] = least;
    }
    shards
}

/// How long benches took, in nanoseconds: whole numbers, so that every machine computes the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Durations {
    nanos: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    nanos: BTreeMap<String, u64>,
}

impl Durations {
    /// Remembers how long a bench took.
    pub fn insert(&mut self, bench: impl Into<String>, nanos: u64) {
        self.nanos.insert(bench.into(), nanos);
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.nanos.is_empty()
    }

    /// How long the benches were measured whose results criterion saved in a folder. What cannot be read is not
    /// known.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn saved(folder: &Path) -> Result<Durations, Error> {
        let mut durations = Durations::default();
        for bench in saved::benches(folder, saved::LAST)? {
            if let Ok(sample) = bench.sample() {
                durations.insert(bench.name, sample.total() as u64);
            }
        }
        Ok(durations)
    }

    /// Reads a file that [`Durations::to_json`] made.
    ///
    /// # Errors
    /// If it cannot be read, or is of another version.
    pub fn read(path: &Path) -> Result<Durations, Error> {
        let mut text = String::new();
        let file = fs::File::open(path).map_err(|error| Error::io(path, error))?;
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
        match read {
            Ok(bytes) if bytes as u64 > MAX_BYTES => {
                return Err(Error::odd(
                    path,
                    format!("it has more than {MAX_BYTES} bytes"),
                ));
            }
            Ok(_) => {}
            Err(error) => return Err(Error::io(path, error)),
        }
        let file: File = serde_json::from_str(&text).map_err(|error| Error::json(path, &error))?;
        match file.version {
            VERSION => Ok(Durations { nanos: file.nanos }),
            other => {
                let what = format!("it has version {other}, and {VERSION} is read");
                Err(Error::odd(path, what))
            }
        }
    }

    /// The record as a file to commit: sorted, a bench a line.
    pub fn to_json(&self) -> String {
        let file = File {
            version: VERSION,
            nanos: self.nanos.clone(),
        };
        // Strings and numbers are always JSON.
        serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shard_is_a_number_of_a_number() {
        for text in ["1/1", "2/5", "5/5"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        for text in ["", "1", "0/5", "6/5", "1/0", "a/b", "1/2/3", "-1/2"] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains("such as 2/5"), "{error}");
        }
    }

    #[test]
    fn a_record_reads_as_it_was_written_and_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("durations.json");
        let mut durations = Durations::default();
        durations.insert("a/b", 7);
        fs::write(&path, durations.to_json()).unwrap();
        assert_eq!(Durations::read(&path).unwrap(), durations);
        for (text, expected) in [
            ("{\"version\": 2, \"nanos\": {}}", "it has version 2"),
            ("{\"version\": 1, \"nanos\": {\"a\": -1}}", "broken JSON"),
            ("", "broken JSON"),
        ] {
            fs::write(&path, text).unwrap();
            let error = Durations::read(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(
            Durations::read(&folder.path().join("gone"))
                .unwrap_err()
                .is_not_found()
        );
    }

    proptest! {
        #[test]
        fn each_bench_is_in_exactly_one_shard_and_none_has_much_more(
            lengths in prop::collection::vec(prop::option::of(0_u64..1_000), 0..60),
            count in 1_usize..8,
        ) {
            let names: Vec<String> = (0..lengths.len()).map(|at| format!("bench {at}")).collect();
            let benches: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut durations = Durations::default();
            for (name, length) in names.iter().zip(&lengths) {
                length.map(|length| durations.insert(name.clone(), length));
            }
            let shards: Vec<Vec<&str>> = (1..=count)
                .map(|number| format!("{number}/{count}").parse::<Shard>().unwrap())
                .map(|shard| shard.of(&benches, &durations))
                .collect();
            let mut all: Vec<&str> = shards.concat();
            all.sort_unstable();
            let mut expected = benches.clone();
            expected.sort_unstable();
            prop_assert_eq!(all, expected);

            // The list's order says nothing: another machine may find the benches in another one.
            let reversed: Vec<&str> = benches.iter().rev().copied().collect();
            for (number, shard) in shards.iter().enumerate() {
                let again = Shard { index: number, count }.of(&reversed, &durations);
                let again: Vec<&str> = again.into_iter().rev().collect();
                prop_assert_eq!(shard, &again);
            }

            // What was dealt last to the fullest shard went where least was: no two are further apart than that.
            let known: Vec<u64> = lengths.iter().flatten().copied().collect();
            let mean = known.iter().sum::<u64>().checked_div(known.len() as u64).unwrap_or(1);
            let of = |bench: &&str| durations.nanos.get(*bench).copied().unwrap_or(mean).max(1);
            let loads: Vec<u64> = shards.iter().map(|shard| shard.iter().map(of).sum()).collect();
            let longest = benches.iter().map(of).max().unwrap_or(0);
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            prop_assert!(most - least <= longest, "{:?}", loads);
        }
    }
}

//! Two builds of one bench executable, and the benches that both have.

use std::collections::{BTreeSet, HashMap};

use super::contest::{Contestant, Kind, Stopped};
use super::plain;
use super::row::{Outcome, Row};
use super::subject::{Executable, Subject, Trouble};

/// Two builds of one bench executable.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// Package and bench target: `parser/tokens`; may be empty.
    pub(crate) target: String,
    /// What the base is.
    pub(crate) against: String,
    pub(crate) base: Executable,
    /// A copy of the base. A second process of the same file would share its pages, and leave them in the caches for
    /// the first: a sort was 3 % faster for that.
    pub(crate) twin: Executable,
    pub(crate) candidate: Executable,
    /// The base with unrelated functions added.
    pub(crate) layouts: Vec<Executable>,
}

/// A bench that both builds have.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) pair: Pair,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// Its number in the base.
    base: usize,
    candidate: usize,
}

impl Pair {
    /// The benches that both builds have and the filters let through; rows of the others.
    pub(crate) async fn benches(&self, filters: &[String], rows: &mut Vec<Row>) -> Vec<Common> {
        let mut kind = Kind::Suite;
        let mut lists = (list(&self.base).await, list(&self.candidate).await);
        if let (Err(Trouble::NoSuite), Err(Trouble::NoSuite)) = &lists {
            kind = Kind::Criterion;
            lists = (
                plain::list(&self.base).await,
                plain::list(&self.candidate).await,
            );
        }
        let (base, candidate) = match lists {
            (Ok(base), Ok(candidate)) => (base, candidate),
            (_, Err(trouble)) => {
                rows.push(self.row("", Outcome::Failed, format!("candidate: {trouble}")));
                return Vec::new();
            }
            (Err(trouble), _) => {
                rows.push(self.row("", Outcome::CannotTell, format!("base: {trouble}")));
                return Vec::new();
            }
        };
        if candidate.is_empty() {
            let reason = "it names no benches: neither written with perfwright_criterion::Suite nor with criterion";
            rows.push(self.row("", Outcome::CannotTell, reason));
        }
        let wanted = |name: &String| passes(filters, name);
        let numbers: HashMap<&String, usize> = base.iter().zip(0..).collect();
        let mut common = Vec::new();
        for (number, name) in candidate
            .iter()
            .enumerate()
            .filter(|(_, name)| wanted(name))
        {
            match numbers.get(name) {
                Some(&base) => common.push(Common {
                    pair: self.clone(),
                    kind,
                    name: name.clone(),
                    base,
                    candidate: number,
                }),
                None => {
                    rows.push(self.row(name, Outcome::New, "the base has no bench of this name"))
                }
            }
        }
        let here: BTreeSet<&String> = candidate.iter().collect();
        for name in base
            .iter()
            .filter(|name| wanted(name) && !here.contains(name))
        {
            rows.push(self.row(
                name,
                Outcome::Gone,
                "the base has it, the candidate does not",
            ));
        }
        common
    }

    pub(crate) fn row(&self, bench: &str, verdict: Outcome, reason: impl Into<String>) -> Row {
        Row::unmeasured((&self.target, bench), &self.against, verdict, reason)
    }
}

/// Whether a bench of this name is wanted.
pub(crate) fn passes(filters: &[String], name: &str) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter))
}

async fn list(executable: &Executable) -> Result<Vec<String>, Trouble> {
    Subject::start(executable, 0).await?.list().await
}

impl Common {
    /// This bench in the base, or in another build of it.
    pub(crate) fn of_base(&self, build: &Executable) -> Contestant {
        Contestant {
            executable: build.clone(),
            bench: self.base,
            name: self.name.clone(),
        }
    }

    /// This bench in the candidate.
    pub(crate) fn of_candidate(&self) -> Contestant {
        Contestant {
            executable: self.pair.candidate.clone(),
            bench: self.candidate,
            name: self.name.clone(),
        }
    }

    pub(crate) fn row(&self, verdict: Outcome, reason: impl Into<String>) -> Row {
        self.pair.row(&self.name, verdict, reason)
    }

    /// The row of a bench that could not be measured.
    pub(crate) fn stopped(&self, stopped: &Stopped) -> Row {
        match stopped.contestant {
            0 => self.row(
                Outcome::CannotTell,
                format!("in the base, {}", stopped.trouble),
            ),
            _ => self.row(Outcome::Failed, stopped.trouble.to_string()),
        }
    }
}

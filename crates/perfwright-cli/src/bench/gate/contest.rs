//! Executables measured in turns: small batches, in random order, by pairs of processes that are started anew.

use std::time::{Duration, Instant};

use perfwright_criterion::protocol::{Batch, Measured};
use perfwright_stats::Rng;

use super::plain;
use super::subject::{Executable, Subject, Trouble};

/// How long a batch is to run: long beside a clock's resolution and what a switch of processes costs, short beside
/// the scheduler's slices and what else changes on a machine.
const BATCH: Duration = Duration::from_millis(1);
/// How long a group of processes is kept. What chance gives a process (addresses, pages) may matter more than the
/// difference that is looked for: a comparison needs many processes.
const GROUP: Duration = Duration::from_millis(100);
/// Starting a group may take this share of the time, at most: a bench with a long setup keeps its processes longer.
const START_SHARE: f64 = 0.25;
/// A group has at least so many rounds.
const FEWEST_ROUNDS: usize = 2;
/// Of a batch's iterations, these run before it unmeasured, to have code and data back in the caches.
const WARMUP_SHARE: u64 = 16;

/// Layouts repeat themselves after a page, and the stack keeps this alignment.
const PAGE: usize = 4096;
const STACK_STEP: usize = 16;

/// A clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Elapsed time.
    Wall,
    /// CPU time of all threads.
    Process,
    /// CPU time of the thread that runs the iterations.
    Thread,
}

impl Clock {
    pub(crate) fn of(self, measured: &Measured) -> f64 {
        let nanos = match self {
            Clock::Wall => measured.wall_nanos,
            Clock::Process => measured.process_nanos,
            Clock::Thread => measured.thread_nanos,
        };
        nanos as f64
    }
}

/// What is put against each other: the first is what the others are compared with.
#[derive(Debug, Clone)]
pub(crate) struct Contest {
    pub(crate) kind: Kind,
    pub(crate) contestants: Vec<Contestant>,
}

/// How executables are driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In batches.
    Suite,
    /// As processes: see [`super::plain`].
    Criterion,
}

/// A bench of an executable.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    pub(crate) executable: Executable,
    /// The bench's number in it, if it is a suite.
    pub(crate) bench: usize,
    /// The bench's name.
    pub(crate) name: String,
}

/// Who had trouble.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) contestant: usize,
    pub(crate) trouble: Trouble,
}

/// What the processes of one group measured: rounds of one batch for each contestant.
pub(crate) type Group = Vec<Vec<Measured>>;

impl Contest {
    /// How many iterations make a batch, by the first contestant.
    pub(crate) async fn iterations(&self) -> Result<u64, Stopped> {
        if self.kind == Kind::Criterion {
            return Ok(plain::ITERATIONS);
        }
        let mut subject = self.start(0, 0).await?;
        let mut iterations = 1;
        loop {
            let measured = self
                .run(&mut subject, 0, iterations / 4, iterations)
                .await?;
            // CPU time, where there is any: waiting for a CPU is no part of the bench.
            let busy = match measured.waits {
                0 => measured.process_nanos,
                _ => measured.wall_nanos,
            };
            let target = BATCH.as_nanos() as f64;
            let per_iteration = busy as f64 / iterations as f64;
            if busy as f64 >= target / 3.0 || iterations >= 1 << 40 {
                return Ok(((target / per_iteration) as u64).max(1));
            }
            iterations *= 4;
        }
    }

    /// Measures with processes of its own, each of which was warmed up before.
    pub(crate) async fn group(&self, iterations: u64, rng: &mut Rng) -> Result<Group, Stopped> {
        if self.kind == Kind::Criterion {
            return plain::group(self, rng).await;
        }
        let start = Instant::now();
        let mut subjects = Vec::new();
        let padding = rng.below(PAGE / STACK_STEP) * STACK_STEP;
        for contestant in shuffled(self.contestants.len(), rng) {
            let mut subject = self.start(contestant, padding).await?;
            let (warmup, measured) = (iterations - 1, 1);
            self.run(&mut subject, contestant, warmup, measured).await?;
            subjects.push((contestant, subject));
        }
        subjects.sort_by_key(|(contestant, _)| *contestant);
        let started = start.elapsed();
        let length = GROUP.max(started.mul_f64(1.0 / START_SHARE));
        let mut group = Group::new();
        while group.len() < FEWEST_ROUNDS || start.elapsed() < length {
            let mut round = vec![Measured::default(); subjects.len()];
            for at in shuffled(subjects.len(), rng) {
                let warmup = iterations / WARMUP_SHARE;
                round[at] = self
                    .run(&mut subjects[at].1, at, warmup, iterations)
                    .await?;
            }
            group.push(round);
        }
        Ok(group)
    }

    async fn start(&self, contestant: usize, padding: usize) -> Result<Subject, Stopped> {
        let executable = &self.contestants[contestant].executable;
        let started = Subject::start(executable, padding).await;
        started.map_err(|trouble| Stopped {
            contestant,
            trouble,
        })
    }

    async fn run(
        &self,
        subject: &mut Subject,
        contestant: usize,
        warmup: u64,
        iterations: u64,
    ) -> Result<Measured, Stopped> {
        let batch = Batch {
            bench: self.contestants[contestant].bench,
            warmup,
            iterations,
        };
        let ran = subject.run(batch).await;
        ran.map_err(|trouble| Stopped {
            contestant,
            trouble,
        })
    }
}

/// `0..count` in an order drawn by chance.
pub(crate) fn shuffled(count: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, rng.below(last + 1));
    }
    order
}

/// The log-ratios of a contestant to the first by a clock, group by group. What the clock saw nothing of is left
/// out.
pub(crate) fn log_ratios(groups: &[Group], contestant: usize, clock: Clock) -> Vec<Vec<f64>> {
    let of_round =
        |round: &Vec<Measured>| (clock.of(&round[contestant]) / clock.of(&round[0])).ln();
    groups
        .iter()
        .map(|group| group.iter().map(of_round).collect())
        .collect()
}

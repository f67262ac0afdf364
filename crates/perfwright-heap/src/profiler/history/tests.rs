//! Seeded simulations of programs whose truth is known.

use super::*;
use crate::draw;

/// What a program does in an epoch.
type Step = dyn Fn(&mut Simulation, u32);

/// A site under simulation: blocks are sampled ones, of a size each.
struct Simulation {
    clock: Clock,
    history: History,
    in_use: u64,
    /// Birth epoch and size.
    blocks: Vec<(u32, u64)>,
    random: u64,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        Simulation {
            clock: Clock::new(),
            history: History::default(),
            in_use: 0,
            blocks: Vec::new(),
            random: seed,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        draw::next(&mut self.random) % bound
    }

    fn uniform(&mut self) -> f64 {
        draw::next(&mut self.random) as f64 / u64::MAX as f64
    }

    /// Poisson by Knuth's product of uniforms: means here are small.
    fn poisson(&mut self, mean: f64) -> u32 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0);
        while product > limit {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    fn birth(&mut self) {
        let size = 500 + self.below(1000);
        self.history.advance(&self.clock, self.in_use);
        self.history.born();
        self.in_use += size;
        self.blocks.push((self.clock.epoch, size));
    }

    fn births(&mut self, mean: f64) {
        for _ in 0..self.poisson(mean) {
            self.birth();
        }
    }

    fn death(&mut self, at: usize) {
        let (epoch, size) = self.blocks.swap_remove(at);
        self.history.advance(&self.clock, self.in_use);
        self.history.died(&self.clock, epoch);
        self.in_use -= size;
    }

    /// Each block dies with this probability.
    fn deaths(&mut self, probability: f64) {
        for at in (0..self.blocks.len()).rev() {
            if self.uniform() < probability {
                self.death(at);
            }
        }
    }

    fn tick(&mut self) {
        self.clock
            .tick(u64::from(self.clock.epoch + 1) * 1_000_000_000);
    }

    fn growth(&self) -> Option<Growth> {
        let mut history = self.history;
        history.advance(&self.clock, self.in_use);
        history.growth(&self.clock, FALSE_POSITIVE_RATE)
    }
}

/// Runs `epochs` of a program `runs` times with other seeds; how often it was suspected at the end.
fn suspected(runs: u64, epochs: u32, step: impl Fn(&mut Simulation, u32)) -> u64 {
    (0..runs)
        .filter(|&seed| {
            let mut simulation = Simulation::new(seed * 1_000 + 17);
            for epoch in 0..epochs {
                step(&mut simulation, epoch);
                simulation.tick();
            }
            simulation.growth().is_some()
        })
        .count() as u64
}

const FALSE_POSITIVE_RATE: f64 = 1e-4;
const RUNS: u64 = if cfg!(miri) { 2 } else { 300 };

/// Of so many runs, this many may be suspected by chance: the mean at the promised rate and 5 standard deviations.
fn by_chance(runs: u64) -> u64 {
    let mean = runs as f64 * FALSE_POSITIVE_RATE;
    (mean + 5.0 * mean.sqrt()) as u64
}

#[test]
fn a_leak_is_suspected_and_its_rate_is_right() {
    let mut simulation = Simulation::new(5);
    for _ in 0..100 {
        simulation.births(4.0);
        simulation.tick();
    }
    let growth = simulation.growth().expect("it leaks");
    // 4 blocks of 999.5 bytes a second, on average.
    let error = growth.per_second - 4.0 * 999.5;
    assert!(error.abs() < 5.0 * growth.per_second_error, "{growth:?}");
    assert!(growth.per_second_error < 1_000.0, "{growth:?}");
    assert_eq!(growth.survived, 1.0);
    assert!(growth.oldest_nanos <= 8_000_000_000, "{growth:?}");
}

#[test]
fn every_leak_is_found_in_time_also_beside_churn() {
    let leak = |simulation: &mut Simulation, _| simulation.births(4.0);
    assert_eq!(suspected(RUNS, 60, leak), RUNS);
    // One sample in two seconds leaks.
    let slow = |simulation: &mut Simulation, _| simulation.births(0.5);
    assert_eq!(suspected(RUNS, 240, slow), RUNS);
    // Nine of ten die at once, the tenth stays.
    let mixed = |simulation: &mut Simulation, _| {
        for _ in 0..simulation.poisson(20.0) {
            simulation.birth();
            if simulation.uniform() < 0.9 {
                simulation.death(simulation.blocks.len() - 1);
            }
        }
    };
    assert_eq!(suspected(RUNS, 120, mixed), RUNS);
    // A service starts, and is put under load for a short while.
    let late = |simulation: &mut Simulation, epoch: u32| {
        simulation.births(if epoch < 5 { 0.0 } else { 12.0 });
    };
    let found = suspected(RUNS, 22, late);
    assert!(found * 10 >= RUNS * 9, "{found} of {RUNS}");
}

#[test]
fn a_program_that_does_not_leak_is_not_suspected() {
    let churn = |simulation: &mut Simulation, _| {
        simulation.births(20.0);
        simulation.deaths(0.5);
    };
    let long_lived = |simulation: &mut Simulation, _| {
        simulation.births(5.0);
        simulation.deaths(0.1);
    };
    let sawtooth = |simulation: &mut Simulation, epoch: u32| {
        simulation.births(10.0);
        if epoch % 9 == 8 {
            simulation.deaths(1.0);
        }
    };
    let long_sawtooth = |simulation: &mut Simulation, epoch: u32| {
        simulation.births(10.0);
        if epoch % 45 == 44 {
            simulation.deaths(1.0);
        }
    };
    let warm_up = |simulation: &mut Simulation, epoch: u32| {
        simulation.births(if epoch < 5 { 50.0 } else { 0.0 });
    };
    let warm_and_busy = |simulation: &mut Simulation, epoch: u32| {
        if epoch == 0 {
            simulation.births(100.0);
        }
        // A ring: the oldest goes when one comes.
        for _ in 0..simulation.poisson(10.0) {
            simulation.birth();
            if !simulation.blocks.is_empty() {
                let oldest = (0..simulation.blocks.len())
                    .min_by_key(|&at| simulation.blocks[at].0)
                    .unwrap();
                simulation.death(oldest);
            }
        }
    };
    let stops_half_way = |simulation: &mut Simulation, epoch: u32| {
        simulation.births(if epoch < 60 { 10.0 } else { 0.0 });
    };
    let random_walk = |simulation: &mut Simulation, epoch: u32| {
        if epoch == 0 {
            simulation.births(400.0);
        }
        // A queue: as many come as go.
        simulation.births(20.0);
        for _ in 0..simulation.poisson(20.0).min(simulation.blocks.len() as u32) {
            let at = simulation.below(simulation.blocks.len() as u64) as usize;
            simulation.death(at);
        }
    };
    let programs: [(&str, &Step); 8] = [
        ("churn", &churn),
        ("long-lived churn", &long_lived),
        ("sawtooth", &sawtooth),
        ("long sawtooth", &long_sawtooth),
        ("warm-up", &warm_up),
        ("warm and busy", &warm_and_busy),
        ("stops half-way", &stops_half_way),
        ("random walk", &random_walk),
    ];
    for (name, program) in programs {
        let found = suspected(RUNS, 120, program);
        assert!(found <= by_chance(RUNS), "{name}: {found} of {RUNS}");
    }
}

#[test]
fn nothing_is_suspected_before_there_was_time() {
    let leak = |simulation: &mut Simulation, _| simulation.births(100.0);
    assert_eq!(suspected(10, 7, leak), 0);
    let few = |simulation: &mut Simulation, epoch: u32| {
        if epoch < 7 {
            simulation.birth();
        }
    };
    assert_eq!(suspected(10, 16, few), 0, "7 samples");
    assert_eq!(Simulation::new(1).growth(), None);
}

#[test]
fn a_site_that_was_quiet_for_long_is_brought_up_to_date() {
    let mut simulation = Simulation::new(9);
    simulation.birth();
    let size = simulation.in_use;
    for _ in 0..1000 {
        simulation.tick();
    }
    simulation.birth();
    let history = simulation.history;
    assert_eq!(history.births.iter().sum::<u32>(), 2);
    assert_eq!(history.births[0], 1);
    assert_eq!(history.births[simulation.clock.bucket_of(1000)], 1);
    assert!(
        history.in_use[..BUCKETS / 2 - 1]
            .iter()
            .all(|&bytes| bytes == size)
    );
    simulation.deaths(1.0);
    assert_eq!(simulation.history.survivors, [0; BUCKETS]);
}

#[test]
fn students_t_is_that_of_the_tables() {
    // Two-sided 1 % and one-sided 0.05 % points of the usual tables.
    for (degrees, t, tail) in [
        (1, 63.657, 0.005),
        (2, 9.925, 0.005),
        (5, 4.032, 0.005),
        (10, 3.169, 0.005),
        (14, 4.140, 0.0005),
        (15, 4.073, 0.0005),
    ] {
        let found = student_tail(t, degrees);
        assert!(
            (found / tail - 1.0).abs() < 2e-3,
            "{degrees}: {found}, {tail} expected"
        );
        assert!((student_tail(-t, degrees) - (1.0 - tail)).abs() < 1e-5);
    }
    assert_eq!(student_tail(f64::NAN, 5), 1.0);
    assert_eq!(student_tail(f64::INFINITY, 5), 0.0);
}

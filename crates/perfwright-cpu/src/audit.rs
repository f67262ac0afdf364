//! What the sampler says about its own work.

use std::fmt;

use crate::options::{Engine, Mode};

/// Every comment line of an audit starts with this; `key=value` follows.
const PREFIX: &str = "perfwright audit: ";

macro_rules! audit {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// A sampler's account of one capture: what it should have seen, what it saw, what it lost, what it
        /// cost.
        ///
        /// It travels in the comments of the profile ([`Audit::to_comments`]) and comes back with
        /// [`Audit::from_comments`].
        #[derive(Clone, PartialEq, Debug, Default)]
        #[non_exhaustive]
        pub struct Audit {
            $($(#[$doc])* pub $field: $type,)*
            /// Anything else a reader should know, one sentence each.
            pub notes: Vec<String>,
        }

        impl Audit {
            /// One comment line for each fact.
            pub fn to_comments(&self) -> Vec<String> {
                let facts = [$((stringify!($field), self.$field.print())),*];
                let facts = facts.into_iter().filter_map(|(key, value)| Some((key, value?)));
                let notes = self.notes.iter().map(|note| ("note", note.replace('\n', " ")));
                facts.chain(notes).map(|(key, value)| format!("{PREFIX}{key}={value}")).collect()
            }

            /// The audit in a profile's comments; `None` if there is none. Unknown and broken lines are
            /// skipped: they are a newer version's.
            pub fn from_comments<'a>(comments: impl IntoIterator<Item = &'a str>) -> Option<Audit> {
                let mut audit = None;
                for line in comments.into_iter().filter_map(|line| line.strip_prefix(PREFIX)) {
                    let Some((key, value)) = line.split_once('=') else { continue };
                    let audit: &mut Audit = audit.get_or_insert_default();
                    match key {
                        $(stringify!($field) => audit.$field = Value::parse(value).unwrap_or_default(),)*
                        "note" => audit.notes.push(value.into()),
                        _ => {}
                    }
                }
                audit
            }
        }
    };
}

audit! {
    /// The engine that ran.
    engine: Engine,
    /// What was sampled.
    mode: Mode,
    /// The frequency asked for, in Hz.
    frequency_asked_hz: u32,
    /// Samples per second of CPU time (in wall mode: of wall time of all threads) that really came.
    frequency_effective_hz: f64,
    /// Samples that the sampled time should have given at the frequency asked for.
    expected: u64,
    /// Samples that were recorded. One sample may stand for several periods (the timer engine's tick).
    delivered: u64,
    /// How many samples of equal weight would tell as much: (sum w)^2 / (sum w^2). A share s of the profile is
    /// known to within sqrt(s (1 - s) / this), one standard deviation.
    delivered_effective: u64,
    /// Samples lost because a ring was full; their time is part of `lost_nanos`.
    dropped: u64,
    /// Stacks cut at the depth limit.
    truncated: u64,
    /// Stacks that do not reach the start of their thread.
    rootless: u64,
    /// Samples with the interrupted address alone, because the stack was not known.
    unknown_stack: u64,
    /// Stacks completed by unwinding a copy (the code interrupted had no frame pointer).
    repaired: u64,
    /// Samples that went to `[perfwright: memory limit]`.
    over_memory: u64,
    /// Threads sampled.
    threads_seen: u64,
    /// Threads not sampled because `max_threads`, file descriptors or pending signals ran out.
    threads_overflow: u64,
    /// How long the capture lasted, in nanoseconds of wall time.
    duration_nanos: u64,
    /// CPU time of the process in that time, in nanoseconds, without the sampler's own thread.
    cpu_nanos: u64,
    /// CPU time (wall mode: wall time) that samples stand for, in nanoseconds.
    sampled_nanos: u64,
    /// CPU time that no sample stands for, in nanoseconds: the leaves in square brackets.
    lost_nanos: u64,
    /// CPU time that sampling took, in nanoseconds: the collector's thread, and an estimate for the signal
    /// handlers (without the kernel's part of a signal).
    own_cpu_nanos: u64,
    /// The handlers' part of that.
    handler_nanos: u64,
    /// Attribution follows the kernel's tick: work in step with it is on the wrong function.
    tick_limited: bool,
    /// Whether time in the kernel is sampled, on the stack of the system call. If not, it is part of
    /// `lost_nanos`: perf events of the unprivileged exclude the kernel.
    sees_kernel: bool,
    /// Whether the program was built with frame pointers.
    frame_pointers: Option<bool>,
}

impl Audit {
    /// The share of the CPU time that samples stand for, 0 to 1; `None` without CPU time.
    pub fn accounted_share(&self) -> Option<f64> {
        share(self.sampled_nanos, self.cpu_nanos)
    }

    /// The account of the time since `earlier`, which is an earlier one of the same sampler's.
    pub(crate) fn since(&self, earlier: &Audit) -> Audit {
        let mut since = self.clone();
        for (later, earlier) in [
            (&mut since.expected, earlier.expected),
            (&mut since.delivered, earlier.delivered),
            (&mut since.dropped, earlier.dropped),
            (&mut since.truncated, earlier.truncated),
            (&mut since.rootless, earlier.rootless),
            (&mut since.unknown_stack, earlier.unknown_stack),
            (&mut since.repaired, earlier.repaired),
            (&mut since.over_memory, earlier.over_memory),
            (&mut since.duration_nanos, earlier.duration_nanos),
            (&mut since.cpu_nanos, earlier.cpu_nanos),
            (&mut since.sampled_nanos, earlier.sampled_nanos),
            (&mut since.lost_nanos, earlier.lost_nanos),
            (&mut since.own_cpu_nanos, earlier.own_cpu_nanos),
            (&mut since.handler_nanos, earlier.handler_nanos),
        ] {
            *later = later.saturating_sub(earlier);
        }
        since.delivered_effective = self.effective_since(earlier, since.delivered);
        let sampled = match self.mode {
            Mode::Cpu => since.cpu_nanos,
            Mode::Wall => since.sampled_nanos,
        };
        since.frequency_effective_hz = match sampled {
            0 => 0.0,
            nanos => since.delivered as f64 * 1e9 / nanos as f64,
        };
        since
    }

    /// From the sum of the weights and of their squares, which the effective numbers tell.
    fn effective_since(&self, earlier: &Audit, delivered: u64) -> u64 {
        let sum = |audit: &Audit| audit.sampled_nanos as f64;
        let squares = |audit: &Audit| match audit.delivered_effective {
            0 => 0.0,
            effective => sum(audit).powi(2) / effective as f64,
        };
        let (weights, squares) = (sum(self) - sum(earlier), squares(self) - squares(earlier));
        match weights > 0.0 && squares > 0.0 {
            true => ((weights.powi(2) / squares) as u64).min(delivered),
            false => 0,
        }
    }

    /// The share of stacks that do not reach the start of their thread, 0 to 1; `None` without samples.
    pub fn rootless_share(&self) -> Option<f64> {
        share(self.rootless, self.delivered)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let percent =
            |share: Option<f64>| share.map_or("n/a".into(), |s| format!("{:.1} %", s * 100.0));
        let limited = if self.tick_limited {
            ", tick-limited"
        } else {
            ""
        };
        writeln!(
            f,
            "engine          {} ({}{limited})",
            self.engine, self.mode
        )?;
        writeln!(
            f,
            "frequency       {} Hz asked, {:.1} Hz effective",
            self.frequency_asked_hz, self.frequency_effective_hz
        )?;
        writeln!(
            f,
            "samples         {} of {} expected; {} dropped, {} truncated, {} over the memory limit",
            self.delivered, self.expected, self.dropped, self.truncated, self.over_memory
        )?;
        writeln!(
            f,
            "stacks          {} without root; {} repaired, {} with unknown stack",
            percent(self.rootless_share()),
            self.repaired,
            self.unknown_stack
        )?;
        let sampled_share = match self.mode {
            Mode::Cpu => format!(" ({})", percent(self.accounted_share())),
            Mode::Wall => String::new(),
        };
        writeln!(
            f,
            "time            {:.3} s CPU in {:.3} s; {:.3} s sampled{sampled_share}, {:.3} s lost",
            seconds(self.cpu_nanos),
            seconds(self.duration_nanos),
            seconds(self.sampled_nanos),
            seconds(self.lost_nanos)
        )?;
        writeln!(
            f,
            "threads         {} seen, {} not sampled",
            self.threads_seen, self.threads_overflow
        )?;
        writeln!(f, "own CPU         {:.3} s", seconds(self.own_cpu_nanos))?;
        if let Some(frame_pointers) = self.frame_pointers {
            writeln!(
                f,
                "frame pointers  {}",
                if frame_pointers {
                    "yes"
                } else {
                    "no: unwound by tables"
                }
            )?;
        }
        self.notes
            .iter()
            .try_for_each(|note| writeln!(f, "note            {note}"))
    }
}

/// How a fact is written in a comment.
trait Value: Sized {
    fn print(&self) -> Option<String>;
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! plain_values {
    ($($type:ty),*) => {
        $(impl Value for $type {
            fn print(&self) -> Option<String> {
                Some(self.to_string())
            }

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        })*
    };
}

plain_values!(u32, u64, f64, bool, Engine, Mode);

impl Value for Option<bool> {
    fn print(&self) -> Option<String> {
        self.map(|value| value.to_string())
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Audit {
        Audit {
            engine: Engine::Timer,
            mode: Mode::Wall,
            frequency_asked_hz: 999,
            frequency_effective_hz: 249.5,
            delivered: 10,
            cpu_nanos: 2_000_000_000,
            sampled_nanos: 1_900_000_000,
            tick_limited: true,
            frame_pointers: Some(false),
            notes: vec!["a=b".into(), "two\nlines".into()],
            ..Audit::default()
        }
    }

    #[test]
    fn of_two_accounts_the_difference_is_told() {
        // 100 samples of 1 ms, then 50 of 2 ms.
        let account = |delivered, sampled_nanos, delivered_effective| Audit {
            delivered,
            sampled_nanos,
            cpu_nanos: sampled_nanos,
            delivered_effective,
            threads_seen: 3,
            ..Audit::default()
        };
        let earlier = account(100, 100_000_000, 100);
        let later = account(150, 200_000_000, 133);
        let since = later.since(&earlier);
        assert_eq!((since.delivered, since.sampled_nanos), (50, 100_000_000));
        assert_eq!(since.threads_seen, 3);
        assert_eq!(since.frequency_effective_hz, 500.0);
        assert!((49..=50).contains(&since.delivered_effective), "{since:?}");
    }

    #[test]
    fn comments_go_both_ways() {
        let mut audit = sample();
        let comments = audit.to_comments();
        assert!(comments.contains(&"perfwright audit: frequency_effective_hz=249.5".to_string()));
        audit.notes[1] = "two lines".into();
        assert_eq!(
            Audit::from_comments(comments.iter().map(String::as_str)),
            Some(audit)
        );
    }

    #[test]
    fn foreign_and_broken_comments_are_skipped() {
        assert_eq!(Audit::from_comments(["built by hand"]), None);
        let lines = [
            "perfwright audit: delivered=many",
            "perfwright audit: newer=1",
            "perfwright audit: x",
        ];
        assert_eq!(Audit::from_comments(lines), Some(Audit::default()));
    }

    #[test]
    fn shares_are_none_without_a_whole() {
        assert_eq!(Audit::default().accounted_share(), None);
        assert_eq!(sample().accounted_share(), Some(0.95));
        assert_eq!(sample().rootless_share(), Some(0.0));
    }

    #[test]
    fn the_table_names_what_matters() {
        let table = sample().to_string();
        assert!(table.contains("timer (wall, tick-limited)"), "{table}");
        assert!(table.contains("249.5 Hz effective"), "{table}");
    }
}

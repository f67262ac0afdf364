//! What the sampler says about its own work.

use std::fmt;

/// Every comment line of an audit starts with this; `key=value` follows.
const PREFIX: &str = "perfwright heap audit: ";

macro_rules! audit {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// A heap profiler's account: what it sampled, what it lost, what it cost.
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
                let facts = [$((stringify!($field), self.$field.to_string())),*];
                let notes = self.notes.iter().map(|note| ("note", note.replace('\n', " ")));
                let facts = facts.into_iter().chain(notes);
                facts.map(|(key, value)| format!("{PREFIX}{key}={value}")).collect()
            }

            /// The audit in a profile's comments; `None` if there is none. Unknown and broken lines are
            /// skipped: they are a newer version's.
            pub fn from_comments<'a>(comments: impl IntoIterator<Item = &'a str>) -> Option<Audit> {
                let mut audit = None;
                for line in comments.into_iter().filter_map(|line| line.strip_prefix(PREFIX)) {
                    let Some((key, value)) = line.split_once('=') else { continue };
                    let audit: &mut Audit = audit.get_or_insert_default();
                    match key {
                        $(stringify!($field) => audit.$field = value.parse().unwrap_or_default(),)*
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
    /// The mean distance between samples now, in bytes.
    rate_bytes: u64,
    /// The smallest there was. Samples keep the rate they were taken at.
    rate_bytes_min: u64,
    /// The largest there was.
    rate_bytes_max: u64,
    /// Whether sampling is paused.
    paused: bool,
    /// When the sampler was started, in nanoseconds since 1970.
    started_nanos: u64,
    /// How long ago that was, in nanoseconds.
    duration_nanos: u64,
    /// Allocations that were sampled.
    samples: u64,
    /// Sampled blocks that were not freed yet.
    live_samples: u64,
    /// Distinct stacks and contexts.
    sites: u64,
    /// Samples that found no room in the table of live blocks: missing in the in-use values.
    untracked: u64,
    /// Samples whose stack found no room: together in `[perfwright: memory limit]`.
    over_memory: u64,
    /// Stacks cut at the depth limit.
    truncated: u64,
    /// Stacks that do not reach the start of their thread (truncated ones among them).
    rootless: u64,
    /// Samples without a stack.
    unknown_stack: u64,
    /// Frees that were looked up for nothing, because the filter said that the block may be sampled.
    false_hits: u64,
    /// Memory of the profiler's tables that was touched, in bytes.
    memory_bytes: u64,
    /// What they may take, in bytes.
    memory_bytes_max: u64,
    /// CPU time of the profiler's own thread, in nanoseconds.
    own_cpu_nanos: u64,
}

impl Audit {
    /// The share of stacks that do not reach the start of their thread, 0 to 1; `None` without samples.
    #[must_use]
    pub fn rootless_share(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.rootless as f64 / self.samples as f64)
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let kib = |bytes: u64| match bytes {
            0..1024 => format!("{bytes} B"),
            _ => format!("{:.0} KiB", bytes as f64 / 1024.0),
        };
        let paused = if self.paused { ", paused" } else { "" };
        write!(f, "rate            one sample in {}", kib(self.rate_bytes))?;
        if self.rate_bytes_min != self.rate_bytes_max {
            write!(
                f,
                " (it was {} to {})",
                kib(self.rate_bytes_min),
                kib(self.rate_bytes_max)
            )?;
        }
        writeln!(f, "{paused}")?;
        writeln!(
            f,
            "samples         {} in {:.3} s, {} of them live, at {} sites",
            self.samples,
            seconds(self.duration_nanos),
            self.live_samples,
            self.sites
        )?;
        let rootless = self
            .rootless_share()
            .map_or("n/a".into(), |share| format!("{:.1} %", share * 100.0));
        writeln!(
            f,
            "stacks          {rootless} without root; {} truncated, {} unknown",
            self.truncated, self.unknown_stack
        )?;
        writeln!(
            f,
            "lost            {} not tracked, {} over the memory limit",
            self.untracked, self.over_memory
        )?;
        writeln!(
            f,
            "memory          {} of {}; {} frees looked up for nothing",
            kib(self.memory_bytes),
            kib(self.memory_bytes_max),
            self.false_hits
        )?;
        writeln!(f, "own CPU         {:.3} s", seconds(self.own_cpu_nanos))?;
        self.notes
            .iter()
            .try_for_each(|note| writeln!(f, "note            {note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Audit {
        Audit {
            rate_bytes: 524_288,
            rate_bytes_min: 1024,
            rate_bytes_max: 524_288,
            samples: 10,
            rootless: 1,
            paused: true,
            notes: vec!["a=b".into(), "two\nlines".into()],
            ..Audit::default()
        }
    }

    #[test]
    fn comments_go_both_ways() {
        let mut audit = sample();
        let comments = audit.to_comments();
        assert!(comments.contains(&"perfwright heap audit: rate_bytes_min=1024".to_string()));
        audit.notes[1] = "two lines".into();
        assert_eq!(
            Audit::from_comments(comments.iter().map(String::as_str)),
            Some(audit)
        );
    }

    #[test]
    fn foreign_and_broken_comments_are_skipped() {
        assert_eq!(Audit::from_comments(["built by hand"]), None);
        assert_eq!(
            Audit::from_comments(["perfwright audit: delivered=1"]),
            None
        );
        let lines = [
            "perfwright heap audit: samples=many",
            "perfwright heap audit: newer=1",
            "perfwright heap audit: x",
        ];
        assert_eq!(Audit::from_comments(lines), Some(Audit::default()));
    }

    #[test]
    fn the_table_names_what_matters() {
        let table = sample().to_string();
        assert!(
            table.contains("one sample in 512 KiB (it was 1 KiB to 512 KiB), paused"),
            "{table}"
        );
        assert!(table.contains("10.0 % without root"), "{table}");
    }
}

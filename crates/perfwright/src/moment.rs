//! One point of the memory timeline as a line among a profile's comments.

use perfwright_heap::Point;

const PREFIX: &str = "perfwright memory: ";

macro_rules! moment {
    ($($(#[$doc:meta])* $field:ident = $key:literal),* $(,)?) => {
        /// Memory at one moment; what is not known is `None`. Bytes, unless it says otherwise.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Moment {
            /// Since the capture began, in milliseconds.
            pub millis: u64,
            $($(#[$doc])* pub $field: Option<u64>,)*
        }

        impl Moment {
            /// The line.
            pub fn to_comment(&self) -> String {
                let mut line = format!("{PREFIX}ms={}", self.millis);
                $(if let Some(value) = self.$field {
                    line.push_str(&format!(concat!(" ", $key, "={}"), value));
                })*
                line
            }

            /// Reads a line; `None` if it is another comment.
            pub fn from_comment(line: &str) -> Option<Moment> {
                let mut moment = Moment::default();
                for pair in line.strip_prefix(PREFIX)?.split(' ') {
                    let (key, value) = pair.split_once('=')?;
                    let value = value.parse().ok()?;
                    match key {
                        "ms" => moment.millis = value,
                        $($key => moment.$field = Some(value),)*
                        // A newer version's.
                        _ => {}
                    }
                }
                Some(moment)
            }
        }
    };
}

moment! {
    /// Resident set size.
    resident = "rss",
    /// The most of it since the moment before.
    resident_high = "rss_high",
    /// The process's greatest resident set size ever.
    resident_peak = "rss_peak",
    /// Address space.
    virtual_size = "virtual",
    /// Allocated and not freed, exactly.
    live = "live",
    /// The most of it seen since the moment before.
    live_high = "live_high",
    /// Allocated since the process began, exactly.
    allocated = "allocated",
    /// How many allocations that were.
    allocations = "allocations",
    /// Freed since the process began, exactly.
    freed = "freed",
    /// How many frees that were.
    frees = "frees",
    /// What the process's control group uses, without what the kernel can take back.
    cgroup = "cgroup",
    /// What it may use.
    cgroup_limit = "cgroup_limit",
}

impl From<&Point> for Moment {
    fn from(point: &Point) -> Moment {
        let (process, totals) = (point.last.process, point.last.totals);
        Moment {
            millis: u64::try_from(point.to.as_millis()).unwrap_or(u64::MAX),
            resident: process.resident_bytes,
            resident_high: point.high.process.resident_bytes,
            resident_peak: process.peak_resident_bytes,
            virtual_size: process.virtual_bytes,
            live: point.last.live_bytes(),
            live_high: point.live_bytes_high,
            allocated: totals.map(|totals| totals.allocated_bytes),
            allocations: totals.map(|totals| totals.allocations),
            freed: totals.map(|totals| totals.freed_bytes),
            frees: totals.map(|totals| totals.frees),
            cgroup: process.cgroup_working_set_bytes(),
            cgroup_limit: process.cgroup_limit_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_they_were_written() {
        let moment = Moment {
            millis: 1_500,
            resident: Some(1 << 30),
            live: Some(7),
            ..Moment::default()
        };
        assert_eq!(
            moment.to_comment(),
            "perfwright memory: ms=1500 rss=1073741824 live=7"
        );
        assert_eq!(Moment::from_comment(&moment.to_comment()), Some(moment));
        let newer = "perfwright memory: ms=1 swap=5";
        assert_eq!(Moment::from_comment(newer).unwrap().millis, 1);
        for other in [
            "built by hand",
            "perfwright memory: ms",
            "perfwright memory: ms=x",
        ] {
            assert_eq!(Moment::from_comment(other), None, "{other}");
        }
    }
}

//! What some bytes are, by their content.

use std::fmt;

use crate::{Error, ErrorKind, Place, folded, gunzip, perf, utf16, wire::Fields};

/// The formats that are read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Format {
    /// pprof's `profile.proto`.
    Pprof,
    /// Folded stacks, also called collapsed: `main;parse 12`.
    Folded,
    /// speedscope's own JSON.
    Speedscope,
    /// The Firefox Profiler's JSON, processed or as Gecko gives it.
    Firefox,
    /// The output of Linux's `perf script`.
    PerfScript,
    /// V8's CPU profile, as Chrome and Node write it.
    CpuProfile,
    /// V8's sampled heap profile.
    HeapProfile,
    /// Chrome's trace events.
    ChromeTrace,
    /// DHAT's JSON.
    Dhat,
    /// Callgrind's text.
    Callgrind,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 10] = [
        Self::Pprof,
        Self::Folded,
        Self::Speedscope,
        Self::Firefox,
        Self::PerfScript,
        Self::CpuProfile,
        Self::HeapProfile,
        Self::ChromeTrace,
        Self::Dhat,
        Self::Callgrind,
    ];

    /// The format's name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pprof => "pprof",
            Self::Folded => "folded",
            Self::Speedscope => "speedscope",
            Self::Firefox => "firefox",
            Self::PerfScript => "perf script",
            Self::CpuProfile => "cpuprofile",
            Self::HeapProfile => "heapprofile",
            Self::ChromeTrace => "chrome trace",
            Self::Dhat => "dhat",
            Self::Callgrind => "callgrind",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Tells the format from the first bytes of a file, compressed or not; 64 KiB are plenty. `None` for what
/// [`read`](crate::read) does not read.
pub fn detect(bytes: &[u8]) -> Option<Format> {
    if gunzip::is_gzip(bytes) {
        return identify(&gunzip::gunzip_start(bytes, PREFIX)).ok();
    }
    #[cfg(feature = "zstd")]
    if crate::unzstd::is_zstd(bytes) {
        return identify(&crate::unzstd::unzstd_start(bytes, PREFIX)).ok();
    }
    identify(&utf16::to_utf8(bytes[..bytes.len().min(PREFIX)].into())).ok()
}

/// How many bytes tell the format.
pub(crate) const PREFIX: usize = 64 << 10;

/// The format of bytes that are not compressed, or an error that names what they look like.
pub(crate) fn identify(bytes: &[u8]) -> Result<Format, Error> {
    let prefix = &bytes[..bytes.len().min(PREFIX)];
    if prefix.is_empty() {
        let message = "the input is empty: nothing was recorded, or the copy failed";
        return Err(Error::new(
            ErrorKind::Empty,
            "profile",
            Place::Whole,
            message,
        ));
    }
    match known_magic(prefix) {
        Some(found) => Err(unsupported(found)),
        None if is_text(prefix) => identify_text(prefix),
        None if is_pprof(prefix) => Ok(Format::Pprof),
        None => Err(unknown("binary data of no known format")),
    }
}

fn identify_text(prefix: &[u8]) -> Result<Format, Error> {
    let text = String::from_utf8_lossy(prefix);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if let Some(found) = starts_with_one_of(text, CERTAIN_STARTS) {
        return Err(unsupported(found));
    }
    if let Some(found) = json_kind(text) {
        return found.map_err(unsupported);
    }
    if text
        .lines()
        .next()
        .is_some_and(|line| line.contains(GHC_HEADER))
    {
        return Err(unsupported(GHC));
    }
    if text.starts_with(PERF_HEADER) {
        return Ok(Format::PerfScript);
    }
    if is_callgrind(text) {
        return Ok(Format::Callgrind);
    }
    // The starts below could be those of a frame's name.
    if folded::looks_folded(text) {
        return Ok(Format::Folded);
    }
    let found = starts_with_one_of(text, LIKELY_STARTS);
    match found {
        None if perf::looks_like(text) => Ok(Format::PerfScript),
        Some(found) => Err(unsupported(found)),
        None if text.is_empty() => Err(unknown("nothing but blank space")),
        None if text.starts_with(['{', '[']) => Err(unknown("JSON of no known format")),
        None => Err(unknown("text whose lines do not end in a count")),
    }
}

fn starts_with_one_of(text: &str, starts: &[(&str, &'static str)]) -> Option<&'static str> {
    let found = starts.iter().find(|(start, _)| text.starts_with(start));
    found.map(|(_, found)| match *found {
        XML if text.contains("<svg") => SVG,
        found => found,
    })
}

/// How `perf script --header` begins.
const PERF_HEADER: &str = "# ========\n# captured on";

/// How the first line of a report by GHC's runtime ends.
const GHC_HEADER: &str = "Time and Allocation Profiling Report";
const GHC: &str = "a report of GHC's profiler (collapse it: `inferno-collapse-ghcprof FILE`)";

const GPERFTOOLS_CPU: &str =
    "a CPU profile in gperftools' binary format (convert it: `pprof -proto BINARY FILE`)";
const GPERFTOOLS_HEAP: &str =
    "a heap profile in gperftools' text format (convert it: `pprof -proto BINARY FILE`)";
const GPERFTOOLS_CONTENTION: &str =
    "a contention profile in gperftools' text format (convert it: `pprof -proto BINARY FILE`)";
const GPERFTOOLS_THREADS: &str =
    "a thread profile in gperftools' text format (convert it: `pprof -proto BINARY FILE`)";
const GO_TEXT: &str = "a Go profile as text (fetch it without `debug=1`)";

/// Binary files that people take for profiles, by how they begin.
const MAGIC: &[(&[u8], &str)] = &[
    (b"\x7fELF", "an ELF program or library"),
    (b"\xfe\xed\xfa\xce", "a Mach-O program or library"),
    (b"\xfe\xed\xfa\xcf", "a Mach-O program or library"),
    (b"\xce\xfa\xed\xfe", "a Mach-O program or library"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program or library"),
    (
        b"\xca\xfe\xba\xbe",
        "a Mach-O universal binary or a Java class",
    ),
    (b"MZ\x90\0", "a Windows program"),
    (b"\x89PNG", "a PNG image"),
    (
        b"PERFILE2",
        "a perf.data file (convert it: `perf script | inferno-collapse-perf`)",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "zstd-compressed data (unpack it: `zstd -d FILE`)",
    ),
    (
        b"\xfd7zXZ\0",
        "xz-compressed data (unpack it: `xz -d FILE`)",
    ),
    (b"BZh", "bzip2-compressed data (unpack it: `bzip2 -d FILE`)"),
    (b"PK\x03\x04", "a zip archive (unpack it: `unzip FILE`)"),
    (
        b"\x1f\x8b",
        "gzip inside gzip (unpack it once: `gzip -d FILE`)",
    ),
    (b"FLR\0", "a Java Flight Recorder file"),
    (b"JAVA PROFILE", "a Java heap dump"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"!<arch>\n", "a static library"),
    (b"\0asm", "a WebAssembly module"),
];

const MACOS_SAMPLE: &str =
    "the output of macOS `sample` (collapse it: `inferno-collapse-sample FILE`)";
const SVG: &str =
    "an SVG image (a flamegraph cannot be read back: use the profile that it was made of)";
const XML: &str = "XML";
const HTML: &str = "an HTML page";

/// Texts that people take for profiles, by how they begin. No stack begins like this.
const CERTAIN_STARTS: &[(&str, &str)] = &[
    ("heap profile:", GPERFTOOLS_HEAP),
    ("--- heapz ", GPERFTOOLS_HEAP),
    ("--- heap ", GPERFTOOLS_HEAP),
    (
        "heap_v2/",
        "a jemalloc heap profile (convert it: `jeprof --collapsed BINARY FILE`)",
    ),
    ("--- contention", GPERFTOOLS_CONTENTION),
    ("--- mutex:", GO_TEXT),
    ("--- threadz ", GPERFTOOLS_THREADS),
    ("--- profile", GPERFTOOLS_CPU),
    ("--- symbol", "a symbol table of gperftools"),
    (
        "PeriodType: ",
        "a pprof profile as text (give the profile itself)",
    ),
    (
        "{\"snapshot\":{",
        "a V8 heap snapshot (record \"allocation sampling\": a .heapprofile)",
    ),
    ("goroutine profile: total ", GO_TEXT),
    ("threadcreate profile: total ", GO_TEXT),
    ("<svg ", SVG),
    ("<?xml ", XML),
    ("<!DOCTYPE ", HTML),
    ("<!doctype ", HTML),
    ("<html", HTML),
    ("Analysis of sampling ", MACOS_SAMPLE),
];

/// As above, but only where the lines do not end in counts.
const LIKELY_STARTS: &[(&str, &str)] = &[
    ("desc: ", "a massif profile"),
    ("goroutine ", "a Go stack dump"),
    ("Sampling process ", MACOS_SAMPLE),
];

fn known_magic(prefix: &[u8]) -> Option<&'static str> {
    MAGIC
        .iter()
        .find(|(magic, _)| prefix.starts_with(magic))
        .map(|(_, found)| *found)
        .or_else(|| is_gperftools_cpu(prefix).then_some(GPERFTOOLS_CPU))
}

/// gperftools' CPU profile begins with the words 0, 3 and 0 or 1, of 4 or 8 bytes and in either order of bytes.
fn is_gperftools_cpu(prefix: &[u8]) -> bool {
    let words = |size: usize, big_endian: bool| {
        prefix.chunks_exact(size).take(3).map(move |word| {
            let digits = word.iter().map(|&byte| u64::from(byte));
            if big_endian {
                digits.fold(0, |value, digit| value << 8 | digit)
            } else {
                digits.rev().fold(0, |value, digit| value << 8 | digit)
            }
        })
    };
    [(4, false), (4, true), (8, false), (8, true)]
        .into_iter()
        .any(|(size, big_endian)| {
            let start = words(size, big_endian);
            start.clone().count() == 3 && (start.clone().eq([0, 3, 0]) || start.eq([0, 3, 1]))
        })
}

/// No control characters but those that text has. Every pprof file has some near its start: its first
/// message is at most a few bytes long, and its fields' tags are 8 and 16.
fn is_text(prefix: &[u8]) -> bool {
    let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    !prefix.iter().any(control)
}

/// The fields at the top level are those of `profile.proto`, with its wire types, as far as the prefix goes.
fn is_pprof(prefix: &[u8]) -> bool {
    let mut fields = Fields::new(prefix, 0);
    let mut known = 0;
    loop {
        let field = match fields.next() {
            Ok(Some(field)) => field,
            // The last message may reach beyond the prefix; a file cut short is told by the reader.
            Ok(None) => return known > 0,
            Err(error) => {
                return error.kind() == ErrorKind::Truncated
                    && (known > 0 || starts_with_pprof_tag(prefix));
            }
        };
        let fits = match field.number {
            1..=6 | 11 => field.bytes().is_ok(),
            7..=10 | 12 | 14 | 15 => field.varint().is_ok(),
            13 => field.bytes().is_ok() || field.varint().is_ok(),
            _ => continue,
        };
        if !fits {
            return false;
        }
        known += 1;
    }
}

/// For a file that is cut within its first message.
fn starts_with_pprof_tag(prefix: &[u8]) -> bool {
    matches!(prefix[0], 0x0a | 0x12 | 0x1a | 0x22 | 0x2a | 0x32)
}

/// Which profiler wrote a JSON file, where one of its keys says so.
/// Says so in the first line, as most do, or has the two lines that callgrind needs.
fn is_callgrind(text: &str) -> bool {
    let begins = |key: &str| text.lines().any(|line| line.starts_with(key));
    text.starts_with("# callgrind format") || begins("events:") && begins("fn=")
}

/// The format of a JSON text, or what it is.
fn json_kind(text: &str) -> Option<Result<Format, &'static str>> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    // A key anywhere near the start names the format, whatever the order of keys is. Of those that stand at the top
    // of their files the first counts, for names of functions can hold any text.
    let first = HEADS
        .iter()
        .filter_map(|(key, kind)| Some((text.find(key)?, *kind)));
    let first = first.min_by_key(|(at, _)| *at).map(|(_, kind)| kind);
    let inner = || {
        INNER
            .iter()
            .find(|(key, _)| text.contains(key))
            .map(|(_, kind)| *kind)
    };
    first.or_else(inner)
}

/// Keys at the top of their files.
const HEADS: &[(&str, Result<Format, &str>)] = &[
    ("speedscope.app/file-format-schema", Ok(Format::Speedscope)),
    ("\"traceEvents\"", Ok(Format::ChromeTrace)),
    ("\"dhatFileVersion\"", Ok(Format::Dhat)),
    ("\"preprocessedProfileVersion\"", Ok(Format::Firefox)),
    ("\"gcpoison\"", Ok(Format::Firefox)),
    ("\"resourceProfiles\"", Err("an OTLP profile as JSON")),
    (
        "\"profileJSON\"",
        Err("a profile of Firefox before 2015 (open it at profiler.firefox.com and save it again)"),
    ),
];

/// Keys further inside, the surer ones first.
const INNER: &[(&str, Result<Format, &str>)] = &[
    ("\"stackTable\"", Ok(Format::Firefox)),
    ("\"breakpadId\"", Ok(Format::Firefox)),
    ("\"stackwalk\"", Ok(Format::Firefox)),
    ("\"ph\"", Ok(Format::ChromeTrace)),
    ("\"selfSize\"", Ok(Format::HeapProfile)),
    ("\"callFrame\"", Ok(Format::CpuProfile)),
    ("\"hitCount\"", Ok(Format::CpuProfile)),
];

fn unsupported(found: &str) -> Error {
    let message = format!("this is {found}; the formats read are {}", format_list());
    Error::new(ErrorKind::Unsupported, "profile", Place::Whole, message)
}

fn unknown(found: &str) -> Error {
    let message = format!("this is {found}; the formats read are {}", format_list());
    Error::new(ErrorKind::Unknown, "profile", Place::Whole, message)
}

fn format_list() -> String {
    let names: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    format!("{} and {last}, gzipped or not", others.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(bytes: &[u8]) -> String {
        identify(bytes).unwrap_err().to_string()
    }

    #[test]
    fn other_files_are_named() {
        let cases: &[(&[u8], &str)] = &[
            (b"\x7fELF\x02\x01\x01\0\0\0", "an ELF program"),
            (b"\x89PNG\r\n\x1a\n", "a PNG image"),
            (b"PERFILE2\x68\0\0\0\0\0\0\0", "a perf.data file"),
            (
                b"heap profile: 144: 8498176 [ 144: 8498176] @ heapz_v2\n",
                "gperftools' text",
            ),
            (
                b"--- contentionz 1 ---\ncycles/second = 3201000000\n",
                "a contention profile",
            ),
            (
                b"--- threadz 1 ---\n\n--- Thread 7f (name: main/14748)\n",
                "a thread profile",
            ),
            (
                b"\0\0\0\0\x03\0\0\0\0\0\0\0\x10\x27\0\0\0\0\0\0",
                "gperftools' binary",
            ),
            (
                b"\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\x27\x10",
                "gperftools' binary",
            ),
            (b"{\"a\": 1}", "this is JSON of no"),
            (b"<?xml version=\"1.0\"?><svg/>", "flamegraph"),
            (b"goroutine 1 [running]:\nmain.main()\n", "a Go stack dump"),
            (b"just some prose\nand more\n", "do not end in a count"),
            (
                b"\tMon Jan 2 10:00 2023 Time and Allocation Profiling Report  (Final)\n",
                "GHC's profiler",
            ),
            (
                b"PeriodType: cpu nanoseconds\nPeriod: 1\n",
                "pprof profile as text",
            ),
            (b"{\"snapshot\":{\"meta\":{}}}", "a V8 heap snapshot"),
            (b"{\"profileJSON\":[]}", "Firefox before 2015"),
            (b" \n\n", "blank space"),
            (b"", "empty"),
            (b"\x07\x07\x07\x07\x07\x07", "no known format"),
        ];
        for (bytes, expected) in cases {
            let text = says(bytes);
            assert!(text.contains(expected), "{text} lacks {expected}");
        }
    }

    #[test]
    fn the_formats_are_told_apart() {
        assert_eq!(
            detect(b"\x0a\x04\x08\x01\x10\x02\x32\x00"),
            Some(Format::Pprof)
        );
        assert_eq!(detect(b"\x32\x00\x32\x01a"), Some(Format::Pprof));
        assert_eq!(detect(b"main;a b 12\n"), Some(Format::Folded));
        assert_eq!(detect(b"\n# by a tool\nmain 1.5\r\n"), Some(Format::Folded));
        assert_eq!(detect(b"[unknown];read 7\n"), Some(Format::Folded));
        assert_eq!(detect(b"goroutine 1;main.main 7\n"), Some(Format::Folded));
        let speedscope = b"{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\"}";
        assert_eq!(detect(speedscope), Some(Format::Speedscope));
        let perf = b"shop 12 1.5: cycles:\n\t55d0012ab main+0x1 (/bin/shop)\n";
        assert_eq!(detect(perf), Some(Format::PerfScript));
        // A function may have any name.
        let named = b"{\"dhatFileVersion\":2,\"ftbl\":[\"https://www.speedscope.app/file-format-schema.json\"]}";
        assert_eq!(detect(named), Some(Format::Dhat));
        assert_eq!(
            detect(b"[{\"args\":{\"callFrame\":{}},\"ph\":\"P\"}]"),
            Some(Format::ChromeTrace)
        );
        assert_eq!(
            detect(b"{\"head\":{\"callFrame\":{},\"selfSize\":0}}"),
            Some(Format::HeapProfile)
        );
        assert_eq!(
            detect(b"{\"nodes\":[{\"callFrame\":{}}]}"),
            Some(Format::CpuProfile)
        );
        assert_eq!(
            detect(b"events: Ir\nfn=main\n1 2\n"),
            Some(Format::Callgrind)
        );
        assert_eq!(detect(b"{\"a\": 1}"), None);
    }

    #[test]
    fn a_json_error_says_what_can_be_read() {
        assert_eq!(
            says(b"{\"resourceProfiles\": []}"),
            "read profile: this is an OTLP profile as JSON; the formats read are pprof, folded, speedscope, firefox, perf script, cpuprofile, heapprofile, chrome trace, dhat and callgrind, gzipped or not"
        );
    }
}

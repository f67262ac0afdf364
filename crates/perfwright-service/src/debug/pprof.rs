//! `/debug/pprof/`, as Go's `net/http/pprof` serves it.

use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use perfwright_model::{Mapping, Profile, SampleType};

use super::capture::{self, blocking, encode};
use super::reply::Reply;
use super::{Query, Shared, text, threads};
use crate::source::{CaptureError, CpuRequest, Source};

/// How long a CPU profile is unless told otherwise.
const DEFAULT_SECONDS: u64 = 30;

/// Addresses that one request may ask to be named.
const MAX_SYMBOLS: usize = 4_096;

const TOO_LONG: &str = "profile duration exceeds server's WriteTimeout";

/// Snapshots by name. `trace` is not among them: there is no such thing to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Snapshot {
    Allocs,
    Block,
    Goroutine,
    Heap,
    Mutex,
    ThreadCreate,
}

impl Snapshot {
    const ALL: [Snapshot; 6] = [
        Snapshot::Allocs,
        Snapshot::Block,
        Snapshot::Goroutine,
        Snapshot::Heap,
        Snapshot::Mutex,
        Snapshot::ThreadCreate,
    ];

    fn name(self) -> &'static str {
        match self {
            Snapshot::Allocs => "allocs",
            Snapshot::Block => "block",
            Snapshot::Goroutine => "goroutine",
            Snapshot::Heap => "heap",
            Snapshot::Mutex => "mutex",
            Snapshot::ThreadCreate => "threadcreate",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Snapshot::Allocs => "A sampling of all past memory allocations",
            Snapshot::Block => "Not measured: always empty",
            Snapshot::Goroutine => "All threads of the process, by name and what they wait in",
            Snapshot::Heap => "A sampling of memory allocations of live objects",
            Snapshot::Mutex => "Not measured: always empty",
            Snapshot::ThreadCreate => "How many threads the process has",
        }
    }

    /// Its profile now; `None` if there is none. May block.
    pub(super) fn take(self, source: &dyn Source) -> Option<Profile> {
        let profile = match self {
            Snapshot::Heap => source.heap()?.profile,
            Snapshot::Allocs => {
                let mut profile = source.heap()?.profile;
                profile.meta.default_sample_type = profile.find_sample_type("alloc_space");
                profile
            }
            Snapshot::Goroutine => threads::profile(&threads::read()),
            Snapshot::ThreadCreate => threads::count_profile(threads::read().len()),
            Snapshot::Block | Snapshot::Mutex => not_measured(),
        };
        Some(profile)
    }

    fn text(self, profile: &mut Profile, debug: i64) -> String {
        match self {
            Snapshot::Heap | Snapshot::Allocs => {
                capture::resolve(profile);
                text::heap(profile)
            }
            Snapshot::Goroutine => threads::text(&threads::read(), debug),
            Snapshot::ThreadCreate => {
                let count = profile.total(0);
                format!("threadcreate profile: total {count}\n{count} @\n\n")
            }
            Snapshot::Block => "--- contention:\ncycles/second=1000000000\n".into(),
            Snapshot::Mutex => "--- mutex:\ncycles/second=1000000000\nsampling period=0\n".into(),
        }
    }
}

fn not_measured() -> Profile {
    let types = [("contentions", "count"), ("delay", "nanoseconds")];
    let mut profile = Profile::new(types.map(|(kind, unit)| SampleType::new(kind, unit)));
    profile.meta.default_sample_type = Some(1);
    profile
        .meta
        .comments
        .push("perfwright: contention is not measured".into());
    profile
}

/// Answers `/debug/pprof/NAME`.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    name: &str,
    query: &Query<'_>,
    body: Option<Vec<u8>>,
) -> Reply {
    match name {
        "" => index(shared).await,
        "profile" => profile(shared, query).await,
        "cmdline" => Reply::text(command_line()),
        "symbol" => symbol(shared, body.unwrap_or_else(|| query.raw.into())).await,
        _ => match Snapshot::ALL
            .into_iter()
            .find(|snapshot| snapshot.name() == name)
        {
            Some(found) => snapshot(shared, found, query).await,
            None => Reply::go_error(StatusCode::NOT_FOUND, "Unknown profile"),
        },
    }
}

async fn profile(shared: &Arc<Shared>, query: &Query<'_>) -> Reply {
    let asked = query.number("seconds").filter(|&seconds| seconds > 0);
    let seconds = asked.map_or(DEFAULT_SECONDS, i64::unsigned_abs);
    // Go takes `1e9` for no number, thus for 30; nobody who writes it means that.
    let is_huge = |text: &str| {
        text.parse::<f64>()
            .is_ok_and(|s| s.is_finite() && s > shared.max_seconds as f64)
    };
    if seconds > shared.max_seconds && asked.is_some() || is_huge(query.get("seconds")) {
        return Reply::go_error(StatusCode::BAD_REQUEST, TOO_LONG);
    }
    let length = Duration::from_secs(seconds.min(shared.max_seconds));
    let refused = |error: CaptureError| {
        let why = match error {
            CaptureError::Busy => "cpu profiling already in use".into(),
            CaptureError::Unavailable(why) => why,
        };
        let why = format!("Could not enable CPU profiling: {why}");
        Reply::go_error(StatusCode::INTERNAL_SERVER_ERROR, why)
    };
    let capture = match capture::cpu(shared, CpuRequest::new(), length).await {
        Ok(capture) => capture,
        Err(error) => return refused(error),
    };
    let _room = shared.captures.work().await;
    match blocking(move || encode(capture.profile)).await {
        Ok(bytes) => Reply::file("profile", bytes),
        Err(error) => refused(error),
    }
}

async fn snapshot(shared: &Arc<Shared>, which: Snapshot, query: &Query<'_>) -> Reply {
    let debug = query.number("debug").unwrap_or(0);
    match query.get("seconds") {
        "" => {
            let Some(_room) = shared.captures.try_work() else {
                return Reply::too_busy();
            };
            let source = Arc::clone(&shared.source);
            let made = blocking(move || {
                let mut profile = which.take(&*source)?;
                Some(match debug {
                    0 => Reply::file(which.name(), encode(profile)),
                    _ => Reply::text(which.text(&mut profile, debug)),
                })
            });
            made_or_not(which, made.await)
        }
        text => match delta_seconds(shared, text, debug) {
            Ok(seconds) => delta(shared, which, Duration::from_secs(seconds)).await,
            Err(why) => Reply::go_error(StatusCode::BAD_REQUEST, why),
        },
    }
}

/// What changes in a time.
async fn delta(shared: &Arc<Shared>, which: Snapshot, length: Duration) -> Reply {
    let Some(_kept) = shared.captures.try_delta() else {
        return Reply::too_busy();
    };
    let source = Arc::clone(&shared.source);
    let first = match blocking(move || which.take(&*source)).await {
        Ok(Some(first)) => first,
        other => return made_or_not(which, other.map(|_| None)),
    };
    tokio::time::sleep(length).await;
    let _room = shared.captures.work().await;
    let source = Arc::clone(&shared.source);
    let made = blocking(move || {
        let changed = between(&first, &which.take(&*source)?)?;
        Some(Reply::file(
            &format!("{}-delta", which.name()),
            encode(changed),
        ))
    });
    made_or_not(which, made.await)
}

fn made_or_not(which: Snapshot, made: Result<Option<Reply>, CaptureError>) -> Reply {
    match made {
        Ok(Some(reply)) => reply,
        Ok(None) => unavailable(which),
        Err(error) => Reply::go_error(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

/// What changed from one snapshot to a later one: it spans the time between them. `None` if they are of different
/// things.
fn between(first: &Profile, second: &Profile) -> Option<Profile> {
    let mut delta = second.since(first).ok()?;
    let end = |profile: &Profile| {
        let meta = &profile.meta;
        Some(meta.time_nanos? + meta.duration_nanos.unwrap_or(0))
    };
    let (begin, end) = (end(first), end(second));
    delta.meta.time_nanos = begin;
    delta.meta.duration_nanos = begin.zip(end).map(|(begin, end)| end - begin);
    Some(delta)
}

fn delta_seconds(shared: &Shared, text: &str, debug: i64) -> Result<u64, &'static str> {
    let seconds: i64 = text.parse().unwrap_or(0);
    if seconds <= 0 {
        return Err("invalid value for \"seconds\" - must be a positive integer");
    }
    let seconds = seconds.unsigned_abs();
    if seconds > shared.max_seconds {
        return Err(TOO_LONG);
    }
    match debug {
        0 => Ok(seconds),
        _ => Err("seconds and debug params are incompatible"),
    }
}

fn unavailable(which: Snapshot) -> Reply {
    let why = format!(
        "Unknown profile: {} needs perfwright_heap::SampledAlloc as the global allocator, and a heap sampler that runs",
        which.name()
    );
    Reply::go_error(StatusCode::NOT_FOUND, why)
}

fn command_line() -> Vec<u8> {
    let arguments: Vec<_> = std::env::args_os().collect();
    let bytes: Vec<_> = arguments
        .iter()
        .map(|argument| argument.as_encoded_bytes())
        .collect();
    bytes.join(&0)
}

async fn index(shared: &Arc<Shared>) -> Reply {
    let source = Arc::clone(&shared.source);
    let counted = blocking(move || {
        let threads = threads::read().len();
        let sites = source
            .heap()
            .map_or(0, |capture| capture.profile.sample_count());
        (threads, sites)
    });
    let (threads, sites) = counted.await.unwrap_or_default();
    let mut rows: Vec<_> = Snapshot::ALL
        .into_iter()
        .map(|snapshot| {
            let count = match snapshot {
                Snapshot::Allocs | Snapshot::Heap => sites,
                Snapshot::Goroutine | Snapshot::ThreadCreate => threads,
                Snapshot::Block | Snapshot::Mutex => 0,
            };
            (snapshot.name(), count, snapshot.description())
        })
        .collect();
    rows.extend([
        ("cmdline", 0, "The command line invocation of the current program"),
        (
            "profile",
            0,
            "CPU profile. You can specify the duration in the seconds GET parameter. After you get the profile file, \
             use the go tool pprof command to investigate the profile.",
        ),
    ]);
    rows.sort_unstable();
    Reply::html(index_html(&rows))
}

/// Go's page, with what is served here.
fn index_html(rows: &[(&str, usize, &str)]) -> String {
    let mut html = String::from(
        "<html>\n<head>\n<title>/debug/pprof/</title>\n<style>\n.profile-name{\n\tdisplay:inline-block;\n\t\
         width:6rem;\n}\n</style>\n</head>\n<body>\n/debug/pprof/<br>\n<br>\nTypes of profiles available:\n<table>\n\
         <thead><td>Count</td><td>Profile</td></thead>\n",
    );
    for (name, count, _) in rows {
        let _ = writeln!(
            html,
            "<tr><td>{count}</td><td><a href='{name}?debug=1'>{name}</a></td></tr>"
        );
    }
    html.push_str(
        "</table>\n<a href=\"goroutine?debug=2\">full thread list</a>\n<br>\n<a href=\"../perfwright/\">perfwright</a>\n\
         <br>\n<p>\nProfile Descriptions:\n<ul>\n",
    );
    for (name, _, description) in rows {
        let _ = writeln!(
            html,
            "<li><div class=profile-name>{name}: </div> {description}</li>"
        );
    }
    html.push_str("</ul>\n</p>\n</body>\n</html>");
    html
}

async fn symbol(shared: &Arc<Shared>, asked: Vec<u8>) -> Reply {
    let Some(room) = shared.captures.try_work() else {
        return Reply::too_busy();
    };
    let found = blocking(move || {
        let words = asked.split(|&byte| byte == b'+').take(MAX_SYMBOLS);
        let addresses: Vec<_> = words.filter_map(address).collect();
        symbols(&addresses)
    });
    let found = found.await;
    drop(room);
    match found {
        Ok(text) => Reply::text(text),
        Err(error) => Reply::go_error(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

/// A number as Go's `ParseUint(_, 0, 64)` reads the usual ones: hexadecimal after `0x`, else decimal. 0 is none.
fn address(word: &[u8]) -> Option<u64> {
    let word = std::str::from_utf8(word).ok()?;
    let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let number = match hex {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => word.parse(),
    };
    number.ok().filter(|&number| number != 0)
}

/// Lines of `ADDRESS NAME` for the addresses that lie in code, after the line that pprof looks for.
fn symbols(addresses: &[u64]) -> String {
    let mut text = String::from("num_symbols: 1\n");
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut profile = Profile::new([]);
    let mappings = maps.lines().filter_map(mapping);
    let mut known = Vec::new();
    for (start, limit, offset, path) in mappings {
        let mut mapping = Mapping::new(start, limit);
        mapping.offset = offset;
        mapping.filename = profile.intern(path);
        known.push((start..limit, profile.add_mapping(mapping)));
    }
    let mut places = Vec::new();
    for &address in addresses {
        let found = known.iter().find(|(range, _)| range.contains(&address));
        let Some(&(_, mapping)) = found else { continue };
        let location = perfwright_model::Location {
            mapping: Some(mapping),
            address: NonZeroU64::new(address),
            ..Default::default()
        };
        places.push((address, profile.add_location(location, &[])));
    }
    capture::resolve(&mut profile);
    for (address, location) in places {
        // Of inlined functions the outermost: the one whose code it is, as FuncForPC.
        if let Some(frame) = profile.frames(location).last() {
            let name = profile.function_name(frame.function);
            let _ = writeln!(text, "{address:#x} {name}");
        }
    }
    text
}

/// A line of `/proc/self/maps` that maps code from a file: start, limit, offset, path.
fn mapping(line: &str) -> Option<(u64, u64, u64, &str)> {
    let mut words = line.splitn(6, ' ');
    let (start, limit) = words.next()?.split_once('-')?;
    words.next().filter(|flags| flags.contains('x'))?;
    let offset = words.next()?;
    let path = words.nth(2)?.trim_start();
    let hex = |text| u64::from_str_radix(text, 16).ok();
    path.starts_with('/').then_some(())?;
    Some((hex(start)?, hex(limit)?, hex(offset)?, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let cases = [
            ("0x10", Some(16)),
            ("0XfF", Some(255)),
            ("12", Some(12)),
            ("0", None),
            ("", None),
            ("x", None),
            ("0x1ffffffffffffffff", None),
        ];
        for (word, expect) in cases {
            assert_eq!(address(word.as_bytes()), expect, "{word}");
        }
    }

    #[test]
    fn code_is_found_in_the_maps() {
        let line = "7f00-7fff r-xp 00001000 08:01 42                   /usr/lib/a b.so";
        assert_eq!(
            mapping(line),
            Some((0x7f00, 0x7fff, 0x1000, "/usr/lib/a b.so"))
        );
        for line in [
            "7f00-7fff rw-p 00001000 08:01 42 /usr/lib/a.so",
            "7f00-7fff r-xp 00000000 00:00 0 ",
            "7f00-7fff r-xp 00000000 00:00 0 [vdso]",
            "",
        ] {
            assert_eq!(mapping(line), None, "{line}");
        }
    }

    #[cfg(all(target_os = "linux", feature = "symbolize"))]
    #[test]
    fn own_functions_are_named() {
        let address = symbols as fn(&[u64]) -> String as usize as u64;
        let text = symbols(&[1, address]);
        let expect = format!("num_symbols: 1\n{address:#x} ");
        assert!(text.starts_with(&expect), "{text}");
        assert!(text.trim_end().ends_with("symbols"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}

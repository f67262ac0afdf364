//! Settings from the environment: what an operator changes without a new build.
//!
//! They go before what the program says. One that is not understood is told on standard error and left out; it never
//! keeps the program from starting.

use std::net::SocketAddr;
use std::time::Duration;

/// What a variable sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Setting {
    /// `PERFWRIGHT=off`: nothing is started. `on` changes nothing.
    Switch(bool),
    /// `PERFWRIGHT_FREQUENCY_HZ=199`.
    FrequencyHz(u32),
    /// `PERFWRIGHT_HEAP_RATE=64k`, in bytes; `off` is `None`.
    HeapRate(Option<u64>),
    /// `PERFWRIGHT_LISTEN=127.0.0.1:6060`.
    Listen(SocketAddr),
    /// `PERFWRIGHT_KEEP=/var/lib/shop/profiles`.
    Keep(String),
    /// `PERFWRIGHT_KEEP_BYTES=1g`.
    KeepBytes(u64),
    /// `PERFWRIGHT_KEEP_AGE=7d`.
    KeepAge(Duration),
    /// `PERFWRIGHT_EVERY=60s`: from one kept or sent capture to the next.
    Every(Duration),
    /// `PERFWRIGHT_LENGTH=10s`: how long each is.
    Length(Duration),
    /// `PERFWRIGHT_PUSH=http://pyroscope:4040`.
    Push(String),
    /// `PERFWRIGHT_PUSH_NAME=shop{region=eu}`.
    PushName(String),
    /// `PERFWRIGHT_PUSH_TOKEN=...`.
    PushToken(String),
}

/// Why a setting can't be done.
pub(crate) const NO_FEATURE: &str = "the program was built without that feature of perfwright";

type Parse = fn(&str) -> Option<Setting>;

/// The variables, what reads them, and what they want.
const VARIABLES: &[(&str, Parse, &str)] = &[
    ("PERFWRIGHT", parse_switch, "`on` or `off`"),
    (
        "PERFWRIGHT_FREQUENCY_HZ",
        |text| text.parse().ok().map(Setting::FrequencyHz),
        "a whole number of samples per second, such as 99",
    ),
    (
        "PERFWRIGHT_HEAP_RATE",
        parse_heap_rate,
        "a number of bytes, such as 512k, or `off`",
    ),
    (
        "PERFWRIGHT_LISTEN",
        |text| text.parse().ok().map(Setting::Listen),
        "an address, such as 127.0.0.1:6060",
    ),
    (
        "PERFWRIGHT_KEEP",
        |text| Some(Setting::Keep(text.into())),
        "a folder",
    ),
    (
        "PERFWRIGHT_KEEP_BYTES",
        |text| parse_bytes(text).map(Setting::KeepBytes),
        "a number of bytes, such as 256m",
    ),
    (
        "PERFWRIGHT_KEEP_AGE",
        |text| parse_duration(text).map(Setting::KeepAge),
        "a time, such as 7d",
    ),
    (
        "PERFWRIGHT_EVERY",
        |text| parse_duration(text).map(Setting::Every),
        "a time, such as 60s",
    ),
    (
        "PERFWRIGHT_LENGTH",
        |text| parse_duration(text).map(Setting::Length),
        "a time, such as 10s",
    ),
    (
        "PERFWRIGHT_PUSH",
        |text| Some(Setting::Push(text.into())),
        "the URL of a server",
    ),
    (
        "PERFWRIGHT_PUSH_NAME",
        |text| Some(Setting::PushName(text.into())),
        "the application's name and labels",
    ),
    (
        "PERFWRIGHT_PUSH_TOKEN",
        |text| Some(Setting::PushToken(text.into())),
        "a bearer token",
    ),
];

/// The settings with their variables, and a sentence for each variable that is not understood. An empty one is as good as none.
pub(crate) fn read(
    variable: impl Fn(&str) -> Option<String>,
) -> (Vec<(&'static str, Setting)>, Vec<String>) {
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    for &(name, parse, wanted) in VARIABLES {
        let Some(text) = variable(name).filter(|text| !text.trim().is_empty()) else {
            continue;
        };
        match parse(text.trim()) {
            Some(setting) => settings.push((name, setting)),
            None => problems.push(format!(
                "understand {name}={text}: it wants {wanted}; the setting is ignored"
            )),
        }
    }
    (settings, problems)
}

fn parse_switch(text: &str) -> Option<Setting> {
    match text.to_ascii_lowercase().as_str() {
        "off" | "0" | "false" | "no" => Some(Setting::Switch(false)),
        "on" | "1" | "true" | "yes" => Some(Setting::Switch(true)),
        _ => None,
    }
}

fn parse_heap_rate(text: &str) -> Option<Setting> {
    match text.eq_ignore_ascii_case("off") {
        true => Some(Setting::HeapRate(None)),
        false => parse_bytes(text)
            .filter(|&rate| rate > 0)
            .map(|rate| Setting::HeapRate(Some(rate))),
    }
}

/// `512`, `64k`, `256MiB`: powers of 1,024.
fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let unit = unit.to_ascii_lowercase();
    let unit = unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(&unit);
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// `90`, `90s`, `500ms`, `15m`, `6h`, `7d`; above 0.
fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number
        .checked_mul(millis)
        .filter(|&millis| millis > 0)
        .map(Duration::from_millis)
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> (Vec<Setting>, Vec<String>) {
        let (settings, problems) = read(|name| {
            let pair = pairs.iter().find(|(key, _)| *key == name);
            pair.map(|(_, value)| (*value).to_owned())
        });
        let settings = settings.into_iter().map(|(_, setting)| setting);
        (settings.collect(), problems)
    }

    #[test]
    fn variables_set_what_they_say() {
        let cases = [
            (("PERFWRIGHT", "off"), Setting::Switch(false)),
            (("PERFWRIGHT", "on"), Setting::Switch(true)),
            (
                ("PERFWRIGHT_FREQUENCY_HZ", " 199 "),
                Setting::FrequencyHz(199),
            ),
            (
                ("PERFWRIGHT_HEAP_RATE", "64k"),
                Setting::HeapRate(Some(65_536)),
            ),
            (("PERFWRIGHT_HEAP_RATE", "Off"), Setting::HeapRate(None)),
            (
                ("PERFWRIGHT_LISTEN", "[::1]:0"),
                Setting::Listen("[::1]:0".parse().unwrap()),
            ),
            (
                ("PERFWRIGHT_KEEP_BYTES", "256MiB"),
                Setting::KeepBytes(256 << 20),
            ),
            (
                ("PERFWRIGHT_KEEP_AGE", "7d"),
                Setting::KeepAge(Duration::from_secs(604_800)),
            ),
            (
                ("PERFWRIGHT_EVERY", "500ms"),
                Setting::Every(Duration::from_millis(500)),
            ),
            (
                ("PERFWRIGHT_LENGTH", "10"),
                Setting::Length(Duration::from_secs(10)),
            ),
        ];
        for (pair, setting) in cases {
            assert_eq!(of(&[pair]), (vec![setting], vec![]), "{pair:?}");
        }
        assert_eq!(of(&[("PERFWRIGHT_KEEP", " ")]), (vec![], vec![]));
    }

    #[test]
    fn what_is_not_understood_is_said_and_the_rest_holds() {
        let (settings, problems) = of(&[
            ("PERFWRIGHT", "maybe"),
            ("PERFWRIGHT_FREQUENCY_HZ", "fast"),
            ("PERFWRIGHT_HEAP_RATE", "0"),
            ("PERFWRIGHT_KEEP_BYTES", "99999999999t"),
            ("PERFWRIGHT_EVERY", "1 fortnight"),
            ("PERFWRIGHT_KEEP", "/k"),
        ]);
        assert_eq!(settings, [Setting::Keep("/k".into())]);
        assert_eq!(problems.len(), 5);
        assert_eq!(
            problems[1],
            "understand PERFWRIGHT_FREQUENCY_HZ=fast: it wants a whole number of samples per second, such as 99; \
             the setting is ignored"
        );
    }
}

//! Text formats: which one a client wants, and Prometheus's own made of OpenMetrics.

use prometheus_client::registry::Registry;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The answer to a scrape.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Exposition {
    /// For the header `Content-Type`.
    pub content_type: &'static str,
    /// The text.
    pub text: String,
}

pub(super) fn render(registry: &Registry, accept: Option<&str>) -> Exposition {
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, registry);
    match prefers_open_metrics(accept.unwrap_or("")) {
        true => Exposition {
            content_type: OPEN_METRICS,
            text,
        },
        false => Exposition {
            content_type: PROMETHEUS,
            text: to_prometheus(&text),
        },
    }
}

/// Whether OpenMetrics is named in an `Accept` header, and no text format is wanted more.
fn prefers_open_metrics(accept: &str) -> bool {
    let quality = |wanted: &str| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts
                .next()
                .filter(|name| name.eq_ignore_ascii_case(wanted))?;
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            Some(quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0)))
        });
        ranges.fold(0.0, f64::max)
    };
    let open_metrics = quality("application/openmetrics-text");
    open_metrics > 0.0 && open_metrics >= quality("text/plain")
}

/// The same in version 0.0.4: a counter's family is called as its samples are, there are no units and no end mark.
fn to_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().copied().unwrap_or("");
        let about = |line: &str, what: &str| {
            let rest = line
                .strip_prefix("# ")?
                .strip_prefix(what)?
                .strip_prefix(' ')?;
            rest.split_once(' ')
                .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        };
        let is_counter =
            |line: &str| about(line, "TYPE").is_some_and(|(_, kind)| kind == "counter");
        if let Some((name, help)) = about(line, "HELP")
            && is_counter(next)
        {
            text.push_str(&format!("# HELP {name}_total {help}\n"));
        } else if let Some((name, _)) = about(line, "TYPE")
            && is_counter(line)
        {
            text.push_str(&format!("# TYPE {name}_total counter\n"));
        } else if !(line == "# EOF" || line.starts_with("# UNIT ")) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_what_it_prefers() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
                          version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let cases = [
            (prometheus, true),
            ("application/openmetrics-text", true),
            (
                "Application/OpenMetrics-Text; q=0.8, text/plain; q=0.7",
                true,
            ),
            ("application/openmetrics-text;q=0.1, text/plain", false),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=x", false),
            ("text/plain", false),
            ("*/*", false),
            ("", false),
        ];
        for (accept, open_metrics) in cases {
            assert_eq!(prefers_open_metrics(accept), open_metrics, "{accept}");
        }
    }

    #[test]
    fn counters_are_named_as_their_samples() {
        let open_metrics = "# HELP a_b Bytes.\n# TYPE a_b counter\n# UNIT a_b b\na_b_total{x=\"# EOF\"} 1\n\
                            # HELP c Now.\n# TYPE c gauge\nc 2\n# EOF\n";
        let expect = "# HELP a_b_total Bytes.\n# TYPE a_b_total counter\na_b_total{x=\"# EOF\"} 1\n\
                      # HELP c Now.\n# TYPE c gauge\nc 2\n";
        assert_eq!(to_prometheus(open_metrics), expect);
    }
}

//! Metrics in Prometheus's text format: pages as they were scraped, one or several over time.
//!
//! Of one page counters and histograms tell of all the time since the service began; of several they tell of the
//! time between the first and the last. A counter that is less than before began anew with its process.

mod histogram;
mod page;

use std::collections::BTreeMap;

use super::{Data, Error, Reading, SourceError, all_missing};
use crate::{
    budgets::Select,
    metric::{Metric, quantile, threshold},
    names::{REQUESTS, is_failed},
};
use histogram::Histogram;
use page::{Page, Sample};

/// Samples of all pages, at most.
const MAX_SAMPLES: usize = 10_000_000;
/// Why there is no rate.
const ONE_PAGE: &str = "one page of metrics tells no rate: scrape a URL for a while";

/// Pages of one service, in the order of time.
#[derive(Default)]
pub(super) struct Pages {
    /// With the seconds at which each was scraped, since any moment.
    pages: Vec<(f64, Page)>,
    samples: usize,
}

/// One series of samples: a value for each page, where it has one.
struct Track<'a> {
    sample: &'a Sample,
    values: Vec<Option<f64>>,
}

impl Pages {
    /// Adds a page from its text.
    pub(super) fn add(&mut self, seconds: f64, text: &str) -> Result<(), SourceError> {
        if self.pages.last().is_some_and(|last| seconds <= last.0) || !seconds.is_finite() {
            return Err(SourceError::new("the pages are not in the order of time"));
        }
        let page = Page::parse(text)?;
        self.samples += page.len();
        if self.samples > MAX_SAMPLES {
            let what = format!("the pages have more than {MAX_SAMPLES} samples: scrape less often");
            return Err(SourceError::new(what));
        }
        self.pages.push((seconds, page));
        Ok(())
    }

    /// The moments at which growths end: of all pages but the first, or of the only one.
    fn moments(&self) -> impl Iterator<Item = f64> {
        let first = usize::from(self.pages.len() > 1);
        self.pages[first..].iter().map(|(at, _)| *at)
    }

    /// How long it was from the first page to the last.
    fn seconds(&self) -> Result<f64, String> {
        match (self.pages.first(), self.pages.last()) {
            (Some(first), Some(last)) if last.0 > first.0 => Ok(last.0 - first.0),
            _ => Err(ONE_PAGE.to_owned()),
        }
    }

    /// The series of a name.
    fn tracks<'p>(&'p self, name: &str, select: &Select) -> BTreeMap<String, Track<'p>> {
        let mut tracks = BTreeMap::new();
        for (at, (_, page)) in self.pages.iter().enumerate() {
            for sample in page.selected(name, select) {
                let track = tracks.entry(sample.subject(&[])).or_insert_with(|| Track {
                    sample,
                    values: vec![None; self.pages.len()],
                });
                track.values[at] = Some(sample.value).filter(|value| value.is_finite());
            }
        }
        tracks
    }

    /// How much counters of a name grew up to each moment, summed up over those that differ only in labels `without`.
    fn growths(
        &self,
        name: &str,
        select: &Select,
        subject: impl Fn(&Sample) -> String,
    ) -> BTreeMap<String, Vec<f64>> {
        let mut growths: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for track in self.tracks(name, select).into_values() {
            let growth = track.growth();
            let sums = growths
                .entry(subject(track.sample))
                .or_insert_with(|| vec![0.0; growth.len()]);
            for (sum, grown) in sums.iter_mut().zip(growth) {
                *sum += grown;
            }
        }
        growths
    }

    /// The values of a gauge over time, summed up over its series.
    fn gauge(&self, name: &str) -> Result<Vec<(f64, f64)>, String> {
        let tracks = self.tracks(name, &Select::default());
        let points = self
            .pages
            .iter()
            .enumerate()
            .filter_map(|(at, (seconds, _))| {
                let mut values = tracks
                    .values()
                    .filter_map(|track| track.values[at])
                    .peekable();
                values.peek()?;
                Some((*seconds, values.sum()))
            });
        let points: Vec<(f64, f64)> = points.collect();
        match points.is_empty() {
            true => Err(format!("the page has no {name}")),
            false => Ok(points),
        }
    }

    /// A counter's growth per second, over all its series.
    fn rate(&self, name: &str) -> Result<Data, String> {
        let growths = self.growths(name, &Select::default(), |_| String::new());
        let growth = growths
            .get("")
            .ok_or_else(|| format!("the page has no {name}"))?;
        self.per_second(growth)
    }

    fn per_second(&self, growth: &[f64]) -> Result<Data, String> {
        let seconds = self.seconds()?;
        let moments: Vec<f64> = self.pages.iter().map(|(at, _)| *at).collect();
        let rates = moments.windows(2).zip(growth);
        let series = rates.map(|(pair, grown)| (pair[1], grown / (pair[1] - pair[0])));
        Ok(Data {
            series: series.collect(),
            ..Data::exact(growth.iter().sum::<f64>() / seconds)
        })
    }

    /// Histograms of a name, those summed up that differ only in the labels `without`: for each moment what came new.
    fn histograms(
        &self,
        name: &str,
        select: &Select,
        without: &[&str],
    ) -> BTreeMap<String, Vec<Histogram>> {
        let mut found: BTreeMap<String, Vec<Histogram>> = BTreeMap::new();
        for track in self.tracks(&format!("{name}_bucket"), select).into_values() {
            let Some(bound) = bound(track.sample) else {
                continue;
            };
            let histograms = found.entry(track.sample.subject(without)).or_default();
            for (at, count) in track.growth().into_iter().enumerate() {
                if histograms.len() <= at {
                    histograms.push(Histogram::default());
                }
                histograms[at].add(bound, count);
            }
        }
        found
    }

    /// What `of` says of all that came new, and over time of what came up to each moment.
    fn of_histograms(
        &self,
        histograms: &[Histogram],
        of: impl Fn(&Histogram) -> Result<Data, String>,
    ) -> Result<Data, String> {
        let mut all = Histogram::default();
        for histogram in histograms {
            all.take_in(histogram);
        }
        let mut data = of(&all)?;
        if self.pages.len() > 1 {
            let moments = self.moments().zip(histograms);
            let known = moments.filter_map(|(at, histogram)| Some((at, of(histogram).ok()?.value)));
            data.series = known.collect();
        }
        Ok(data)
    }
}

impl Track<'_> {
    /// What a counter grew from page to page; of a single page all that it counted. What was not there counted nothing.
    fn growth(&self) -> Vec<f64> {
        if let [only] = self.values[..] {
            return vec![only.unwrap_or(0.0)];
        }
        let mut before = self.values[0];
        let growth = self.values[1..].iter().map(|&now| {
            let grown = match (before, now) {
                (_, None) => 0.0,
                (Some(before), Some(now)) if now >= before => now - before,
                (_, Some(now)) => now,
            };
            before = now.or(before);
            grown
        });
        growth.collect()
    }

    /// A statistic of the values of a gauge, or of a counter as it stands.
    fn data(&self, pages: &Pages, stat: &str) -> Result<Data, String> {
        if stat == "rate" {
            return pages.per_second(&self.growth());
        }
        let moments = pages.pages.iter().map(|(at, _)| *at);
        let points = moments.zip(&self.values);
        let points = points.filter_map(|(at, value)| Some((at, (*value)?)));
        let series: Vec<(f64, f64)> = points.collect();
        let mut values = series.iter().map(|&(_, value)| value);
        let value = match stat {
            "min" => values.min_by(f64::total_cmp),
            "max" => values.max_by(f64::total_cmp),
            "avg" => Some(values.sum::<f64>() / series.len() as f64),
            _ => values.next_back(),
        };
        let value = value.filter(|value| value.is_finite());
        let value = value.ok_or("the value is no number")?;
        Ok(Data {
            series: Some(series)
                .filter(|_| pages.pages.len() > 1)
                .unwrap_or_default(),
            ..Data::exact(value)
        })
    }
}

fn bound(sample: &Sample) -> Option<f64> {
    match sample.label("le")? {
        "+Inf" => Some(f64::INFINITY),
        le => le.parse().ok(),
    }
}

/// A metric by name: its value, or percentiles of a histogram; one reading for each set of labels.
pub(super) fn measure(pages: Option<&Pages>, select: &Select, stats: &[String]) -> Vec<Reading> {
    let (Some(pages), Some(name)) = (pages, &select.name) else {
        return all_missing(stats, "there is no page of metrics");
    };
    let mut readings = Vec::new();
    for stat in stats {
        let before = readings.len();
        match quantile(stat) {
            Some(quantile) => {
                for (subject, histograms) in pages.histograms(name, select, &["le"]) {
                    let data = pages.of_histograms(&histograms, |of| of.quantile(quantile));
                    readings.push(Reading::new(subject, stat, data));
                }
            }
            None => {
                for (subject, track) in pages.tracks(name, select) {
                    readings.push(Reading::new(subject, stat, track.data(pages, stat)));
                }
            }
        }
        if readings.len() == before {
            let why = format!("the page has no {name} of this selection");
            readings.push(Reading::new("", stat, Err(why)));
        }
    }
    readings
}

/// What a service tells of itself: of its requests, and of its process.
pub(super) fn service(
    pages: &Pages,
    metric: Metric,
    select: &Select,
    stats: &[String],
) -> Vec<Reading> {
    let of_stat = |stat: &String| match metric {
        Metric::Latency => latency(pages, select, stat),
        Metric::Throughput | Metric::ErrorRate => requests(pages, metric, select, stat),
        _ => vec![Reading::new("", stat, of_process(pages, metric, stat))],
    };
    stats.iter().flat_map(of_stat).collect()
}

fn none_selected(stat: &str) -> Vec<Reading> {
    let why = format!("the page has no {REQUESTS} of this selection");
    vec![Reading::new("", stat, Err(why))]
}

fn latency(pages: &Pages, select: &Select, stat: &str) -> Vec<Reading> {
    let of = |histogram: &Histogram| match (quantile(stat), threshold(stat)) {
        (Some(quantile), _) => histogram.quantile(quantile),
        (_, Some(seconds)) => histogram.above(seconds),
        _ => Err(format!("a histogram does not tell {stat}")),
    };
    let found = pages.histograms(REQUESTS, select, &["le", "status"]);
    if found.is_empty() {
        return none_selected(stat);
    }
    let reading = |(subject, histograms): (String, Vec<Histogram>)| {
        Reading::new(subject, stat, pages.of_histograms(&histograms, of))
    };
    found.into_iter().map(reading).collect()
}

/// Requests per second, or the share of them that failed: by route where routes are selected, else of all.
fn requests(pages: &Pages, metric: Metric, select: &Select, stat: &str) -> Vec<Reading> {
    let name = format!("{REQUESTS}_count");
    let subject = |sample: &Sample| match select.route.is_empty() {
        true => String::new(),
        false => sample.subject(&["status"]),
    };
    let all = pages.growths(&name, select, subject);
    if all.is_empty() {
        return none_selected(stat);
    }
    let failed = pages.growths(&name, select, |sample| {
        let is_error = sample.label("status").is_some_and(is_failed);
        format!("{is_error} {}", subject(sample))
    });
    let reading = |(subject, all): (String, Vec<f64>)| {
        let data = match metric {
            Metric::Throughput => pages.per_second(&all),
            _ => {
                let none = vec![0.0; all.len()];
                let failed = failed.get(&format!("true {subject}")).unwrap_or(&none);
                error_rate(pages, failed, &all)
            }
        };
        Reading::new(subject, stat, data)
    };
    all.into_iter().map(reading).collect()
}

fn error_rate(pages: &Pages, failed: &[f64], all: &[f64]) -> Result<Data, String> {
    let (errors, count) = (failed.iter().sum::<f64>(), all.iter().sum::<f64>());
    if count <= 0.0 {
        return Err("there were no requests".to_owned());
    }
    let shares = pages.moments().zip(failed.iter().zip(all));
    let known = shares.filter(|(_, (_, all))| **all > 0.0);
    Ok(Data {
        series: known
            .map(|(at, (failed, all))| (at, failed / all))
            .collect(),
        ..Data::share((errors / count).clamp(0.0, 1.0), count)
    })
}

fn of_process(pages: &Pages, metric: Metric, stat: &str) -> Result<Data, String> {
    let most = |points: Vec<(f64, f64)>| {
        let values = points.iter().map(|&(_, value)| value);
        over_time(values.max_by(f64::total_cmp), points)
    };
    let last = |points: Vec<(f64, f64)>| over_time(points.last().map(|point| point.1), points);
    let resident = || pages.gauge("process_resident_memory_bytes");
    let live = || pages.gauge("heap_live_bytes");
    let per_request = |name: &str| {
        let requests = pages.rate(&format!("{REQUESTS}_count"))?.value;
        match requests > 0.0 {
            true => Ok(Data::exact(pages.rate(name)?.value / requests)),
            false => Err("there were no requests".to_owned()),
        }
    };
    match (metric, stat) {
        (Metric::ProcessCpu, _) => pages.rate("process_cpu_seconds_total"),
        (Metric::ProcessRss, "slope") => super::run::slope(&resident()?),
        (Metric::ProcessRss, "max") => most(resident()?),
        (Metric::ProcessRss, _) => last(resident()?),
        (Metric::Heap, "live") => last(live()?),
        (Metric::Heap, "peak") => most(live()?),
        (Metric::Heap, "bytes/op") => per_request("heap_allocated_bytes_total"),
        (Metric::Heap, "allocs/op") => per_request("heap_allocations_total"),
        _ => Err("a page of metrics does not tell this: give a run".to_owned()),
    }
}

fn over_time(value: Option<f64>, series: Vec<(f64, f64)>) -> Result<Data, String> {
    Ok(Data {
        series,
        ..Data::exact(value.ok_or("the page has no value")?)
    })
}

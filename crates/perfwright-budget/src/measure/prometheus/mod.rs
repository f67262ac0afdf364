//! Metrics in Prometheus's text format: pages as they were scraped, one or several over time.
//!
//! Of one page counters and histograms tell of all the time since the service began; of several they tell of the
//! time between the first and the last. A counter that is less than before began anew with its process.

mod histogram;
mod page;
mod service;

use std::collections::BTreeMap;

use super::{Data, Error, Reading, SourceError, all_missing};
use crate::{budgets::Select, metric::quantile};
use histogram::Histogram;
use page::{Page, Sample};
pub(super) use service::measure as service;

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

/// Values over time: seconds and value.
type Points = Vec<(f64, f64)>;

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

    /// How much counters of a name grew up to each moment, those of one subject summed up.
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

    /// The values of a gauge over time, summed up over the series of one subject.
    fn gauges(
        &self,
        name: &str,
        select: &Select,
        subject: impl Fn(&Sample) -> String,
    ) -> BTreeMap<String, Points> {
        let mut sums: BTreeMap<String, BTreeMap<usize, f64>> = BTreeMap::new();
        for track in self.tracks(name, select).into_values() {
            let sums = sums.entry(subject(track.sample)).or_default();
            let known = track.values.iter().enumerate();
            for (at, value) in known.filter_map(|(at, value)| Some((at, (*value)?))) {
                *sums.entry(at).or_default() += value;
            }
        }
        let over_time = |sums: BTreeMap<usize, f64>| {
            let points = sums.into_iter();
            points.map(|(at, sum)| (self.pages[at].0, sum)).collect()
        };
        let known = sums.into_iter().filter(|(_, sums)| !sums.is_empty());
        known
            .map(|(subject, sums)| (subject, over_time(sums)))
            .collect()
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

    /// Histograms of a name, those of one subject summed up: for each moment what came new.
    fn histograms(
        &self,
        name: &str,
        select: &Select,
        subject: impl Fn(&Sample) -> String,
    ) -> BTreeMap<String, Vec<Histogram>> {
        let mut found: BTreeMap<String, Vec<Histogram>> = BTreeMap::new();
        for track in self.tracks(&format!("{name}_bucket"), select).into_values() {
            let Some(bound) = bound(track.sample) else {
                continue;
            };
            let histograms = found.entry(subject(track.sample)).or_default();
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
                let subject = |sample: &Sample| sample.subject(&["le"]);
                for (subject, histograms) in pages.histograms(name, select, subject) {
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

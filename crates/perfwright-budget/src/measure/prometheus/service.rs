//! What a service tells of itself: of its requests, its process, its pools and caches.

use std::{collections::BTreeMap, slice};

use super::{Data, Histogram, Pages, Points, Reading, Sample, all_missing};
use crate::{
    budgets::Select,
    measure::run::slope,
    metric::{Metric, quantile, threshold},
    names::{self, REQUESTS, is_failed},
    pattern::Pattern,
};

/// By subject: a value, or why there is none.
type Values = BTreeMap<String, Result<Data, String>>;
/// By subject: how much a counter grew up to each moment.
type Growths = BTreeMap<String, Vec<f64>>;

/// The readings of statistics, one for each subject of the selection.
pub(in crate::measure) fn measure(
    pages: &Pages,
    metric: Metric,
    select: &Select,
    stats: &[String],
) -> Vec<Reading> {
    if !select.span.is_empty() {
        return all_missing(
            stats,
            "a page of metrics tells nothing of spans: give a run",
        );
    }
    let asked = Asked { pages, select };
    let readings = |stat: &String| match asked.values(metric, stat) {
        Err(why) => all_missing(slice::from_ref(stat), &why),
        Ok(values) if values.is_empty() => {
            let why = format!(
                "the page has no {} of this selection",
                asked.name_of(metric, stat)
            );
            all_missing(slice::from_ref(stat), &why)
        }
        Ok(values) => values
            .into_iter()
            .map(|(subject, data)| Reading::new(subject, stat, data))
            .collect(),
    };
    stats.iter().flat_map(readings).collect()
}

struct Asked<'a> {
    pages: &'a Pages,
    select: &'a Select,
}

impl Asked<'_> {
    fn values(&self, metric: Metric, stat: &str) -> Result<Values, String> {
        let requests = || self.counted(&format!("{REQUESTS}_count"));
        match (metric, stat) {
            (Metric::Latency, "mean") => {
                Ok(self.ratios(&self.counted(&format!("{REQUESTS}_sum")), &requests()))
            }
            (Metric::Latency, _) => self.latency(stat),
            (Metric::ErrorRate, _) => Ok(self.errors(&requests())),
            (Metric::Throughput, _) => Ok(self.rates(requests())),
            (Metric::Concurrency, "now") => Ok(self.gauges(names::IN_FLIGHT)),
            // Little's law: the time that was spent in requests, in that time.
            (Metric::Concurrency, _) => Ok(self.rates(self.counted(&format!("{REQUESTS}_sum")))),
            (Metric::RequestSize, _) => Ok(self.per_request(names::REQUEST_BYTES)),
            (Metric::ResponseSize, _) => Ok(self.per_request(names::RESPONSE_BYTES)),
            (Metric::Pool, _) => self.pool(stat),
            (Metric::CacheHitRate, _) => Ok(self.hits()),
            _ if !self.select.route.is_empty() => {
                Err("a page of metrics does not tell this by route: give a run".to_owned())
            }
            _ => {
                let data = self.of_process(metric, stat)?;
                Ok(BTreeMap::from([(String::new(), Ok(data))]))
            }
        }
    }

    /// What a page would have.
    fn name_of(&self, metric: Metric, stat: &str) -> &'static str {
        match (metric, stat) {
            (Metric::Concurrency, "now") => names::IN_FLIGHT,
            (Metric::RequestSize, _) => names::REQUEST_BYTES,
            (Metric::ResponseSize, _) => names::RESPONSE_BYTES,
            (Metric::Pool, "wait") => names::POOL_WAIT,
            (Metric::Pool, stat) if quantile(stat).is_some() => names::POOL_WAIT_HISTOGRAM,
            (Metric::Pool, _) => names::POOL_CONNECTIONS,
            (Metric::CacheHitRate, _) => names::CACHE_HITS,
            _ => REQUESTS,
        }
    }

    /// Without a selection all requests are one; else each route is for itself.
    fn subject(&self, sample: &Sample) -> String {
        match self.select.route.is_empty() {
            true => String::new(),
            false => sample.route(),
        }
    }

    fn counted(&self, name: &str) -> Growths {
        let subject = |sample: &Sample| self.subject(sample);
        self.pages.growths(name, self.select, subject)
    }

    fn gauges(&self, name: &str) -> Values {
        let subject = |sample: &Sample| self.subject(sample);
        let found = self.pages.gauges(name, self.select, subject);
        of_each(found, last)
    }

    fn rates(&self, growths: Growths) -> Values {
        of_each(growths, |growth| self.pages.per_second(&growth))
    }

    fn latency(&self, stat: &str) -> Result<Values, String> {
        let of = |histogram: &Histogram| match (quantile(stat), threshold(stat)) {
            (Some(quantile), _) => histogram.quantile(quantile),
            (_, Some(seconds)) => histogram.above(seconds),
            _ => Err(format!("a histogram does not tell {stat}")),
        };
        let subject = |sample: &Sample| self.subject(sample);
        let found = self.pages.histograms(REQUESTS, self.select, subject);
        Ok(of_each(found, |histograms| {
            self.pages.of_histograms(&histograms, of)
        }))
    }

    /// The share of requests that failed.
    fn errors(&self, all: &Growths) -> Values {
        let name = format!("{REQUESTS}_count");
        let failed = self.pages.growths(&name, self.select, |sample| {
            let failed = sample.label("status").is_some_and(is_failed);
            format!("{failed} {}", self.subject(sample))
        });
        let share = |(subject, all): (&String, &Vec<f64>)| {
            let none = vec![0.0; all.len()];
            let failed = failed.get(&format!("true {subject}")).unwrap_or(&none);
            (subject.clone(), self.share(failed, all))
        };
        all.iter().map(share).collect()
    }

    fn share(&self, part: &[f64], all: &[f64]) -> Result<Data, String> {
        let ratio = self.ratio(part, all)?;
        Ok(Data {
            series: ratio.series,
            ..Data::share(ratio.value.clamp(0.0, 1.0), ratio.samples.unwrap_or(0.0))
        })
    }

    /// What grew, for each of what was counted; also from moment to moment.
    fn ratio(&self, of: &[f64], counts: &[f64]) -> Result<Data, String> {
        let count: f64 = counts.iter().sum();
        if count.is_nan() || count <= 0.0 {
            return Err("there were none".to_owned());
        }
        let moments = self.pages.moments().zip(of.iter().zip(counts));
        let known = moments.filter(|(_, (_, count))| **count > 0.0);
        let series = known.map(|(at, (value, count))| (at, value / count));
        Ok(Data {
            samples: Some(count),
            // A single page has no values over time.
            series: series.filter(|_| counts.len() > 1).collect(),
            ..Data::exact(of.iter().sum::<f64>() / count)
        })
    }

    fn ratios(&self, of: &Growths, counts: &Growths) -> Values {
        let ratio = |(subject, of): (&String, &Vec<f64>)| {
            let counts = counts.get(subject).map_or(&[][..], Vec::as_slice);
            (subject.clone(), self.ratio(of, counts))
        };
        of.iter().map(ratio).collect()
    }

    fn per_request(&self, name: &str) -> Values {
        let requests = self.counted(names::REQUESTS_TOTAL);
        self.ratios(&self.counted(name), &requests)
    }

    fn of_process(&self, metric: Metric, stat: &str) -> Result<Data, String> {
        let counter = |name: &str| {
            let mut found = self.counted(name);
            let of_all = found.remove("");
            of_all.ok_or_else(|| format!("the page has no {name}"))
        };
        let gauge = |name: &str| {
            let found = self.pages.gauges(name, self.select, |_| String::new());
            let of_all = found.into_values().next();
            of_all.ok_or_else(|| format!("the page has no {name}"))
        };
        let per_request =
            |name: &str| self.ratio(&counter(name)?, &counter(&format!("{REQUESTS}_count"))?);
        match (metric, stat) {
            (Metric::ProcessCpu, "max") => {
                let series = self.pages.per_second(&counter(names::CPU)?)?.series;
                most(series)
            }
            (Metric::ProcessCpu, _) => self.pages.per_second(&counter(names::CPU)?),
            (Metric::ProcessRss, "slope") => slope(&gauge(names::RESIDENT)?),
            (Metric::ProcessRss, "max") => most(gauge(names::RESIDENT)?),
            (Metric::ProcessRss, _) => last(gauge(names::RESIDENT)?),
            (Metric::ProcessFds, _) => last(gauge(names::OPEN_FILES)?),
            (Metric::Cpu, _) => per_request(names::CPU),
            (Metric::Heap, "live") => last(gauge(names::LIVE)?),
            (Metric::Heap, "peak") => most(gauge(names::LIVE)?),
            (Metric::Heap, "bytes/op") => per_request(names::ALLOCATED),
            (Metric::Heap, "allocs/op") => per_request(names::ALLOCATIONS),
            (Metric::Heap, "bytes") => Ok(Data::exact(counter(names::ALLOCATED)?.iter().sum())),
            (Metric::Heap, "allocs") => Ok(Data::exact(counter(names::ALLOCATIONS)?.iter().sum())),
            _ => Err("a page of metrics does not tell this: give a run".to_owned()),
        }
    }

    fn pool(&self, stat: &str) -> Result<Values, String> {
        let select = self.named(names::POOL);
        let name = |sample: &Sample| sample.label(names::POOL).unwrap_or("").to_owned();
        let gauges = |metric: &str| self.pages.gauges(metric, &select, name);
        let counted = |metric: &str| self.pages.growths(metric, &select, name);
        if let Some(quantile) = quantile(stat) {
            let found = self
                .pages
                .histograms(names::POOL_WAIT_HISTOGRAM, &select, name);
            return Ok(of_each(found, |waits| {
                self.pages
                    .of_histograms(&waits, |wait| wait.quantile(quantile))
            }));
        }
        let open = gauges(names::POOL_CONNECTIONS);
        let in_use = || joined(&open, &gauges(names::POOL_IDLE), |open, idle| open - idle);
        Ok(match stat {
            "connections" => of_each(open, most),
            "in_use" => of_each(in_use(), most),
            "wait" => self.ratios(&counted(names::POOL_WAIT), &counted(names::POOL_ACQUIRES)),
            _ => {
                // Without a bound nothing can be used up: then it is of those that are open.
                let mut whole = open.clone();
                whole.extend(gauges(names::POOL_MAX));
                let used = |used: f64, whole: f64| match whole > 0.0 {
                    true => (used / whole).clamp(0.0, 1.0),
                    false => 0.0,
                };
                of_each(joined(&in_use(), &whole, used), most)
            }
        })
    }

    fn hits(&self) -> Values {
        let select = self.named(names::CACHE);
        let name = |sample: &Sample| sample.label(names::CACHE).unwrap_or("").to_owned();
        let hits = self.pages.growths(names::CACHE_HITS, &select, name);
        let misses = self.pages.growths(names::CACHE_MISSES, &select, name);
        let rate = |(subject, hits): (&String, &Vec<f64>)| {
            let mut all = hits.clone();
            let misses = misses.get(subject).into_iter().flatten();
            for (all, missed) in all.iter_mut().zip(misses) {
                *all += missed;
            }
            let share = self.share(hits, &all);
            let share = share.map_err(|_| "nobody asked the cache".to_owned());
            (subject.clone(), share)
        };
        hits.iter().map(rate).collect()
    }

    /// The selection of pools or caches by their names.
    fn named(&self, label: &str) -> Select {
        let wanted = self.select.name.as_deref().map(Pattern::new);
        let labels = wanted.map(|wanted| (label.to_owned(), vec![wanted]));
        Select {
            labels: labels.into_iter().collect(),
            ..Select::default()
        }
    }
}

fn of_each<T>(values: BTreeMap<String, T>, data: impl Fn(T) -> Result<Data, String>) -> Values {
    let values = values.into_iter();
    values
        .map(|(subject, value)| (subject, data(value)))
        .collect()
}

/// Two values of the same subject and moment as one.
fn joined(
    a: &BTreeMap<String, Points>,
    b: &BTreeMap<String, Points>,
    both: impl Fn(f64, f64) -> f64,
) -> BTreeMap<String, Points> {
    let join = |(subject, a): (&String, &Points)| {
        let b: &[(f64, f64)] = b.get(subject)?;
        let at = |time: f64| b.iter().find(|(other, _)| *other == time);
        let points = a.iter();
        let points = points.filter_map(|&(time, a)| Some((time, both(a, at(time)?.1))));
        Some((subject.clone(), points.collect()))
    };
    a.iter().filter_map(join).collect()
}

fn most(points: Points) -> Result<Data, String> {
    let values = points.iter().map(|&(_, value)| value);
    over_time(values.max_by(f64::total_cmp), points)
}

fn last(points: Points) -> Result<Data, String> {
    over_time(points.last().map(|point| point.1), points)
}

fn over_time(value: Option<f64>, series: Points) -> Result<Data, String> {
    Ok(Data {
        // One value is none over time.
        series: Some(series)
            .filter(|series| series.len() > 1)
            .unwrap_or_default(),
        ..Data::exact(value.ok_or("the page has no value")?)
    })
}

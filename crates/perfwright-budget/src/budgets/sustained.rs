//! For how long a limit must be broken to be a breach.

use toml::Spanned;

use super::{Sustained, reader::Reader};
use crate::{
    file,
    metric::{Metric, SPECS, Series},
    units::Dimension,
};

impl Reader<'_> {
    pub(super) fn sustained(&mut self, raw: &file::Sustained, metric: Metric) -> Option<Sustained> {
        if metric.spec().series == Series::None {
            let over_time = SPECS.iter().filter(|spec| spec.series != Series::None);
            let names: Vec<_> = over_time.map(|spec| spec.name).collect();
            let help = format!("`sustained` is for {}", names.join(", "));
            let label = format!("{} has no values over time", metric.name());
            let title = "nothing to be sustained";
            self.problem(raw.duration.span(), title, &label, &help);
            return None;
        }
        let seconds = self.duration(&raw.duration)?;
        let every = raw.every.as_ref().and_then(|every| {
            let step = self.duration(every)?;
            if step > seconds {
                let label = format!("longer than `for`, {}", raw.duration.get_ref());
                let help = "write how often values are looked at, such as 15s";
                let title = "a time that is over before values are looked at";
                self.problem(every.span(), title, &label, help);
            }
            Some(step)
        });
        Some(Sustained {
            seconds,
            every,
            keep_firing: raw
                .keep_firing
                .as_ref()
                .and_then(|time| self.duration(time)),
        })
    }

    /// A time above 0, in seconds.
    pub(super) fn duration(&mut self, text: &Spanned<String>) -> Option<f64> {
        match Dimension::Time.parse(text.get_ref()) {
            Ok(seconds) if seconds > 0.0 => Some(seconds),
            Ok(_) => {
                let help = "write how long, such as 5m";
                self.problem(text.span(), "no time at all", "not above 0", help);
                None
            }
            Err(wrong) => {
                self.wrong(text, "a time that cannot be used", wrong);
                None
            }
        }
    }
}

//! What is shown, as a file for others.

use std::cell::RefCell;

use perfwright_analyze::{By, CallTree};
use perfwright_format::{firefox, folded, pprof, speedscope};
use perfwright_model::Profile;

use super::{
    session::{Session, has_labels, short, unit},
    steps::Sifts,
};

/// The formats that a profile is saved in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Saved {
    /// pprof, not gzipped: browsers pack it themselves.
    Pprof,
    /// Folded stacks, of the sample type that is shown.
    Folded,
    /// speedscope's JSON.
    Speedscope,
    /// The Firefox Profiler's JSON, of the sample type that is shown.
    Firefox,
}

impl Saved {
    /// The format of this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "pprof" => Some(Self::Pprof),
            "folded" => Some(Self::Folded),
            "speedscope" => Some(Self::Speedscope),
            "firefox" => Some(Self::Firefox),
            _ => None,
        }
    }
}

impl Session {
    /// The shown profile (or the baseline that it is compared with) as the filters leave it, with all sample
    /// types, labels and full names; the shown type is its default one.
    pub fn save(&self, of_baseline: bool, format: Saved) -> Result<Vec<u8>, String> {
        let side = usize::from(!of_baseline);
        let (positions, _) = self.positions(&self.state)?;
        let mut profile = self.filtered(side, positions[side]);
        profile.meta.default_sample_type = Some(positions[side]);
        let mut out = Vec::new();
        let written = match format {
            Saved::Pprof => pprof::write(&profile, &mut out),
            Saved::Folded => folded::write(&profile, positions[side], &mut out),
            Saved::Speedscope => speedscope::write(&profile, &mut out),
            Saved::Firefox => firefox::write(&profile, positions[side], &mut out),
        };
        written.map_err(|error| error.to_string())?;
        Ok(out)
    }

    /// What the filters leave of a profile.
    fn filtered(&self, side: usize, position: usize) -> Profile {
        let (state, profile) = (&self.state, self.side(&self.state, side));
        let full = RefCell::default();
        let rename = |name: &str| short(name, &full);
        let keep = |labels| has_labels(profile, labels, &state.steps);
        let by = unit(state);
        let mut builder = CallTree::builder(profile, position).by(by).labels(&keep);
        if !state.full_names {
            builder = builder.rename(&rename);
        }
        // Calls within one crate or file are no recursion.
        let no_recursion = state.no_recursion && by == By::Function;
        let sifts = Sifts::new(&state.steps, state.my_code, no_recursion);
        let mut verdicts = None;
        builder.excerpt(|path, symbols| {
            let verdicts = verdicts.get_or_insert_with(|| sifts.verdicts(symbols));
            sifts.apply_to_path(path, verdicts)
        })
    }
}

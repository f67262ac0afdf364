//! What of a profile another format has no place for.

use perfwright_model::{LabelSetId, Profile, keys};

use super::args::Target;

/// What is lost on the way to a format, in words; empty if nothing is. Sample types are told elsewhere.
pub(super) fn losses(profile: &Profile, target: Target) -> Vec<String> {
    let (kept_labels, keeps_lines, keeps_addresses, keeps_times) = match target {
        Target::Folded => (&[][..], false, false, false),
        Target::Speedscope => (&[keys::THREAD][..], true, false, true),
        Target::Firefox => (&FIREFOX_LABELS[..], true, true, true),
        // A picture is not taken for the profile.
        Target::Pprof | Target::PprofPlain | Target::Html | Target::Svg => return Vec::new(),
    };
    let mut lost = Vec::new();
    let labels = label_keys(profile)
        .into_iter()
        .filter(|key| !kept_labels.contains(key));
    let labels: Vec<&str> = labels.collect();
    if !labels.is_empty() {
        lost.push(format!("labels ({})", labels.join(", ")));
    }
    let mut lines = (0..profile.location_count())
        .flat_map(|at| profile.frames(perfwright_model::LocationId::from_index(at)));
    if !keeps_lines && lines.any(|frame| frame.line.is_some()) {
        lost.push("lines".to_owned());
    }
    if !keeps_addresses
        && profile
            .locations()
            .any(|location| location.address.is_some())
    {
        lost.push("addresses".to_owned());
    }
    if !keeps_times && profile.samples().any(|sample| sample.time_nanos.is_some()) {
        lost.push("times".to_owned());
    }
    lost
}

const FIREFOX_LABELS: [&str; 4] = [keys::THREAD, keys::TID, "process", "process_id"];

/// The keys of all labels, in the order of their first use.
fn label_keys(profile: &Profile) -> Vec<&str> {
    let mut found = Vec::new();
    for set in 0..profile.label_set_count() {
        for label in profile.labels(LabelSetId::from_index(set)) {
            let key = profile.string(label.key);
            if !found.contains(&key) {
                found.push(key);
            }
        }
    }
    found
}

//! What a thread worked on, as labels.

use perfwright_context::Word;
use perfwright_model::{Label, Profile, keys};

/// The labels that a captured context word stands for: its path's, of several with one key the innermost, and
/// the path of its spans if there are several. With `span_ids` also the one span instance that it was captured in
/// and the task that ran it, which makes nearly every sample's labels its own.
pub fn context_labels(profile: &mut Profile, word: Word, span_ids: bool) -> Vec<Label> {
    let context = perfwright_context::labels(word.node());
    let mut labels = Vec::new();
    let spans: Vec<_> = context
        .iter()
        .filter(|(key, _)| key == keys::SPAN)
        .map(|(_, span)| span.as_str())
        .collect();
    if spans.len() > 1 {
        labels.push(profile.str_label(keys::SPAN_PATH, &spans.join(" > ")));
    }
    for (i, (key, value)) in context.iter().enumerate() {
        if !context[i + 1..].iter().any(|(later, _)| later == key) {
            labels.push(profile.str_label(key, value));
        }
    }
    if span_ids && let Some(instance) = word.instance() {
        if let Some(id) = instance.id() {
            labels.push(profile.num_label(keys::SPAN_ID, id as i64, ""));
        }
        if let Some(task) = instance.task() {
            labels.push(profile.num_label(keys::TASK, task as i64, ""));
        }
    }
    labels
}

//! What a budget selects.

use std::ops::Range;

use toml::Spanned;

use super::{Select, reader::Reader};
use crate::{
    file::{self, Names},
    metric::Metric,
    pattern::Pattern,
};

impl Reader<'_> {
    pub(super) fn select(
        &mut self,
        raw: Option<Spanned<file::Select>>,
        metric: Metric,
        at: Range<usize>,
    ) -> Select {
        let at = raw.as_ref().map_or(at, |raw| raw.span());
        let raw = raw.map(Spanned::into_inner).unwrap_or_default();
        let given = given(&raw);
        let allowed = metric.spec().select;
        for (key, span) in &given {
            if !allowed.contains(key) {
                let help = match allowed {
                    [] => format!("{} selects by nothing: it is of the process", metric.name()),
                    _ => format!("{} selects by {}", metric.name(), allowed.join(", ")),
                };
                let label = format!("{} has no `{key}`", metric.name());
                self.problem(span.clone(), "nothing to select by", &label, &help);
            }
        }
        let is_given = |key: &&str| given.iter().any(|(given, _)| given == key);
        for needed in metric.spec().needs {
            if !needed.iter().any(is_given) {
                let help = format!(
                    "add `select = {{ {} = \"…\" }}`",
                    needed.join(" = \"…\" }` or `{ ")
                );
                self.problem(at.clone(), "nothing is selected", "of what?", &help);
            }
        }
        if let (Some(crates), Some(_)) = (&raw.crate_name, &raw.section) {
            let help = "write a budget for each: a crate has bytes in many sections";
            self.problem(
                crates.span(),
                "crate and section selected at once",
                "one of them",
                help,
            );
        }
        if let (Some(crates), Some(_)) = (&raw.crate_name, &raw.function) {
            let help = "a pattern such as `serde_json::*` selects functions of one crate";
            self.problem(
                crates.span(),
                "crate and function selected at once",
                "one of them",
                help,
            );
        }
        self.selected(raw)
    }

    fn selected(&mut self, raw: file::Select) -> Select {
        let route = self.patterns(raw.route);
        let mut labels = Vec::new();
        if !route.is_empty() {
            labels.push((perfwright_model::keys::ROUTE.to_owned(), route.clone()));
        }
        let span = self.patterns(raw.span);
        if !span.is_empty() {
            labels.push((perfwright_model::keys::SPAN.to_owned(), span.clone()));
        }
        for (key, names) in raw.label.map(Spanned::into_inner).unwrap_or_default() {
            labels.push((key, names.0.into_iter().map(Pattern::new).collect()));
        }
        Select {
            profile: raw.profile.map(Spanned::into_inner),
            value: raw.value.map(Spanned::into_inner),
            function: self.patterns(raw.function),
            crate_name: self.patterns(raw.crate_name),
            labels,
            route,
            span,
            bench: self.patterns(raw.bench),
            command: raw.command.map(Spanned::into_inner),
            section: self.patterns(raw.section),
            artifact: self.artifacts(raw.artifact),
            package: raw.package.map(Spanned::into_inner),
            features: raw.features.map(Spanned::into_inner).unwrap_or_default(),
            default_features: raw.default_features.is_none_or(Spanned::into_inner),
            name: raw.name.map(Spanned::into_inner),
        }
    }

    fn patterns(&mut self, names: Option<Spanned<Names>>) -> Vec<Pattern> {
        let Some(names) = names else {
            return Vec::new();
        };
        let empty = names.get_ref().0.iter().any(|name| name.trim().is_empty());
        if empty || names.get_ref().0.is_empty() {
            let help = "write a name; `*` stands for any characters";
            self.problem(names.span(), "a name is empty", "selects nothing", help);
        }
        names.into_inner().0.into_iter().map(Pattern::new).collect()
    }

    /// Files are looked for below the root only.
    fn artifacts(&mut self, names: Option<Spanned<Names>>) -> Vec<Pattern> {
        let span = names.as_ref().map(Spanned::span);
        let patterns = self.patterns(names);
        let leaves = |pattern: &Pattern| {
            let path = std::path::Path::new(pattern.as_str());
            let mut parts = path.components();
            path.is_absolute() || parts.any(|part| part == std::path::Component::ParentDir)
        };
        if let Some(span) = span.filter(|_| patterns.iter().any(leaves)) {
            let help = "write the path as seen from the root, without `..`";
            self.problem(span, "a path outside of the root", "leads out", help);
        }
        patterns
    }
}

/// What is selected by, and where it stands.
fn given(raw: &file::Select) -> Vec<(&'static str, Range<usize>)> {
    fn place<T>(field: &Option<Spanned<T>>) -> Option<Range<usize>> {
        field.as_ref().map(Spanned::span)
    }
    let fields = [
        ("profile", place(&raw.profile)),
        ("value", place(&raw.value)),
        ("function", place(&raw.function)),
        ("crate", place(&raw.crate_name)),
        ("route", place(&raw.route)),
        ("span", place(&raw.span)),
        ("label", place(&raw.label)),
        ("bench", place(&raw.bench)),
        ("command", place(&raw.command)),
        ("section", place(&raw.section)),
        ("artifact", place(&raw.artifact)),
        ("package", place(&raw.package)),
        ("features", place(&raw.features)),
        ("default_features", place(&raw.default_features)),
        ("name", place(&raw.name)),
    ];
    let given = fields.into_iter();
    given.filter_map(|(key, span)| Some((key, span?))).collect()
}

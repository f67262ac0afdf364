//! A budget file as it is written: what serde reads, before it is judged.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use toml::Spanned;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) version: Option<Spanned<i64>>,
    #[serde(default)]
    pub(crate) defaults: Defaults,
    #[serde(default)]
    pub(crate) environment: Environment,
    #[serde(default)]
    pub(crate) command: Vec<Command>,
    #[serde(default)]
    pub(crate) budget: Vec<Budget>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defaults {
    pub(crate) severity: Option<Severity>,
    pub(crate) missing: Option<Missing>,
    pub(crate) grandfather: Option<bool>,
    pub(crate) deviations: Option<Spanned<f64>>,
    pub(crate) on_breach: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Environment {
    #[serde(default, rename = "match")]
    pub(crate) matches: Vec<Spanned<String>>,
    pub(crate) max_load: Option<Spanned<f64>>,
}

/// What a budget that does not hold leads to.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is not looked at.
    Off,
    /// It is told of.
    Warn,
    /// The check fails.
    #[default]
    Error,
}

/// What missing data leads to.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// It is told of, and nothing follows.
    Skip,
    /// It is a warning.
    Warn,
    /// The check fails.
    #[default]
    Fail,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    pub(crate) id: Option<Spanned<String>>,
    pub(crate) about: Option<String>,
    pub(crate) metric: Spanned<String>,
    pub(crate) select: Option<Spanned<Select>>,
    #[serde(default)]
    pub(crate) limits: Vec<Spanned<String>>,
    pub(crate) regression: Option<Regression>,
    pub(crate) slo: Option<Spanned<Slo>>,
    pub(crate) severity: Option<Severity>,
    pub(crate) missing: Option<Missing>,
    pub(crate) grandfather: Option<bool>,
    pub(crate) min_samples: Option<Spanned<u64>>,
    pub(crate) sustained: Option<Sustained>,
    #[serde(default)]
    pub(crate) tighten: Vec<Tighten>,
    pub(crate) waiver: Option<Waiver>,
    pub(crate) on_breach: Option<Spanned<String>>,
}

/// What is run and measured.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Command {
    pub(crate) name: Spanned<String>,
    pub(crate) run: Spanned<Words>,
    pub(crate) cold: Option<Spanned<String>>,
    pub(crate) repeat: Option<Spanned<u32>>,
    pub(crate) timeout: Option<Spanned<String>>,
}

/// A text, or a list of words.
#[derive(Clone, Debug)]
pub(crate) enum Words {
    Text(String),
    List(Vec<String>),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Select {
    pub(crate) profile: Option<Spanned<String>>,
    pub(crate) value: Option<Spanned<String>>,
    pub(crate) function: Option<Spanned<Names>>,
    #[serde(rename = "crate")]
    pub(crate) crate_name: Option<Spanned<Names>>,
    pub(crate) route: Option<Spanned<Names>>,
    pub(crate) span: Option<Spanned<Names>>,
    pub(crate) label: Option<Spanned<BTreeMap<String, Names>>>,
    pub(crate) bench: Option<Spanned<Names>>,
    pub(crate) command: Option<Spanned<String>>,
    pub(crate) section: Option<Spanned<Names>>,
    pub(crate) artifact: Option<Spanned<Names>>,
    pub(crate) package: Option<Spanned<String>>,
    pub(crate) features: Option<Spanned<Vec<String>>>,
    pub(crate) default_features: Option<Spanned<bool>>,
    pub(crate) name: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Regression {
    pub(crate) max: Spanned<String>,
    pub(crate) floor: Option<Spanned<String>>,
    pub(crate) stat: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sustained {
    #[serde(rename = "for")]
    pub(crate) duration: Spanned<String>,
    pub(crate) every: Option<Spanned<String>>,
    pub(crate) keep_firing: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slo {
    pub(crate) objective: Spanned<String>,
    pub(crate) window: Option<Spanned<String>>,
    pub(crate) within: Option<Spanned<String>>,
    pub(crate) burn: Option<Burn>,
}

/// Whether Prometheus tells how fast errors use up what an objective allows.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Burn {
    /// Over the pairs of windows that Google's book has.
    #[default]
    Google,
    /// No: only the verdict of a check is wanted.
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tighten {
    pub(crate) from: Spanned<String>,
    pub(crate) limits: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Waiver {
    pub(crate) reason: Spanned<String>,
    pub(crate) until: Spanned<String>,
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a command, or a list of its words")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Words, E> {
        Ok(Words::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Words, A::Error> {
        Ok(Words::List(NamesVisitor.visit_seq(list)?.0))
    }
}

/// A name, or several.
#[derive(Clone, Debug)]
pub(crate) struct Names(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

/// Not an untagged enum: those lose the place of what is wrong.
struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a name, or a list of names")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
        Ok(Names(vec![name.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element()? {
            names.push(name);
        }
        Ok(Names(names))
    }
}

//! The shop's mistakes by name, and the set of them that is fixed in this run.

use std::ops::BitOr;

/// A mistake of the shop that `--fix` turns into the right way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fix {
    /// The order listing asks for the lines of each order with a query of its own.
    NPlusOne,
    /// Reviews are looked up by product without an index.
    MissingIndex,
    /// The product search compiles its patterns for every request.
    RegexPerRequest,
    /// Lists are encoded to text, which is read back into a tree and encoded again in its envelope.
    DoubleJson,
    /// The sales report clones the month's sales for each of its breakdowns.
    Clones,
    /// The product page waits for independent queries one after the other.
    SequentialAwaits,
    /// The checkout loads the shop's settings again for every line.
    RepeatedQuery,
    /// The order export is compressed on the thread that serves requests.
    BlockingCall,
    /// Rendered order listings are kept for ever, though they are never asked for again.
    UnboundedCache,
    /// The order export makes a string of every field.
    StringPerField,
}

impl Fix {
    /// Every mistake, in the order of the listing.
    pub const ALL: [Fix; 10] = [
        Fix::NPlusOne,
        Fix::MissingIndex,
        Fix::RegexPerRequest,
        Fix::DoubleJson,
        Fix::Clones,
        Fix::SequentialAwaits,
        Fix::RepeatedQuery,
        Fix::BlockingCall,
        Fix::UnboundedCache,
        Fix::StringPerField,
    ];

    /// The name that `--fix` takes.
    pub fn name(self) -> &'static str {
        match self {
            Fix::NPlusOne => "n-plus-one",
            Fix::MissingIndex => "missing-index",
            Fix::RegexPerRequest => "regex-per-request",
            Fix::DoubleJson => "double-json",
            Fix::Clones => "clones",
            Fix::SequentialAwaits => "sequential-awaits",
            Fix::RepeatedQuery => "repeated-query",
            Fix::BlockingCall => "blocking-call",
            Fix::UnboundedCache => "unbounded-cache",
            Fix::StringPerField => "string-per-field",
        }
    }

    /// One line on where the mistake is and what the fix does.
    pub fn summary(self) -> &'static str {
        match self {
            Fix::NPlusOne => {
                "GET /orders: load the lines of all listed orders with one query, not one per order"
            }
            Fix::MissingIndex => {
                "GET /products/{id}: index the reviews by product instead of scanning them"
            }
            Fix::RegexPerRequest => {
                "GET /products: compile the search patterns once, not per request"
            }
            Fix::DoubleJson => {
                "GET /products, /orders: encode a list once, not its items first and then the envelope"
            }
            Fix::Clones => {
                "GET /reports/sales: borrow the sales instead of cloning them per breakdown"
            }
            Fix::SequentialAwaits => {
                "GET /products/{id}: run the independent queries at once, not in sequence"
            }
            Fix::RepeatedQuery => {
                "POST /checkout: load the settings once, not again for every line"
            }
            Fix::BlockingCall => {
                "GET /orders/export: compress on a blocking thread, not on the runtime's"
            }
            Fix::UnboundedCache => "GET /orders: keep the last rendered listings, not all of them",
            Fix::StringPerField => {
                "GET /orders/export: write the fields into one text, not each into its own first"
            }
        }
    }

    /// The listing of `--list-fixes`: a line for each mistake.
    pub fn list() -> String {
        Self::ALL
            .iter()
            .map(|fix| format!("{:<18} {}\n", fix.name(), fix.summary()))
            .collect()
    }

    fn names() -> String {
        Self::ALL.map(Fix::name).join(", ")
    }
}

/// A set of mistakes to do right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fixes(u16);

impl Fixes {
    /// The shop with all its mistakes.
    pub fn none() -> Self {
        Fixes(0)
    }

    /// The shop without any of them.
    pub fn all() -> Self {
        Fix::ALL
            .into_iter()
            .fold(Self::none(), |fixes, fix| fixes | fix.into())
    }

    /// Whether `fix` is turned on.
    pub fn has(self, fix: Fix) -> bool {
        self.0 & Fixes::from(fix).0 != 0
    }
}

impl From<Fix> for Fixes {
    fn from(fix: Fix) -> Self {
        Fixes(1 << fix as u8)
    }
}

impl BitOr for Fixes {
    type Output = Fixes;

    fn bitor(self, other: Fixes) -> Fixes {
        Fixes(self.0 | other.0)
    }
}

/// One value of `--fix`: a name, or `all`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FixArg(Fixes);

impl FixArg {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(FixArg(Fixes::all()));
        }
        let known = Fix::ALL.into_iter().find(|fix| fix.name() == text);
        known
            .map(|fix| FixArg(fix.into()))
            .ok_or_else(|| format!("no such fix; the names are all, {}", Fix::names()))
    }

    pub(crate) fn fixes(self) -> Fixes {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_its_own_fix() {
        for fix in Fix::ALL {
            let fixes = FixArg::parse(fix.name()).unwrap().fixes();
            let on: Vec<Fix> = Fix::ALL.into_iter().filter(|&fix| fixes.has(fix)).collect();
            assert_eq!(on, [fix]);
        }
        assert!(
            Fix::ALL
                .into_iter()
                .all(|fix| FixArg::parse("all").unwrap().fixes().has(fix))
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_names() {
        let error = FixArg::parse("n-plus-two").unwrap_err();
        assert!(
            Fix::ALL.into_iter().all(|fix| error.contains(fix.name())),
            "{error}"
        );
    }
}

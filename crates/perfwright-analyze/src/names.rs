//! Reading the names of functions and files: which crate, whose code, and what fits on a screen.

/// Crates that come with the compiler.
const STD_CRATES: [&str; 10] = [
    "__rustc",
    "std",
    "core",
    "alloc",
    "proc_macro",
    "test",
    "panic_unwind",
    "panic_abort",
    "compiler_builtins",
    "std_detect",
];

/// Types that name no crate.
const PRIMITIVES: [&str; 21] = [
    "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64",
    "i128", "isize", "f16", "f32", "f64", "f128", "fn", "dyn",
];

/// Whose code a frame runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// The workspace's own.
    Own,
    /// A package from a registry or a git checkout; also Rust code of which no file is known.
    Dependency,
    /// The standard library.
    Std,
    /// Code without a Rust crate: C, assembly, the kernel.
    Native,
    /// No code: see [`is_pseudo`].
    Pseudo,
}

impl Origin {
    /// The origin of a function by its name and, if known, its source file.
    pub fn of(name: &str, file: Option<&str>) -> Self {
        if is_pseudo(name) {
            return Self::Pseudo;
        }
        let crate_name = crate_of(name);
        if crate_name.is_some_and(is_std_crate) || file.is_some_and(is_std_path) {
            return Self::Std;
        }
        let is_ours = |name: &str| name == "perfwright" || name.starts_with("perfwright_");
        // The profiler is no part of what is profiled, also where both are in one workspace.
        if crate_name.is_some_and(is_ours) || file.and_then(crate_of_path).is_some() {
            return Self::Dependency;
        }
        match (crate_name, file) {
            // With line tables alone, inlined functions have no path in their name.
            (None, Some(file)) if file.ends_with(".rs") => Self::Own,
            (None, _) => Self::Native,
            (Some(_), Some(_)) => Self::Own,
            (Some(_), None) => Self::Dependency,
        }
    }
}

/// Whether a frame is no code but a remark such as `[kernel or lost]` or `[unknown]`.
pub fn is_pseudo(name: &str) -> bool {
    name.len() > 2 && name.starts_with('[') && name.ends_with(']')
}

fn is_std_crate(name: &str) -> bool {
    STD_CRATES.contains(&name)
}

fn is_std_path(path: &str) -> bool {
    std_relative(path).is_some()
}

/// The crate of a Rust function, from its demangled name: `alloc` for
/// `<alloc::vec::Vec<T> as core::fmt::Debug>::fmt`. Of an implementation it is the type's crate; for a type
/// that has none (`&T`, `[u8]`) the trait's. `None` for names that are not Rust paths.
pub fn crate_of(name: &str) -> Option<&str> {
    let name = name
        .strip_prefix('_')
        .filter(|rest| rest.starts_with('<'))
        .unwrap_or(name);
    if let Some(inner) = name.strip_prefix('<') {
        let end = closing(inner)?;
        let (of, rest) = (&inner[..end], &inner[end + 1..]);
        if !rest.starts_with("::") {
            return None;
        }
        let (of, by) = split_as(of);
        return crate_of_type(of).or_else(|| by.and_then(crate_of_type));
    }
    path_head(name)
}

/// The crate of a type or trait such as `&mut [alloc::string::String]`.
fn crate_of_type(text: &str) -> Option<&str> {
    let mut rest = text.trim_start();
    loop {
        let stripped = ["&", "*const ", "*mut ", "mut ", "dyn ", "impl ", "(", "["]
            .iter()
            .find_map(|prefix| rest.strip_prefix(prefix));
        match stripped {
            Some(stripped) => rest = stripped.trim_start(),
            None if rest.starts_with('\'') => rest = rest.split_once(' ')?.1,
            None => break,
        }
    }
    if rest.starts_with('<') {
        return crate_of(rest);
    }
    path_head(rest).filter(|first| !PRIMITIVES.contains(first))
}

/// The first word of a path, which a path follows or a crate hash in brackets.
fn path_head(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let rest = &text[end..];
    let is_path = rest.starts_with("::") || rest.trim_start_matches(is_hash_part).starts_with("::");
    (end > 0 && is_path && !text.starts_with(|c: char| c.is_ascii_digit())).then_some(&text[..end])
}

fn is_hash_part(c: char) -> bool {
    c == '[' || c == ']' || c.is_ascii_hexdigit()
}

/// Splits `A as B` outside of brackets.
fn split_as(text: &str) -> (&str, Option<&str>) {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' if text[..at].ends_with('-') => {}
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 && text[at..].starts_with(" as ") => {
                return (&text[..at], Some(&text[at + 4..]));
            }
            _ => {}
        }
    }
    (text, None)
}

/// Where the `>` is that closes a `<` just before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if text[..at].ends_with('-') => {}
            '>' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The package whose source file this is, when the path is cargo's: `tokio` for
/// `/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.45.0/src/lib.rs`.
pub fn crate_of_path(path: &str) -> Option<&str> {
    let folder = package_folder(path)?.split(['/', '\\']).next()?;
    let is_version = |text: &str| {
        let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
        digits.len() < text.len() && digits.starts_with('.')
    };
    let version = folder
        .match_indices('-')
        .find(|&(at, _)| is_version(&folder[at + 1..]));
    let end = version.map(|(at, _)| at).or_else(|| folder.rfind('-'));
    Some(&folder[..end.unwrap_or(folder.len())])
}

/// The crate that a source file seems to belong to, for functions whose name does not tell: the downloaded
/// package or the standard library's crate, else the folder that holds `src`.
pub(crate) fn crate_of_source(path: &str) -> Option<String> {
    let folder = crate_of_path(path).or_else(|| std_relative(path)?.split('/').next());
    let own = || {
        let (above, file) = path.rsplit_once("/src/")?;
        file.ends_with(".rs").then(|| above.rsplit('/').next())?
    };
    folder
        .or_else(own)
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
}

/// The part of a path that begins at the package's folder, in cargo's registry or git checkouts.
fn package_folder(path: &str) -> Option<&str> {
    let after = |marker: &&str| Some(&path[path.find(marker)? + marker.len()..]);
    if let Some(index) = ["registry/src/", "registry\\src\\"].iter().find_map(after) {
        return index.find(['/', '\\']).map(|at| &index[at + 1..]);
    }
    ["git/checkouts/", "git\\checkouts\\", "/vendor/"]
        .iter()
        .find_map(after)
}

/// A path that a person recognises at a glance: without cargo's registry, the compiler's source prefix
/// (`/rustc/<hash>/library/`), and the longest of `roots` (workspace, working directory) that it starts with.
pub fn short_path<'a>(path: &'a str, roots: &[&str]) -> &'a str {
    let below = |root: &&str| {
        let root = root.trim_end_matches(['/', '\\']);
        let rest = path.strip_prefix(root).filter(|_| !root.is_empty())?;
        rest.strip_prefix(['/', '\\'])
    };
    if let Some(folder) = package_folder(path) {
        return folder;
    }
    if let Some(rest) = std_relative(path) {
        return rest;
    }
    let shortest = roots.iter().filter_map(below).min_by_key(|rest| rest.len());
    let path = shortest.unwrap_or(path);
    path.strip_prefix("./").unwrap_or(path)
}

/// The part of a path that begins at the crate's folder, in the standard library's sources or those of the
/// crates that it was built with.
fn std_relative(path: &str) -> Option<&str> {
    if let Some(rest) = path.strip_prefix("/rust/deps/") {
        return Some(rest);
    }
    if let Some(rest) = path.strip_prefix("/rustc/") {
        let (_, rest) = rest.split_once('/')?;
        return Some(rest.strip_prefix("library/").unwrap_or(rest));
    }
    let rest = &path[path.rfind("/library/")? + "/library/".len()..];
    let (name, below) = rest.split_once('/')?;
    (is_std_crate(name) && below.starts_with("src/")).then_some(rest)
}

/// Longest list of generic arguments that [`short_name`] leaves in, in bytes. Tuned by eye: 24 keeps
/// `Vec<String>` and `Result<Order, sqlx::Error>`-like lists, and drops the towers that futures make.
const MAX_ARGUMENTS: usize = 24;

/// A function's name for display. Hashes go, generic arguments lose their paths and fold to `<_>` when they
/// are long, `<A as path::B>::f` becomes `<A as B>::f`, and every spelling of closures `{closure}`.
///
/// ```
/// use perfwright_analyze::short_name;
/// assert_eq!(short_name("shop::db::load::h0123456789abcdef"), "shop::db::load");
/// assert_eq!(short_name("core::ptr::drop_in_place<alloc::string::String>"), "core::ptr::drop_in_place<String>");
/// ```
pub fn short_name(name: &str) -> String {
    let name = without_hash(name);
    if is_pseudo(name) || !balanced(name) {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len().min(120));
    shorten(name, false, &mut out);
    out
}

fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            path
        }
        _ => name,
    }
}

/// C++ operators and broken names are left alone.
fn balanced(name: &str) -> bool {
    let mut depth = 0_i32;
    let mut previous = ' ';
    for c in name.chars() {
        match c {
            '<' => depth += 1,
            '>' if previous != '-' => depth -= 1,
            _ => {}
        }
        if !(0..=64).contains(&depth) {
            return false;
        }
        previous = c;
    }
    depth == 0 && !name.contains("operator")
}

/// Appends `text`, shortened. `last_only`: of paths only the last segment.
fn shorten(text: &str, last_only: bool, out: &mut String) {
    let mut segment = out.len();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        if word > 0 {
            out.push_str(&rest[..word]);
            rest = &rest[word..];
        } else if let Some(after) = rest.strip_prefix("::<") {
            rest = arguments(after, out);
        } else if let Some(after) = rest.strip_prefix("::") {
            if last_only && !after.starts_with('{') {
                out.truncate(segment);
            } else {
                out.push_str("::");
            }
            rest = after;
        } else if let Some(after) = rest.strip_prefix('<') {
            let is_argument =
                out[segment..].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '}');
            rest = if is_argument {
                arguments(after, out)
            } else {
                qualified(after, last_only, out)
            };
        } else if let Some(after) = closure(rest) {
            out.push_str("{closure}");
            rest = after;
        } else if let Some(after) = crate_hash(rest, &out[segment..]) {
            rest = after;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            segment = out.len();
        }
    }
}

/// Appends the list that `text` begins with, after its `<`; gives what follows its `>`.
fn arguments<'a>(text: &'a str, out: &mut String) -> &'a str {
    let Some(end) = closing(text) else {
        out.push('<');
        return text;
    };
    let start = out.len();
    out.push('<');
    shorten(&text[..end], true, out);
    out.push('>');
    if out.len() - start > MAX_ARGUMENTS {
        out.truncate(start);
        out.push_str("<_>");
    }
    &text[end + 1..]
}

/// Appends `<A as B>` or `<A>` after its `<`; gives what follows.
fn qualified<'a>(text: &'a str, last_only: bool, out: &mut String) -> &'a str {
    let Some(end) = closing(text) else {
        out.push('<');
        return text;
    };
    let (of, by) = split_as(&text[..end]);
    if by.is_some() {
        out.push('<');
    }
    shorten(of, last_only, out);
    if let Some(by) = by {
        out.push_str(" as ");
        shorten(by, true, out);
        out.push('>');
    }
    &text[end + 1..]
}

/// What follows `{{closure}}` or `{closure#0}`.
fn closure(text: &str) -> Option<&str> {
    text.strip_prefix("{{closure}}").or_else(|| {
        let rest = text.strip_prefix("{closure#")?;
        let (number, rest) = rest.split_once('}')?;
        number.bytes().all(|b| b.is_ascii_digit()).then_some(rest)
    })
}

/// What follows the `[1f2e3d4c5b6a7980]` of a v0 crate name.
fn crate_hash<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (hash, rest) = text.strip_prefix('[')?.split_once(']')?;
    let is_hash = hash.len() >= 8 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    (is_hash && !word.is_empty()).then_some(rest)
}

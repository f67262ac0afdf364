//! Names for people.

/// A mangled name, longer than which demangling is not tried: hostile names expand.
const MAX_MANGLED: usize = 16 << 10;
/// The longest demangled name.
const MAX_DEMANGLED: usize = 32 << 10;

/// Demangles Rust (legacy and v0, without the hash) and C++ names; generics stay. Others come back as they
/// are.
pub fn demangle(name: &str) -> String {
    if name.len() > MAX_MANGLED {
        return name.to_owned();
    }
    let plain = strip_suffix(name);
    let tried = match rustc_demangle::try_demangle(plain) {
        Ok(rust) => print(&format_args!("{rust:#}")),
        Err(_) if plain.starts_with("_Z") || plain.starts_with("__Z") => {
            let symbol = cpp_demangle::Symbol::new(plain);
            symbol.ok().and_then(|symbol| symbol.demangle().ok())
        }
        Err(_) => None,
    };
    tried.unwrap_or_else(|| name.to_owned())
}

/// Whether the name went through a mangling, so that it says more than a plain one.
pub(crate) fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R") || name.starts_with("__Z")
}

/// LLVM and GCC append `.llvm.123` to names of local functions that they made visible to each other.
fn strip_suffix(name: &str) -> &str {
    match name.find(".llvm.") {
        Some(at) => &name[..at],
        None => name,
    }
}

fn print(name: &std::fmt::Arguments<'_>) -> Option<String> {
    let mut limited = Limited(String::new());
    std::fmt::write(&mut limited, *name).ok()?;
    Some(limited.0)
}

struct Limited(String);

impl std::fmt::Write for Limited {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > MAX_DEMANGLED {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

//! The sampler against known truth.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux {
    mod labels;
    mod lifecycle;
    mod names;
    mod process;
    mod truth;
    mod work;
}

//! Stack capture for samplers: from the registers of an interrupted thread to the return addresses
//! of its callers.
//!
//! A sampler has two sides, and so has this crate.
//!
//! **In the signal handler** you give the interrupted registers ([`Regs::from_ucontext`]) and a
//! [`CodeMap`]; [`walk`] returns the program counter and the return addresses. It allocates
//! nothing, takes no lock and is bounded by the stack it knows. Code with frame pointers costs two
//! loads a frame. Elsewhere (libc, assembly, prologues, whole programs built without frame
//! pointers) a compact table says where the caller is: call frame information, boiled down to five
//! bytes a row when the map was built. Where that says too little, [`Walk::needs_copy`] asks for a
//! [`copy_stack`].
//!
//! **In the collector thread** an [`Image`] knows the process's modules, with build ids; it makes
//! the map, notices libraries that come and go ([`Image::refresh`]), and unwinds copied stacks with
//! framehop ([`Image::unwind`]).
//!
//! ```no_run
//! # #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
//! # fn main() -> std::io::Result<()> {
//! let image = perfwright_stack::Image::load()?;
//! let map = image.code_map(); // publish it to the handler
//! for module in image.modules() {
//!     println!("{:x?} {}", module.range, module.path.display());
//! }
//! # drop(map); Ok(()) }
//! # #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
//! # fn main() {}
//! ```
//!
//! Return addresses are given as they lie on the stack, one instruction behind the call: subtract 1
//! before a lookup (all but the first address). It will not symbolize, install signal handlers,
//! sample, or look at other processes. Linux on x86-64 and aarch64 (the latter is compiled, not
//! run); elsewhere only the build-id functions exist.

mod build_id;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux;

pub use build_id::{build_id_of, build_id_of_bytes};
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use linux::{
    CodeMap, FpState, Image, Module, Regs, StackBounds, Unwound, Walk, WalkEnd, copy_stack,
    thread_pointer, walk,
};

//! One rule of unwinding: how to get from a frame to the frame of its caller.

use gimli::{CfaRule, Register, RegisterRule, UnwindTableRow};

/// A slot that says "the register still holds the caller's value".
pub(crate) const SAME: i16 = i16::MIN;

/// How to find the caller at one address of the code. The call frame information of the compiler
/// knows more registers and a whole expression language; a stack walk needs only these, which is
/// why a rule fits a byte of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    /// Nothing describes this code (assembly without call frame information, generated code).
    Unknown,
    /// Described, but by an expression or an unusual register: framehop's work.
    Complex,
    /// The compiler says that there is no caller: `_start`, `clone`.
    Root,
    /// The return address of a signal handler: the interrupted registers lie on the stack.
    Signal,
    /// x86-64 code whose frame pointer is set up: caller's frame pointer at `[fp]`, return address
    /// at `[fp + 8]`, caller's stack pointer `fp + 16`. By far the commonest, so it has a fast
    /// path.
    Frame,
    /// Anything else that is a constant away from the stack or frame pointer.
    Offset(Offsets),
}

/// The numbers of [`Rule::Offset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Offsets {
    /// The canonical frame address (the caller's stack pointer) counts from the frame pointer, not
    /// the stack pointer.
    pub(crate) from_fp: bool,
    /// Bytes from that register to the canonical frame address.
    pub(crate) cfa: i32,
    /// Where the caller's frame pointer is, in words from the canonical frame address, or [`SAME`].
    pub(crate) fp: i16,
    /// Where the return address is, in words from the canonical frame address, or [`SAME`] (the
    /// link register).
    pub(crate) ra: i16,
}

impl Rule {
    /// True where nothing but the call itself has moved the stack pointer.
    pub(crate) fn is_untouched_stack(self) -> bool {
        let word = if cfg!(target_arch = "aarch64") { 0 } else { 8 };
        matches!(self, Rule::Offset(o) if !o.from_fp && o.cfa == word && o.fp == SAME)
    }

    /// True where the frame pointer register points at a frame record, so that a plain walk works.
    pub(crate) fn has_frame_pointer(self) -> bool {
        match self {
            Rule::Frame => true,
            Rule::Offset(o) => {
                let record = o.cfa + i32::from(o.fp) * 8;
                o.from_fp && o.fp != SAME && record == 0 && o.ra == o.fp.wrapping_add(1)
            }
            _ => false,
        }
    }
}

/// The DWARF register numbers that a walk follows, from the processor's ABI supplement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    sp: Register,
    fp: Register,
    ra: Register,
    /// No rule for the return address means "in its register still" (aarch64), not "no caller".
    ra_has_register: bool,
}

impl Registers {
    /// x86-64: rsp 7, rbp 6, return address 16.
    pub(crate) const X86_64: Registers = Registers {
        sp: Register(7),
        fp: Register(6),
        ra: Register(16),
        ra_has_register: false,
    };
    /// aarch64: sp 31, x29, x30.
    pub(crate) const AARCH64: Registers = Registers {
        sp: Register(31),
        fp: Register(29),
        ra: Register(30),
        ra_has_register: true,
    };

    /// Those of the processor that this was compiled for.
    pub(crate) const fn native() -> Registers {
        if cfg!(target_arch = "aarch64") {
            Registers::AARCH64
        } else {
            Registers::X86_64
        }
    }

    /// Translates one row of call frame information.
    pub(crate) fn rule(self, row: &UnwindTableRow<usize>) -> Rule {
        let Some(ra) = self.return_address(row.register(self.ra)) else {
            return Rule::Complex;
        };
        let ReturnAddress::At(ra) = ra else {
            return Rule::Root;
        };
        let CfaRule::RegisterAndOffset { register, offset } = *row.cfa() else {
            return Rule::Complex;
        };
        let (Some(fp), Ok(cfa)) = (saved_at(row.register(self.fp)), i32::try_from(offset)) else {
            return Rule::Complex;
        };
        let from_fp = register == self.fp;
        if !from_fp && register != self.sp {
            return Rule::Complex;
        }
        match (self.ra_has_register, from_fp, cfa, fp, ra) {
            (false, true, 16, -2, -1) => Rule::Frame,
            _ => Rule::Offset(Offsets {
                from_fp,
                cfa,
                fp,
                ra,
            }),
        }
    }

    fn return_address(self, rule: Option<RegisterRule<usize>>) -> Option<ReturnAddress> {
        match rule {
            Some(RegisterRule::Undefined) => Some(ReturnAddress::None),
            None | Some(RegisterRule::SameValue) if !self.ra_has_register => {
                Some(ReturnAddress::None)
            }
            rule => saved_at(rule).map(ReturnAddress::At),
        }
    }
}

enum ReturnAddress {
    None,
    At(i16),
}

/// Words from the canonical frame address, [`SAME`], or `None` if it is neither.
fn saved_at(rule: Option<RegisterRule<usize>>) -> Option<i16> {
    match rule {
        None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => Some(SAME),
        Some(RegisterRule::Offset(bytes)) if bytes % 8 == 0 => {
            i16::try_from(bytes / 8).ok().filter(|words| *words != SAME)
        }
        Some(_) => None,
    }
}

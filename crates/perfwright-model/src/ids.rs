//! Ids: positions in one profile's tables, four bytes each.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// The position in the table.
            #[inline]
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The id of a position. It means something only for the table that has this position.
            ///
            /// # Panics
            /// If `index` is above `u32::MAX - 1`. A table of that length would take over 32 GiB;
            /// the readers of files limit their counts far below it.
            #[inline]
            pub const fn from_index(index: usize) -> Self {
                assert!(index < u32::MAX as usize, "a profile table holds fewer than 2^32 - 1 entries");
                Self(index as u32)
            }
        }
    )*};
}

ids! {
    /// A string of the profile.
    StringId;
    /// A file that was mapped into the process.
    MappingId;
    /// A function.
    FunctionId;
    /// A place in the code: an address, or where there is none, a frame.
    LocationId;
    /// A node of the stack tree, and thereby the stack that leads from it to the root.
    StackId;
    /// A set of labels.
    LabelSetId;
}

impl StringId {
    /// The empty string, present in every profile. As a name it means "unknown".
    pub const EMPTY: Self = Self(0);
}

impl StackId {
    /// The stack without frames, and the root of the stack tree.
    pub const ROOT: Self = Self(0);
}

impl LabelSetId {
    /// No labels.
    pub const EMPTY: Self = Self(0);
}

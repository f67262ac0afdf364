//! Questions to a profile: call tree, self and total, callers and callees, filters, differences

//! Benches of Perfwright's own hot paths; see `benches/hot.rs`.

//! Addresses of a profile to functions, files, lines and inlined frames

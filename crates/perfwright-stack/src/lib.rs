//! Stack capture for samplers: frame-pointer walk, unwinding of copied stacks, mappings and build ids

//! The profile model: one data type for CPU, heap and span profiles

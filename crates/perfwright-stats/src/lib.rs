//! Statistics for performance comparisons: paired log-ratios, bootstrap intervals, false discovery rates, change points

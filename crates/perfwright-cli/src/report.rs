//! The report of a run: what `report.json`, `report.md` and the terminal show.

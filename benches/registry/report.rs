//! What the run says against what was to be reached.

/// Collects verdicts, and prints them at the end.
#[derive(Default)]
pub struct Report {
    lines: Vec<(String, f64, String)>,
    doubts: Vec<String>,
}

impl Report {
    /// A figure that is to be `reach` or less.
    pub fn at_most(&mut self, what: impl Into<String>, figure: f64, reach: f64) {
        let verdict = if figure <= reach { "reached" } else { "MISSED" };
        self.lines.push((what.into(), figure, format!("{verdict}: {reach} or less")));
    }

    /// A figure that is to be `reach` or more.
    pub fn at_least(&mut self, what: impl Into<String>, figure: f64, reach: f64) {
        let verdict = if figure >= reach { "reached" } else { "MISSED" };
        self.lines.push((what.into(), figure, format!("{verdict}: {reach} or more")));
    }

    /// A figure to look at.
    pub fn figure(&mut self, what: impl Into<String>, figure: f64) {
        self.lines.push((what.into(), figure, String::new()));
    }

    /// Why a figure of this run is not what it is said to be.
    pub fn doubt(&mut self, why: impl Into<String>) {
        self.doubts.push(why.into());
    }

    /// Prints all.
    pub fn print(&self) {
        println!("\n{:80} {:>9}", "of this run", "");
        for (what, figure, verdict) in &self.lines {
            println!("{what:80} {figure:>9.2}   {verdict}");
        }
        for why in &self.doubts {
            println!("NOT TO BE TRUSTED: {why}");
        }
    }
}

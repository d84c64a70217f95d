//! What is shown at one moment, made of what a source has and what the user asks for.
//!
//! | column | holds |
//! |---|---|
//! | hits | in the span that was asked for |
//! | rate | hits a second in the last 10 seconds of it, or in a tick that is longer |
//! | history | the span in equal parts, oldest first |
//!
//! Rows are in the order that was asked for; those that are equal are in the order of their names.
//!
//! Tests: below, `tests/top`.

use std::collections::HashMap;
use std::time::Duration;

use super::source::{About, Counted, Source};
use crate::cli::failure::Failure;

/// The order of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Sort {
    /// Most hits first
    #[default]
    Hits,
    /// Highest rate first
    Rate,
    /// By name
    Name,
}

/// What a user asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    pub(super) last: Duration,
    pub(super) sort: Sort,
    /// Only names that contain this, whatever the case of letters.
    pub(super) filter: String,
    /// How many rows are left out, and how many are wanted behind these.
    pub(super) skip: usize,
    pub(super) rows: usize,
    /// The most columns of a row's history.
    pub(super) columns: usize,
    /// The most columns of the history of all hits, and of the row that is open.
    pub(super) wide: usize,
    /// A name whose row is wanted beside, with a longer history.
    pub(super) open: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    /// The name as it is safe to show.
    pub(super) label: String,
    pub(super) hits: u64,
    pub(super) rate: f64,
    pub(super) history: Vec<u64>,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) key: &'static str,
    pub(super) last: Duration,
    /// The width of a column of a row's history.
    pub(super) width: Duration,
    /// The width of a column of the other histories.
    pub(super) wide: Duration,
    pub(super) all: Row,
    /// The names that have hits, and how many of them the filter leaves.
    pub(super) names: usize,
    pub(super) found: usize,
    pub(super) rows: Vec<Row>,
    pub(super) open: Option<Row>,
    pub(super) about: About,
}

/// The span over which a rate is taken.
const RATE: Duration = Duration::from_secs(10);

/// The frame that answers `question` now.
pub(super) fn frame(source: &mut dyn Source, question: &Question) -> Result<Frame, Failure> {
    let resolution = source.resolution();
    let last = whole_ticks(question.last.min(source.window()), resolution);
    let Counted { all, names } = source.refresh(last)?;
    let rate_span = whole_ticks(RATE.min(last), resolution);
    let (width, columns) = parts(last, resolution, question.columns);
    let (wide, wide_columns) = parts(last, resolution, question.wide);
    let number_of_names = names.len();
    let mut found = filtered(names, &question.filter);
    let number_found = found.len();
    let rates: HashMap<String, u64> = match question.sort {
        Sort::Rate => {
            let names: Vec<&str> = found.iter().map(|(name, _)| &**name).collect();
            let recent = source.histories(&names, rate_span, 1);
            found.iter().zip(recent).map(|((name, _), hits)| (name.clone(), hits[0])).collect()
        }
        _ => HashMap::new(),
    };
    let by_name = |a: &(String, u64), b: &(String, u64)| a.0.cmp(&b.0);
    match question.sort {
        Sort::Hits => found.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| by_name(a, b))),
        Sort::Rate => found.sort_unstable_by(|a, b| rates[&b.0].cmp(&rates[&a.0]).then_with(|| by_name(a, b))),
        Sort::Name => found.sort_unstable_by(by_name),
    }
    let open = question.open.as_ref().map(|open| {
        let hits = found.iter().find(|(name, _)| name == open).map_or(0, |(_, hits)| *hits);
        (open.clone(), hits)
    });
    let shown = found.into_iter().skip(question.skip).take(question.rows).collect();
    let listed = rows(source, shown, rate_span, (width, columns));
    let open = open.and_then(|open| rows(source, vec![open], rate_span, (wide, wide_columns)).pop());
    let rate = source.history(rate_span, 1)[0] as f64 / rate_span.as_secs_f64();
    let all = Row { hits: all, rate, history: source.history(wide, wide_columns), ..Row::default() };
    Ok(Frame {
        title: source.title(),
        key: source.key(),
        last,
        width,
        wide,
        all,
        names: number_of_names,
        found: number_found,
        rows: listed,
        open,
        about: source.about(last),
    })
}

/// The rows of names with their hits.
fn rows(
    source: &mut dyn Source,
    shown: Vec<(String, u64)>,
    rate_span: Duration,
    (width, columns): (Duration, usize),
) -> Vec<Row> {
    let names: Vec<&str> = shown.iter().map(|(name, _)| &**name).collect();
    let recent = source.histories(&names, rate_span, 1);
    let histories = source.histories(&names, width, columns);
    let found = shown.iter().zip(recent).zip(histories);
    let rows = found.map(|(((name, hits), recent), history)| Row {
        name: name.clone(),
        label: source.label(name),
        hits: *hits,
        rate: recent[0] as f64 / rate_span.as_secs_f64(),
        history,
    });
    rows.collect()
}

fn filtered(mut names: Vec<(String, u64)>, filter: &str) -> Vec<(String, u64)> {
    let filter = filter.to_lowercase();
    names.retain(|(name, _)| filter.is_empty() || name.to_lowercase().contains(&filter));
    names
}

/// As many whole ticks as `span` needs, one at least.
fn whole_ticks(span: Duration, resolution: Duration) -> Duration {
    resolution * ticks(span, resolution)
}

fn ticks(span: Duration, resolution: Duration) -> u32 {
    u32::try_from(span.as_nanos().div_ceil(resolution.as_nanos().max(1)).max(1)).unwrap_or(u32::MAX)
}

/// The width of a column and the number of columns, of which at most `most` make up `span`.
fn parts(span: Duration, resolution: Duration, most: usize) -> (Duration, usize) {
    let ticks = ticks(span, resolution);
    let most = u32::try_from(most.max(1)).unwrap_or(u32::MAX);
    let width = ticks.div_ceil(most);
    (resolution * width, (ticks / width) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A source of three names with constant counts in a window of 20 seconds. Only `/b` has a history.
    struct Fixed;

    impl Source for Fixed {
        fn title(&self) -> String {
            "fixed".to_owned()
        }

        fn key(&self) -> &'static str {
            "path"
        }

        fn window(&self) -> Duration {
            SECOND * 20
        }

        fn resolution(&self) -> Duration {
            SECOND
        }

        fn refresh(&mut self, last: Duration) -> Result<Counted, Failure> {
            assert_eq!(last, SECOND * 20, "no more than the window");
            let names = [("/b", 5), ("/A", 5), ("/c", 9)].map(|(name, hits)| (name.to_owned(), hits));
            Ok(Counted { all: 19, names: names.to_vec() })
        }

        fn histories(&mut self, names: &[&str], width: Duration, columns: usize) -> Vec<Vec<u64>> {
            assert!(columns as u64 * width.as_secs() <= 20);
            names.iter().map(|name| vec![if *name == "/b" { 30 } else { 0 }; columns]).collect()
        }

        fn history(&mut self, width: Duration, columns: usize) -> Vec<u64> {
            vec![width.as_secs(); columns]
        }

        fn about(&mut self, _: Duration) -> About {
            About::default()
        }
    }

    fn names(question: &Question) -> Vec<String> {
        let question = Question { last: SECOND * 99, rows: 9, columns: 8, wide: 8, ..question.clone() };
        let frame = frame(&mut Fixed, &question).expect("it does not fail");
        frame.rows.into_iter().map(|row| row.name).collect()
    }

    #[test]
    fn rows_are_sorted_filtered_and_skipped() {
        let of = |sort| names(&Question { sort, ..Question::default() });
        assert_eq!(of(Sort::Hits), ["/c", "/A", "/b"]);
        assert_eq!(of(Sort::Rate), ["/b", "/A", "/c"]);
        assert_eq!(of(Sort::Name), ["/A", "/b", "/c"]);
        assert_eq!(names(&Question { filter: "a".to_owned(), ..Question::default() }), ["/A"]);
        assert_eq!(names(&Question { skip: 2, ..Question::default() }), ["/b"]);
        assert_eq!(names(&Question { skip: 9, ..Question::default() }), [""; 0]);
    }

    #[test]
    fn a_row_is_opened_though_it_is_not_shown() {
        let open = Some("/b".to_owned());
        let question = Question { last: SECOND * 20, rows: 1, columns: 4, wide: 8, open, ..Question::default() };
        let frame = frame(&mut Fixed, &question).expect("it does not fail");
        assert_eq!((frame.rows.len(), frame.names, frame.found, frame.all.hits), (1, 3, 3, 19));
        let open = frame.open.expect("it was asked for");
        assert_eq!((&*open.name, open.hits, open.rate, open.history.len()), ("/b", 5, 3.0, 6));
    }

    #[test]
    fn columns_are_whole_ticks() {
        for (span, most, width, columns) in
            [(300, 60, 5, 60), (300, 80, 4, 75), (300, 1, 300, 1), (7, 60, 1, 7), (7, 3, 3, 2)]
        {
            assert_eq!(parts(SECOND * span, SECOND, most), (SECOND * width, columns), "{span} {most}");
        }
        assert_eq!(parts(SECOND * 10, SECOND * 4, 60), (SECOND * 4, 3));
    }
}

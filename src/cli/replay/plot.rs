//! The report as a picture: hits over time, and the keys with the most hits.
//!
//! The name of the file says whether it is SVG or PNG. The picture is drawn in memory and written at once. Letters of PNG come
//! from DejaVu Sans, which is part of the program, so that the fonts of the machine do not matter. A viewer of an SVG uses
//! its own font.
//!
//! Tests: `tests/replay`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::histogram::{Columns, round_step};
use super::report::{Question, Report};
use super::timeline::Timeline;
use crate::cli::columns::{cut, grouped, length};
use crate::cli::failure::{Failure, in_words};
use crate::cli::utc;

const WIDTH: u32 = 1_200;
/// Where hits over time end and keys begin.
const SPLIT: i32 = 420;
/// How many bars there may be over time, how many times below them, and how many keys.
const LEAST_COLUMNS: i64 = 20;
const MOST_COLUMNS: usize = 400;
const MOST_TIMES: i64 = 8;
const MOST_KEYS: usize = 15;
/// The longest key, in columns of text. Longer ones are cut in the middle.
const LONGEST_KEY: usize = 48;
/// How much room keys, their hits and their rows take.
const KEYS_WIDTH: i32 = 430;
const HITS_WIDTH: i32 = 130;
const ROW: i32 = 22;
const TITLE: i32 = 60;
const FONT: &str = "sans-serif";
const BARS: RGBColor = RGBColor(0x2f, 0x6f, 0x9f);
const LINES: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const TEXT: RGBColor = RGBColor(0x33, 0x33, 0x33);

/// Where a picture goes.
#[derive(Debug, Clone)]
pub(super) struct Plot {
    path: PathBuf,
    is_png: bool,
}

impl Plot {
    /// Reads the name of the command line.
    pub(super) fn parse(name: &OsStr) -> Result<Plot, String> {
        let path = PathBuf::from(name);
        let ending = path.extension().map(OsStr::to_ascii_lowercase);
        match ending.as_deref().and_then(OsStr::to_str) {
            Some("svg") => Ok(Plot { path, is_png: false }),
            Some("png") => Ok(Plot { path, is_png: true }),
            _ => Err("give the name of a file that ends with .svg or .png".to_owned()),
        }
    }

    /// Whether there is a folder for it, so that this is known before minutes of reading.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        match folder {
            Some(folder) if !folder.is_dir() => Err(self.failure("the folder does not exist")),
            _ => Ok(()),
        }
    }

    /// Draws and writes the picture.
    pub(super) fn write(
        &self,
        title: &str,
        timeline: &Timeline,
        question: &Question,
        report: &Report,
    ) -> Result<(), Failure> {
        static FONTS: Once = Once::new();
        FONTS.call_once(|| {
            let font = dejavu::sans::regular();
            register_font(FONT, FontStyle::Normal, font).unwrap_or_else(|_| unreachable!("it is a font"));
        });
        let picture = Picture { title, timeline, question, report };
        let bytes = if self.is_png { picture.png() } else { picture.svg() };
        std::fs::write(&self.path, bytes).map_err(|error| self.failure(&in_words(&error)))
    }

    fn failure(&self, what: &str) -> Failure {
        let name: &Path = &self.path;
        Failure::Message(format!("{}: the plot cannot be written: {what}", name.display()))
    }
}

type Drawn<D> = Result<(), DrawingAreaErrorKind<<D as DrawingBackend>::ErrorType>>;

struct Picture<'a> {
    title: &'a str,
    timeline: &'a Timeline,
    question: &'a Question,
    report: &'a Report,
}

impl Picture<'_> {
    /// As high as its keys need.
    fn size(&self) -> (u32, u32) {
        let rows = self.report.top.len().min(MOST_KEYS) as i32;
        (WIDTH, (SPLIT + TITLE + rows * ROW) as u32)
    }

    fn svg(&self) -> Vec<u8> {
        let mut text = String::new();
        self.draw(&SVGBackend::with_string(&mut text, self.size()).into_drawing_area()).expect("memory does not fail");
        text.into_bytes()
    }

    fn png(&self) -> Vec<u8> {
        let (width, height) = self.size();
        let mut pixels = vec![0; 3 * width as usize * height as usize];
        self.draw(&BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area())
            .expect("memory does not fail");
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().expect("memory does not fail");
        writer.write_image_data(&pixels).expect("memory does not fail");
        writer.finish().expect("memory does not fail");
        bytes
    }

    fn draw<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn<D> {
        area.fill(&WHITE)?;
        let (over_time, keys) = area.split_vertically(SPLIT);
        self.over_time(&over_time)?;
        self.keys(&keys)?;
        area.present()
    }

    fn over_time<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn<D> {
        let hits = grouped(self.report.events);
        let Some(Columns { step, first, hits: columns }) = Columns::new(self.timeline, MOST_COLUMNS) else {
            return area.titled(&format!("{}: no hits", cut(self.title, 60)), (FONT, 22)).map(|_| ());
        };
        let noun = if self.report.events == 1 { "hit" } else { "hits" };
        let date = utc::shown(first);
        let date = date.split('T').next().unwrap_or_default();
        let title = format!("{}: {hits} {noun}, {} a bar, UTC, from {date}", cut(self.title, 60), length(step));
        let highest = columns.iter().copied().max().unwrap_or(1);
        // A single bar does not fill the picture.
        let end = first + step * (columns.len() as i64).max(LEAST_COLUMNS);
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 22).into_text_style(area).color(&TEXT))
            .margin(16)
            .margin_right(56)
            .x_label_area_size(32)
            .y_label_area_size(90)
            .build_cartesian_2d(first as f64..end as f64, 0.0..highest as f64 * 1.05)?;
        let is_whole = |hits: f64| (hits - hits.round()).abs() < 1e-6;
        let label = (FONT, 15).into_text_style(area).color(&TEXT);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(LINES)
            .axis_style(TEXT)
            .label_style(label.clone())
            .x_labels(0)
            .y_labels(6)
            .y_label_formatter(&|hits| if is_whole(*hits) { grouped(*hits as u64) } else { String::new() })
            .draw()?;
        let below = label.pos(Pos::new(HPos::Center, VPos::Top));
        let apart = round_step(end - first, MOST_TIMES);
        for time in (0..).map(|n| (first.div_euclid(apart) + n) * apart).take_while(|time| *time <= end) {
            if time >= first {
                let (x, y) = chart.backend_coord(&(time as f64, 0.0));
                area.draw(&PathElement::new([(x, y), (x, y + 5)], TEXT))?;
                area.draw_text(&moment(time, end - first), &below, (x, y + 9))?;
            }
        }
        let bars = (0..).zip(columns).filter(|(_, hits)| *hits > 0).map(|(column, hits)| {
            let start = first + column * step;
            Rectangle::new([(start as f64, 0.0), ((start + step) as f64, hits as f64)], BARS.filled())
        });
        chart.draw_series(bars)?;
        Ok(())
    }

    /// Bars from left to right, the first at the top, with the key on the left of each and its hits on the right.
    fn keys<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn<D> {
        let rows = &self.report.top[..self.report.top.len().min(MOST_KEYS)];
        let Some(most) = rows.iter().map(|row| row.hits).max() else { return Ok(()) };
        let plural = self.question.key.plural();
        let about = if self.report.estimates.estimates.paths.is_some() { "about " } else { "" };
        let title = format!("top {} of {about}{} {plural}", rows.len(), grouped(self.report.distinct.keys as u64));
        let title = area.titled(&title, (FONT, 20).into_text_style(area).color(&TEXT))?;
        let right_of = |place| (FONT, 15, &TEXT).into_text_style(&title).pos(Pos::new(place, VPos::Center));
        let widest = WIDTH as i32 - KEYS_WIDTH - HITS_WIDTH;
        for (row, top) in rows.iter().zip((8..).step_by(ROW as usize)) {
            let width = (row.hits as f64 / most as f64 * f64::from(widest)).ceil() as i32;
            let (middle, end) = (top + ROW / 2, KEYS_WIDTH + width);
            title.draw_text(&cut(&row.key, LONGEST_KEY), &right_of(HPos::Right), (KEYS_WIDTH - 8, middle))?;
            title.draw(&Rectangle::new([(KEYS_WIDTH, top + 2), (end, top + ROW - 2)], BARS.filled()))?;
            title.draw_text(&grouped(row.hits), &right_of(HPos::Left), (end + 6, middle))?;
        }
        Ok(())
    }
}

/// A time as the axis has it: with what changes over `span` seconds.
fn moment(time: i64, span: i64) -> String {
    let text = utc::shown(time);
    let Some((date, clock)) = text.split_once('T') else { return text };
    match span {
        ..601 => clock.trim_end_matches('Z').to_owned(),
        601..86_401 => clock[..5].to_owned(),
        86_401..604_801 => format!("{} {}", &date[date.len() - 5..], &clock[..5]),
        _ => date.to_owned(),
    }
}

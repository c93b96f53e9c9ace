//! The comparison as an SVG: for each figure one bar per kind of ring, on a logarithmic scale around "equal".

use std::fmt::Write as _;

use super::summary::Summary;

/// Draws the summaries side by side. What only one daemon has is left out.
pub(super) fn draw(summaries: &[Summary]) -> String {
    let rows = rows(summaries);
    let column = if summaries.len() > 1 { RING } else { 0.0 };
    let scale = Scale {
        left: METRIC + column,
    };
    let height = rows.last().map_or(MARGIN, |row| row.y + ROW) + MARGIN;
    let middle = scale.place(1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{middle}\" y=\"18\" text-anchor=\"middle\">times as good as corosync</text>\n",
        width = scale.left + BARS + RIGHT,
    );
    for times in TICKS {
        let (x, bottom) = (scale.place(times), height - MARGIN);
        push(
            &mut svg,
            format_args!(
                "<line x1=\"{x:.1}\" y1=\"{MARGIN}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ccc\"/>\n\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{times}</text>\n",
                bottom + 16.0
            ),
        );
    }
    for row in &rows {
        label(&mut svg, METRIC, row.y, &row.metric);
        if summaries.len() > 1 {
            label(&mut svg, scale.left, row.y, &row.ring);
        }
        bar(&mut svg, scale, row);
    }
    svg.push_str("</svg>\n");
    svg
}

/// One bar.
struct Row {
    /// The figure's name, in its first row.
    metric: String,
    ring: String,
    advantage: f64,
    y: f64,
}

/// The bars of a figure stand together, in the order of the rings.
fn rows(summaries: &[Summary]) -> Vec<Row> {
    let mut metrics = Vec::new();
    for figure in summaries.iter().flat_map(|summary| &summary.figures) {
        if !metrics.contains(&figure.metric) {
            metrics.push(figure.metric);
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut y = MARGIN;
    for metric in metrics {
        let mut name = metric.label();
        for summary in summaries {
            let figure = summary.figures.iter().find(|f| f.metric == metric);
            let Some(advantage) = figure.and_then(|figure| figure.advantage()) else {
                continue;
            };
            rows.push(Row {
                metric: std::mem::take(&mut name),
                ring: summary.ring.label(),
                advantage,
                y,
            });
            y += ROW;
        }
        if summaries.len() > 1 {
            y += GAP;
        }
    }
    rows
}

/// Text that ends a little left of `x`.
fn label(svg: &mut String, x: f64, y: f64, text: &str) {
    let (x, y) = (x - 8.0, y + ROW * 0.65);
    push(
        svg,
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>\n"),
    );
}

fn bar(svg: &mut String, scale: Scale, row: &Row) {
    let (one, end) = (scale.place(1.0), scale.place(row.advantage));
    let colour = if row.advantage >= 1.0 {
        "#2a7f3f"
    } else {
        "#b3401f"
    };
    push(
        svg,
        format_args!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\">{:.2}</text>\n",
            one.min(end),
            row.y + ROW * 0.2,
            (one - end).abs().max(1.0),
            ROW * 0.6,
            one.max(end) + 6.0,
            row.y + ROW * 0.65,
            row.advantage
        ),
    );
}

/// The bars' part of the picture.
#[derive(Clone, Copy)]
struct Scale {
    left: f64,
}

impl Scale {
    /// Where a ratio lies across the picture; what lies outside the scale is drawn at its end.
    fn place(self, times: f64) -> f64 {
        let (low, high) = (TICKS[0].ln(), TICKS[TICKS.len() - 1].ln());
        let share = (times.ln() - low) / (high - low);
        self.left + share.clamp(0.0, 1.0) * BARS
    }
}

fn push(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text)
        .expect("a String takes all that is written");
}

const TICKS: [f64; 9] = [0.1, 0.2, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0];
/// Width of the column of figures.
const METRIC: f64 = 240.0;
/// Width of the column of rings, where there are several.
const RING: f64 = 150.0;
const BARS: f64 = 600.0;
const RIGHT: f64 = 60.0;
const ROW: f64 = 26.0;
/// Between the bars of two figures.
const GAP: f64 = 8.0;
const MARGIN: f64 = 34.0;

#[cfg(test)]
mod tests {
    use super::super::measure::Metric;
    use super::super::ring::{Crypto, Priority, Ring, Transport};
    use super::super::summary::Figure;
    use super::*;

    fn summary(transport: Transport, corosync: f64, ferrosync: Option<f64>) -> Summary {
        let figure = |metric| Figure {
            metric,
            corosync: Some(corosync),
            ferrosync,
        };
        Summary {
            ring: Ring {
                transport,
                crypto: Crypto::None,
                priority: Priority::Normal,
            },
            figures: [Metric::Throughput(64), Metric::Throughput(1024)]
                .map(figure)
                .into(),
        }
    }

    #[test]
    fn every_figure_has_its_bar_in_the_colour_of_its_outcome() {
        let picture = |ours| draw(&[summary(Transport::Udpu, 100.0, Some(ours))]);
        assert!(picture(200.0).contains(">2.00</text>"));
        assert!(picture(200.0).contains("#2a7f3f"));
        assert!(picture(50.0).contains("#b3401f"));
        // One kind of ring needs no name.
        assert!(!picture(50.0).contains("udpu"));
    }

    #[test]
    fn rings_stand_side_by_side_under_one_figure() {
        let picture = draw(&[
            summary(Transport::Udpu, 1.0, Some(3.0)),
            summary(Transport::Udp, 1.0, None),
            summary(Transport::Knet, 1.0, Some(4.0)),
        ]);
        let places = [">udpu<", ">3.00<", ">knet<", ">4.00<"].map(|text| picture.find(text));
        assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
        assert_eq!(picture.matches("throughput 64 B").count(), 1);
        // What only one daemon has been measured on has no ratio.
        assert!(!picture.contains(">udp<"));
    }

    #[test]
    fn ratios_beyond_the_scale_stay_in_the_picture() {
        let scale = Scale { left: METRIC };
        for times in [0.0, 1e-9, 1e9, f64::INFINITY] {
            let x = scale.place(times);
            assert!((METRIC..=METRIC + BARS).contains(&x), "{times}");
        }
        assert!(scale.place(0.5) < scale.place(1.0) && scale.place(1.0) < scale.place(2.0));
    }
}

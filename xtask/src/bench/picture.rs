//! The comparison as an SVG: one bar per figure, on a logarithmic scale around "equal".

use std::fmt::Write as _;

use super::summary::{Figure, Summary};

/// Draws the summary.
pub(super) fn draw(summary: &Summary) -> String {
    let rows = u32::try_from(summary.figures.len()).unwrap_or(u32::MAX);
    let height = f64::from(rows) * ROW + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MIDDLE}\" y=\"18\" text-anchor=\"middle\">times as good as corosync</text>\n"
    );
    for times in TICKS {
        let (x, bottom) = (place(times), height - MARGIN);
        push(
            &mut svg,
            format_args!(
                "<line x1=\"{x:.1}\" y1=\"{MARGIN}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ccc\"/>\n\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{times}</text>\n",
                bottom + 16.0
            ),
        );
    }
    let mut y = MARGIN;
    for figure in &summary.figures {
        bar(&mut svg, figure, y);
        y += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, figure: &Figure, y: f64) {
    let advantage = figure.advantage();
    let (one, end) = (place(1.0), place(advantage));
    let colour = if advantage >= 1.0 {
        "#2a7f3f"
    } else {
        "#b3401f"
    };
    push(
        svg,
        format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
         <rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\">{advantage:.2}</text>\n",
            LEFT - 8.0,
            y + ROW * 0.65,
            figure.metric.label(),
            one.min(end),
            y + ROW * 0.2,
            (one - end).abs().max(1.0),
            ROW * 0.6,
            one.max(end) + 6.0,
            y + ROW * 0.65
        ),
    );
}

/// Where a ratio lies across the picture; what lies outside the scale is drawn at its end.
fn place(times: f64) -> f64 {
    let (low, high) = (TICKS[0].ln(), TICKS[TICKS.len() - 1].ln());
    let share = (times.ln() - low) / (high - low);
    LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
}

fn push(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text)
        .expect("a String takes all that is written");
}

const TICKS: [f64; 9] = [0.1, 0.2, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0];
const WIDTH: f64 = 900.0;
const MIDDLE: f64 = 550.0;
const LEFT: f64 = 240.0;
const RIGHT: f64 = 60.0;
const ROW: f64 = 26.0;
const MARGIN: f64 = 34.0;

#[cfg(test)]
mod tests {
    use super::super::measure::Metric;
    use super::*;

    fn picture(corosync: f64, ferrosync: f64) -> String {
        draw(&Summary {
            figures: vec![Figure {
                metric: Metric::Throughput(64),
                corosync,
                ferrosync,
            }],
        })
    }

    #[test]
    fn every_figure_has_its_bar_in_the_colour_of_its_outcome() {
        assert!(picture(100.0, 200.0).contains(">2.00</text>"));
        assert!(picture(100.0, 200.0).contains("#2a7f3f"));
        assert!(picture(200.0, 100.0).contains("#b3401f"));
    }

    #[test]
    fn ratios_beyond_the_scale_stay_in_the_picture() {
        for times in [0.0, 1e-9, 1e9, f64::INFINITY] {
            assert!((LEFT..=WIDTH - RIGHT).contains(&place(times)), "{times}");
        }
        assert!(place(0.5) < place(1.0) && place(1.0) < place(2.0));
    }
}

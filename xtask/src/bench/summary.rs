//! Medians of both daemons, and their ratio.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Runs;
use super::measure::{Better, Measured, Metric};
use super::ring::Ring;

/// The comparison of the daemons on rings of one kind.
pub(super) struct Summary {
    /// How the nodes talk.
    pub(super) ring: Ring,
    /// One entry per figure that was taken.
    pub(super) figures: Vec<Figure>,
}

/// One figure.
pub(super) struct Figure {
    /// Which.
    pub(super) metric: Metric,
    /// Median of corosync's runs, if it had any.
    pub(super) corosync: Option<f64>,
    /// Median of our daemon's runs, if it had any.
    pub(super) ferrosync: Option<f64>,
}

impl Figure {
    /// How many times better our daemon is: 1 is equal, 2 twice as good, whichever direction is good. `None` when
    /// only one of them was measured.
    pub(super) fn advantage(&self) -> Option<f64> {
        let (corosync, ferrosync) = (self.corosync?, self.ferrosync?);
        let (good, bad) = match self.metric.better() {
            Better::Higher => (ferrosync, corosync),
            Better::Lower => (corosync, ferrosync),
        };
        // Idle processor time may well be 0 ticks on both sides.
        Some(if good == bad { 1.0 } else { good / bad })
    }
}

impl Summary {
    /// Compares the runs of both.
    pub(super) fn of(runs: &Runs) -> Self {
        let first = runs.corosync.first().or_else(|| runs.ferrosync.first());
        let figure = |metric: &Metric| Figure {
            metric: *metric,
            corosync: median(&runs.corosync, *metric),
            ferrosync: median(&runs.ferrosync, *metric),
        };
        Self {
            ring: runs.ring,
            figures: first
                .into_iter()
                .flat_map(Measured::keys)
                .map(figure)
                .collect(),
        }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let known = |number: Option<f64>, digits: usize| {
            number.map_or_else(|| "-".to_owned(), |number| format!("{number:.digits$}"))
        };
        let mut text = format!(
            "{:32} {:>12} {:>12} {:>18}\n",
            format!("{}, medians", self.ring.label()),
            "corosync",
            "ferrosync",
            "times as good"
        );
        for figure in &self.figures {
            writeln!(
                text,
                "{:32} {:>12} {:>12} {:>18}",
                figure.metric.label(),
                known(figure.corosync, 1),
                known(figure.ferrosync, 1),
                known(figure.advantage(), 2)
            )
            .expect("a String takes all that is written");
        }
        text
    }

    fn json(&self) -> Value {
        let figure = |figure: &Figure| {
            json!({
                "figure": figure.metric.label(),
                "better": match figure.metric.better() {
                    Better::Higher => "higher",
                    Better::Lower => "lower",
                },
                "corosync": figure.corosync,
                "ferrosync": figure.ferrosync,
                "times_as_good": figure.advantage(),
            })
        };
        json!({
            "transport": self.ring.transport.word(),
            "crypto": self.ring.crypto.words(),
            "figures": self.figures.iter().map(figure).collect::<Vec<_>>(),
        })
    }
}

/// All of it for programs.
pub(super) fn json(summaries: &[Summary], conditions: &Value) -> Value {
    let rings: Vec<Value> = summaries.iter().map(Summary::json).collect();
    json!({ "conditions": conditions, "rings": rings })
}

/// The middle of all runs' values, or of the two in the middle; `None` when no run has one.
fn median(runs: &[Measured], metric: Metric) -> Option<f64> {
    let mut values: Vec<f64> = runs
        .iter()
        .filter_map(|run| run.get(&metric).copied())
        .collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::super::ring::{Crypto, Priority, Transport};
    use super::*;

    fn summary(metric: Metric, corosync: &[f64], ferrosync: &[f64]) -> Summary {
        let runs = |values: &[f64]| {
            let run = |value: &f64| Measured::from([(metric, *value)]);
            values.iter().map(run).collect()
        };
        Summary::of(&Runs {
            ring: Ring {
                transport: Transport::Knet,
                crypto: Crypto::Aes256Sha256,
                priority: Priority::Normal,
            },
            corosync: runs(corosync),
            ferrosync: runs(ferrosync),
        })
    }

    #[test]
    fn medians_are_compared_and_one_bad_run_does_not_matter() {
        let summary = summary(Metric::Throughput(64), &[10.0, 1.0, 12.0], &[30.0, 20.0]);
        let figure = &summary.figures[0];
        assert_eq!(
            (figure.corosync, figure.ferrosync),
            (Some(10.0), Some(25.0))
        );
        assert_eq!(figure.advantage(), Some(2.5));
    }

    #[test]
    fn less_is_better_for_latency() {
        let summary = summary(Metric::LatencyP99, &[300.0], &[100.0]);
        assert_eq!(summary.figures[0].advantage(), Some(3.0));
        assert!(summary.table().contains("3.00"));
        let ring = &json(&[summary], &Value::Null)["rings"][0];
        assert_eq!(ring["figures"][0]["times_as_good"], 3.0);
        assert_eq!(ring["crypto"], "aes256/sha256");
    }

    #[test]
    fn two_idle_daemons_are_equal() {
        let summary = summary(Metric::IdleCpu, &[0.0], &[0.0]);
        assert_eq!(summary.figures[0].advantage(), Some(1.0));
    }

    #[test]
    fn one_daemon_alone_has_figures_and_no_ratio() {
        for (corosync, ferrosync) in [(&[2.0][..], &[][..]), (&[], &[2.0])] {
            let summary = summary(Metric::LatencyP50, corosync, ferrosync);
            assert_eq!(summary.figures.len(), 1);
            assert_eq!(summary.figures[0].advantage(), None);
            assert!(summary.table().contains(" - "), "{}", summary.table());
        }
    }
}

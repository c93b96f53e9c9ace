//! Medians of both daemons, and their ratio.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::measure::{Better, Measured, Metric};

/// The comparison of two daemons.
pub(super) struct Summary {
    /// One entry per figure that both have.
    pub(super) figures: Vec<Figure>,
}

/// One figure of both daemons.
pub(super) struct Figure {
    /// Which.
    pub(super) metric: Metric,
    /// Median of corosync's runs.
    pub(super) corosync: f64,
    /// Median of our daemon's runs.
    pub(super) ferrosync: f64,
}

impl Figure {
    /// How many times better our daemon is: 1 is equal, 2 twice as good, whichever direction is good.
    pub(super) fn advantage(&self) -> f64 {
        let (good, bad) = match self.metric.better() {
            Better::Higher => (self.ferrosync, self.corosync),
            Better::Lower => (self.corosync, self.ferrosync),
        };
        // Idle processor time may well be 0 ticks on both sides.
        if good == bad { 1.0 } else { good / bad }
    }
}

impl Summary {
    /// Compares the runs of both.
    pub(super) fn of(corosync: &[Measured], ferrosync: &[Measured]) -> Self {
        let metrics = corosync.first().into_iter().flat_map(Measured::keys);
        let figure = |metric: &Metric| {
            Some(Figure {
                metric: *metric,
                corosync: median(corosync, *metric)?,
                ferrosync: median(ferrosync, *metric)?,
            })
        };
        Self {
            figures: metrics.filter_map(figure).collect(),
        }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "{:32} {:>12} {:>12} {:>18}\n",
            "median of the runs", "corosync", "ferrosync", "times as good"
        );
        for figure in &self.figures {
            writeln!(
                text,
                "{:32} {:>12.1} {:>12.1} {:>18.2}",
                figure.metric.label(),
                figure.corosync,
                figure.ferrosync,
                figure.advantage()
            )
            .expect("a String takes all that is written");
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self, conditions: &Value) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
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
            })
            .collect();
        json!({ "conditions": conditions, "figures": figures })
    }
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
    use super::*;

    fn runs(metric: Metric, values: &[f64]) -> Vec<Measured> {
        values
            .iter()
            .map(|value| Measured::from([(metric, *value)]))
            .collect()
    }

    #[test]
    fn medians_are_compared_and_one_bad_run_does_not_matter() {
        let metric = Metric::Throughput(64);
        let summary = Summary::of(
            &runs(metric, &[10.0, 1.0, 12.0]),
            &runs(metric, &[30.0, 20.0]),
        );
        let figure = &summary.figures[0];
        assert_eq!((figure.corosync, figure.ferrosync), (10.0, 25.0));
        assert_eq!(figure.advantage(), 2.5);
    }

    #[test]
    fn less_is_better_for_latency() {
        let summary = Summary::of(
            &runs(Metric::LatencyP99, &[300.0]),
            &runs(Metric::LatencyP99, &[100.0]),
        );
        assert_eq!(summary.figures[0].advantage(), 3.0);
        assert!(summary.table().contains("3.00"));
        assert_eq!(
            summary.json(&Value::Null)["figures"][0]["times_as_good"],
            3.0
        );
    }

    #[test]
    fn two_idle_daemons_are_equal() {
        let summary = Summary::of(
            &runs(Metric::IdleCpu, &[0.0]),
            &runs(Metric::IdleCpu, &[0.0]),
        );
        assert_eq!(summary.figures[0].advantage(), 1.0);
    }

    #[test]
    fn what_only_one_side_has_is_left_out() {
        let summary = Summary::of(
            &runs(Metric::IdleCpu, &[1.0]),
            &runs(Metric::LatencyP50, &[1.0]),
        );
        assert!(summary.figures.is_empty());
    }
}

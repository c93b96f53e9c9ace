//! Both rules: schedules of partitions, crashes and deliveries, and what whole nodes make of them.

mod model;
mod nodes;

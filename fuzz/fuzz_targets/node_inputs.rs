//! See [`ferrosync_fuzz::node_inputs`].

#![cfg_attr(fuzzing, no_main)]

ferrosync_fuzz::target!(ferrosync_fuzz::node_inputs);

//! See [`ferrosync_fuzz::srp_inputs`].

#![cfg_attr(fuzzing, no_main)]

ferrosync_fuzz::target!(ferrosync_fuzz::srp_inputs);

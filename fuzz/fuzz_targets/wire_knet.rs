//! See [`ferrosync_fuzz::wire_knet`].

#![cfg_attr(fuzzing, no_main)]

ferrosync_fuzz::target!(ferrosync_fuzz::wire_knet);
